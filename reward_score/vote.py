r"""The answer that a response gives, as one short text: verl's ``pred``, over which it counts majorities (``maj@n``).

Equal plain numbers and equal spellings are the same text. A right answer is written as the ground truth is, for the
scorer knows that they are equal; two wrong answers that only algebra could tell to be equal stay two.
"""

import re
from fractions import Fraction

LONGEST = 200
NO_ANSWER = ""

_NUMBER = re.compile(r"-?[0-9]{1,60}(?:\.[0-9]{1,60})?|-?[0-9]{1,60}/[0-9]{1,60}")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\s*\{\s*(-?[0-9]{1,60})\s*\}\s*\{\s*([0-9]{1,60})\s*\}")
_IDLE = re.compile(r"\\(?:left|right)(?![a-zA-Z])|\\[!,;: ]|[\s$]")


def as_vote(answer: str | None) -> str:
    """Return an answer as a majority counts it, NO_ANSWER for none. Never raises for text."""
    if not answer:
        return NO_ANSWER
    text = answer.strip()
    text = _FRACTION.sub(r"\1\2/\3", text) if "frac" in text and len(text) <= LONGEST else text
    if _NUMBER.fullmatch(text) and not re.search(r"/0+\Z", text):
        return str(Fraction(text))
    return _IDLE.sub("", text[: 10 * LONGEST]).rstrip(".")[:LONGEST]
