"""Secrets that are long enough and yet no secrets: a short text over and over, or the words of an example.

The one idea: what is judged is what a guesser would try first, and nothing is estimated. A secret that was made at
random is never of either kind, but for a chance that is smaller than that of guessing it.
"""

from __future__ import annotations

import re
from typing import Final

BLOCK: Final = 32
"""A block of as many bytes may be repeated: it is a secret by itself."""
_DISTINCT: Final = 4
"""A secret made of fewer different bytes was not made at random."""
_WORDS: Final = """
    abcdefghijklmnopqrstuvwxyz qwerty password passphrase pass secret secure token key jwt auth access refresh admin
    change replace insert enter please default example sample dummy random string value test demo dev development prod
    production super very long short safe some this that your my me the is in it to of for with at least bytes byte
    bits bit chars characters must be should and or not a an use here
"""
"""What placeholders are made of."""
_WORD: Final = re.compile("|".join(sorted(_WORDS.split(), key=len, reverse=True)))
_LETTER: Final = re.compile("[a-z]")


def guessable(secret: bytes) -> str:
    """Return why a secret would be guessed, as the end of a sentence; nothing for a good one."""
    if len(set(secret)) < _DISTINCT:
        return "repeats a few characters"
    if _repeats(secret):
        return "repeats a short text"
    text = secret.decode("latin-1").lower()
    if _LETTER.search(text) and not _LETTER.search(_WORD.sub("", text)):
        return "is made of the words of an example"
    return ""


def _repeats(secret: bytes) -> bool:
    """Whether a block shorter than `BLOCK` comes at least twice and nothing else does; the last one may be cut."""
    return any(secret[size:] == secret[:-size] for size in range(1, min(BLOCK - 1, len(secret) // 2) + 1))
