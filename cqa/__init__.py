"""cqa: did this fine-tune make a small model better at creative writing, and how sure are we?"""

import time

__version__ = "0.1.0"

PROCESS_STARTED = time.monotonic()
"""When this process began, nearly: budgets of wall time count from here."""
