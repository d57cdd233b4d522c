"""What kind of answer a ground truth is, for the data card."""

import re

from reward_score.data_sources import SCORERS
from reward_score.self_test import UNTESTABLE

KINDS = {
    "whole number": re.compile(r"[-+]?\d{1,3}(?:,\d{3})+|[-+]?\d+"),
    "decimal": re.compile(r"[-+]?(?:\d[\d,]*)?\.\d+"),
    "fraction": re.compile(r"[-+]?(?:\\[dt]?frac\s*(?:\{\s*[-+]?\d+\s*\}|\d)\s*(?:\{\s*[-+]?\d+\s*\}|\d)|\d+/\d+)"),
    "choice": re.compile(r"(?:\\text\s*\{)?\(?[A-H]\)?\}?"),
    "several values": re.compile(r"(?:\\left\s*)?\\?[(\[{].*,.*[)\]}]|[^()\[\]{}]*,[^()\[\]{}]*", re.DOTALL),
    "text": re.compile(r"\\text\s*\{.*\}|[^\W\d_]{2,}(?:[\s,.'-]+[^\W\d_]+)*[.!?]?", re.DOTALL),
}


def answer_type(ground_truth: object, data_source: str) -> str:
    """Return the first kind whose form the whole answer has, "expression" for any other text."""
    if SCORERS[data_source] in UNTESTABLE:
        return "not compared"
    if not isinstance(ground_truth, str):
        return "structured"
    text = ground_truth.strip().strip("$").strip()
    if not text:
        return "none"
    return next((kind for kind, form in KINDS.items() if form.fullmatch(text)), "expression")
