"""What training records and benchmark items share: runs of words, whole texts, works, authors.

Everything is compared after Unicode normalisation (NFKC), case folding and removal of punctuation.
Words are hashed where they stand and looked up, so that the cost grows with the number of words and
not with the number of pairs.
"""

from cqa.leaks.corpus import Placed
from cqa.leaks.finding import leaks, near_duplicates
from cqa.leaks.words import normal_words
from cqa.leaks.works import author_keys, split_groups, title_key, work_key

__all__ = [
    "Placed",
    "author_keys",
    "leaks",
    "near_duplicates",
    "normal_words",
    "split_groups",
    "title_key",
    "work_key",
]
