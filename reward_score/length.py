"""Length rewards: towards a target, shorter when right and longer when wrong, or not beyond a limit.

A length counts ``unit``s: "characters", "words" (separated by whitespace, so Chinese text is a single one) or "tokens".
Tokens are counted by tokenizing the response again with ``tokenizer``, a folder or a model's name for transformers'
``AutoTokenizer``, loaded once per process. The count can differ from the sampled tokens by a few: special tokens are
gone, and another split can spell the same text.
"""

import math
import threading
from collections.abc import Sequence
from functools import cache

UNITS = ("characters", "words", "tokens")

_LOADING = threading.Lock()


def length_distance(
    response: str, *, target: int = 50, unit: str = "characters", tokenizer: str | None = None
) -> float:
    """Count the units by which the response misses a length: \\|target - length\\|. A cost: give it a negative weight.

    Source: ``reward_len`` of TRL's quick start and the tutorials built on it is its negative, with a target of 50
    characters (``reward_score.tutorial.reward_len`` as printed).

    Args:
        response: the decoded response, special tokens removed.
        target: the wished length, 0 or more.
        unit: "characters", "words" or "tokens".
        tokenizer: needed for tokens, and only for them.

    Returns:
        0.0 at the target, above it otherwise, without an upper bound.

    Raises:
        ValueError: if an option is not allowed.
    """
    _check_whole("target", target, minimum=0)
    return float(abs(target - len(pieces(response, unit, tokenizer))))


def cosine_length(
    response: str,
    *,
    acc: float,
    max_length: int,
    min_value_wrong: float = -1.0,
    max_value_wrong: float = -0.5,
    min_value_correct: float = 0.5,
    max_value_correct: float = 1.0,
    unit: str = "characters",
    tokenizer: str | None = None,
) -> float:
    """Reward a right response the more the shorter it is, and a wrong one the more the longer it is.

    With p = min(length / max_length, 1) the reward moves along half a cosine,

    reward = end + (start - end) * (1 + cos(pi * p)) / 2

    from start at length 0 to end at max_length and beyond. Right: from ``max_value_correct`` to ``min_value_correct``.
    Wrong: from ``min_value_wrong`` to ``max_value_wrong``.

    Source: Yeo et al., "Demystifying Long Chain-of-Thought Reasoning in LLMs", arXiv 2502.03373; names and values as in
    open-r1's ``get_cosine_scaled_reward``, but clamped at max_length as in TRL. Unclamped, the cosine turns back up.

    Args:
        response: the decoded response, special tokens removed.
        acc: the task's verdict on the response; 1.0 is right, all else wrong.
        max_length: the length from which the reward no longer changes, 1 or more.
        min_value_wrong: the reward of an empty wrong response.
        max_value_wrong: the reward of a wrong response of max_length.
        min_value_correct: the reward of a right response of max_length.
        max_value_correct: the reward of an empty right response.
        unit: "characters", "words" or "tokens".
        tokenizer: needed for tokens, and only for them.

    Returns:
        A number between the two values of the verdict.

    Raises:
        ValueError: if an option is not allowed.
    """
    _check_whole("max_length", max_length, minimum=1)
    _check_range("min_value_wrong", min_value_wrong, "max_value_wrong", max_value_wrong)
    _check_range("min_value_correct", min_value_correct, "max_value_correct", max_value_correct)
    start, end = (max_value_correct, min_value_correct) if acc == 1.0 else (min_value_wrong, max_value_wrong)
    progress = min(len(pieces(response, unit, tokenizer)) / max_length, 1.0)
    return end + (start - end) * (1.0 + math.cos(math.pi * progress)) / 2


def overlong(
    response: str, *, max_length: int, buffer_length: int, unit: str = "characters", tokenizer: str | None = None
) -> float:
    """Punish a response that comes close to the length limit, before it is cut off.

    reward = (max_length - buffer_length - length) / buffer_length, clamped to [-1, 0]

    so 0 up to max_length - buffer_length, then down in a straight line, and -1 from max_length on.

    Source: soft overlong punishment, Yu et al., "DAPO", arXiv 2503.14476, equation 13, which counts tokens, with
    max_length 20480 and buffer_length 4096. verl's DAPO reward manager has it without the clamp at -1.

    Args:
        response: the decoded response, special tokens removed.
        max_length: the length at which the punishment is full, 1 or more.
        buffer_length: over how many units before max_length it grows, from 1 to max_length.
        unit: "characters", "words" or "tokens".
        tokenizer: needed for tokens, and only for them.

    Returns:
        A number from -1.0 to 0.0.

    Raises:
        ValueError: if an option is not allowed.
    """
    _check_whole("max_length", max_length, minimum=1)
    _check_whole("buffer_length", buffer_length, minimum=1)
    if buffer_length > max_length:
        raise ValueError(f"buffer_length={buffer_length}: write at most max_length, which is {max_length}")
    room = max_length - buffer_length - len(pieces(response, unit, tokenizer))
    return min(0.0, max(-1.0, room / buffer_length))


def pieces(text: str, unit: str, tokenizer: str | None = None) -> Sequence:
    """Cut a text into characters, words or token ids.

    Args:
        text: any text; a lone surrogate, which no tokenizer takes, counts as a question mark.
        unit: "characters", "words" or "tokens".
        tokenizer: a folder or a model's name, needed for tokens, and only for them.

    Returns:
        The text itself, its words, or its token ids without special tokens.

    Raises:
        ValueError: if the unit is unknown, or the tokenizer is missing, not needed or cannot be loaded.
    """
    if unit not in UNITS:
        raise ValueError(f"unit={unit!r}: write one of {', '.join(map(repr, UNITS))}")
    if unit != "tokens":
        if tokenizer is not None:
            raise ValueError(f"tokenizer={tokenizer!r}: only unit='tokens' takes one, but unit={unit!r}")
        return text if unit == "characters" else text.split()
    if not isinstance(tokenizer, str) or not tokenizer:
        raise ValueError(f"tokenizer={tokenizer!r}: unit='tokens' needs a folder with a tokenizer or a model's name")
    encodable = text.encode("utf-8", errors="replace").decode("utf-8")
    # verbose=False: the warning about the model's longest input has no place here, nothing is fed to it.
    return _tokenizer(tokenizer).encode(encodable, add_special_tokens=False, verbose=False)


def _tokenizer(name: str):
    # Without the lock the first step's threads would each load it.
    with _LOADING:
        return _load(name)


@cache
def _load(name: str):
    try:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(name)
        # The first call drops a truncation stored in tokenizer.json; a later one would change it under other threads.
        tokenizer.encode("", add_special_tokens=False)
    except Exception as error:  # tokenizers raises bare Exception for a broken file
        raise ValueError(f"tokenizer={name!r}: no folder or model whose tokenizer can be loaded: {error}") from error
    return tokenizer


def _check_whole(name: str, value: int, minimum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"{name}={value!r}: write a whole number, {minimum} or more")


def _check_range(low_name: str, low: float, high_name: str, high: float) -> None:
    for name, value in ((low_name, low), (high_name, high)):
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(f"{name}={value!r}: write a finite number")
    if low > high:
        raise ValueError(f"{low_name}={low!r}: write at most {high_name}, which is {high!r}")
