"""Repetition penalty: a response that says the same thing again and again pays for it."""

import math

from reward_score.length import pieces

# Beyond this the n-grams of a long response would take memory that their use does not justify.
LONGEST = 20


def repetition(
    response: str, *, n: int = 3, max_penalty: float = -1.0, unit: str = "words", tokenizer: str | None = None
) -> float:
    """Punish repeated n-grams: reward = (1 - unique n-grams / n-grams) * max_penalty.

    Case is ignored. Words are separated by whitespace; for text without spaces, such as Chinese, take characters or
    tokens. A response of fewer than n units has no n-gram and pays nothing.

    Source: Yeo et al., "Demystifying Long Chain-of-Thought Reasoning in LLMs", arXiv 2502.03373; values as in open-r1's
    ``get_repetition_penalty_reward``.

    Args:
        response: the decoded response, special tokens removed.
        n: the length of an n-gram in units, from 1 to 20.
        max_penalty: the reward that endless repetition comes close to, 0 or below.
        unit: "words", "characters" or "tokens".
        tokenizer: needed for tokens, and only for them; see ``reward_score.length``.

    Returns:
        A number from max_penalty to 0.0.

    Raises:
        ValueError: if an option is not allowed.
    """
    if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= LONGEST:
        raise ValueError(f"n={n!r}: write a whole number from 1 to {LONGEST}")
    if not isinstance(max_penalty, int | float) or isinstance(max_penalty, bool) or not -math.inf < max_penalty <= 0:
        raise ValueError(f"max_penalty={max_penalty!r}: write a finite number, 0 or below")
    units = pieces(response.lower(), unit, tokenizer)
    total = len(units) - n + 1
    if total <= 0:
        return 0.0
    unique = len(set(zip(*(units[start:] for start in range(n)), strict=False)))
    # Adding 0.0 turns the -0.0 of a response without repetition into 0.0.
    return (1 - unique / total) * max_penalty + 0.0
