"""Whether an error is a full disk or too little memory.

Writers of weights and allocators have no error class in common with the system, only its words.
torch is not imported to ask: an error of its own class can only come from a torch that is there.
"""

from __future__ import annotations

import errno

_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = (
    "No space left",
    "os error 28",
    "PytorchStreamWriter failed",
    "File too large",
    "unexpected pos",
)
_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "can't start new thread",  # there is no room for its stack
)


def is_disk_full(error: BaseException) -> bool:
    """Whether a disk, a quota or a file has no more room."""
    number = error.errno if isinstance(error, OSError) else None
    return number in _FULL_ERRNOS or any(words in str(error) for words in _FULL_WORDS)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was too small, a device's or the machine's."""
    named = any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
    said = any(words in str(error) for words in _MEMORY_WORDS)
    return named or said or isinstance(error, MemoryError)
