"""Integer reward: is the answer a whole number, right or wrong?

Credit for tasks whose answers are all integers while few responses are right yet. From the ``int``/``digit`` rewards of
the GSM8K tutorials (``reward_score.tutorial.int_reward_func`` as printed), which refuse a sign or a thousands comma,
accept any character that Unicode calls a digit, such as a superscript two, and take a response without tags as a whole.
"""

import re

OPENING, CLOSING = "<answer>", "</answer>"
INTEGER = re.compile(r"[-+−]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)")


def integer_answer(response: str) -> float:
    """Reward an answer that is one integer and nothing else.

    The answer is the text between ``<answer>`` and ``</answer>``, whitespace at its ends removed. Both tags must stand
    exactly once: a response without them, or with several answers, earns nothing. An integer is written in the digits
    0 to 9, may have a sign (``+``, ``-`` or the minus sign U+2212), and its commas, if any, must separate thousands.
    A decimal, a unit or a currency sign makes it something else.

    Args:
        response: the decoded response, special tokens removed.

    Returns:
        1.0 if the answer is an integer, else 0.0.
    """
    if response.count(OPENING) != 1 or response.count(CLOSING) != 1:
        return 0.0
    answer, closed, _ = response.partition(OPENING)[2].partition(CLOSING)
    return float(bool(closed) and INTEGER.fullmatch(answer.strip()) is not None)
