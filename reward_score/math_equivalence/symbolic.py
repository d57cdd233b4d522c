"""The last tier: computer algebra, in a process that is killed when it takes too long."""

from importlib.util import find_spec

from reward_score.isolation import IsolatedModule, IsolationError

SECONDS = 0.5
MEGABYTES = 1024

_ALGEBRA = IsolatedModule("reward_score.math_equivalence.algebra", SECONDS, MEGABYTES)


class UndecidedError(RuntimeError):
    """Computer algebra gave no verdict in time."""


def equal(answer: str, gold: str) -> bool:
    """Return whether two LaTeX expressions are equal.

    Raises:
        UndecidedError: if that could not be told within SECONDS and MEGABYTES, or the libraries are not installed.
    """
    if find_spec("latex2sympy2_extended") is None:
        raise UndecidedError(f"{answer} = {gold}: install latex2sympy2-extended to compare formulas of this kind")
    try:
        return _ALGEBRA.call("equal", answer, gold)
    except (IsolationError, OSError) as error:
        raise UndecidedError(f"{answer} = {gold}: {error}") from error
