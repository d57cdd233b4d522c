"""A scorer's verdict without the answer that it read, which test_vote.py looks at."""

import functools
from collections.abc import Callable


def verdict_alone(score: Callable[..., dict]) -> Callable[..., dict]:
    """Return a scorer that leaves ``pred`` out; it must have been there, and a text."""

    @functools.wraps(score)
    def without_answer(*args, **options) -> dict:
        result = score(*args, **options)
        assert isinstance(result.pop("pred"), str)
        return result

    return without_answer
