"""The words of a text as they are compared, in any script and typography."""

from __future__ import annotations

import unicodedata

_UNSPACED = (
    *("CJK ", "IDEOGRAPHIC ", "HIRAGANA", "KATAKANA", "BOPOMOFO"),
    *("THAI ", "LAO ", "KHMER ", "MYANMAR "),
)
"""How the Unicode names of characters begin whose scripts put no spaces between words."""


def normal_words(text: str) -> list[str]:
    """The words of a text as compared; where a script has no spaces, each character is a word."""
    plain = text.replace("´", "'")  # NFKC would make a space of it
    folded = unicodedata.normalize("NFKC", plain).casefold()
    return unicodedata.normalize("NFKC", folded).translate(_LETTERS).split()


class _Letters(dict[int, str]):
    """What becomes of a character: kept, set apart, dropped (''), or a space between words."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        category = unicodedata.category(sign)
        if category == "Cf" or sign in "'`‘’ʼ′":
            kept = ""  # a soft hyphen; an apostrophe, so that don't is one word in any typography
        elif category[0] not in "LMN":
            kept = " "
        elif unspaced(sign):
            kept = f" {sign} "
        else:
            kept = sign
        self[code] = kept
        return kept


_LETTERS = _Letters()


def unspaced(sign: str) -> bool:
    """Whether a character is of a script that puts no spaces between words."""
    return ord(sign) >= 0xE00 and unicodedata.name(sign, "").startswith(_UNSPACED)
