"""cqa: did this fine-tune make a small model better at creative writing, and how sure are we?"""

__version__ = "0.1.0"
