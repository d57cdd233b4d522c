"""Equality by SymPy of LaTeX as latex2sympy2-extended reads it. Slow and unbounded: only for a process that can be
killed."""

import sympy
from latex2sympy2_extended import NormalizationConfig, latex2sympy

latex2sympy("x^{2} + \\frac{1}{2}")  # builds the parser's tables before the first call


def equal(answer: str, gold: str) -> bool:
    """Return whether two LaTeX expressions are equal; False if one cannot be read."""
    try:
        first, second = _read(answer), _read(gold)
    except Exception:  # the parser raises whatever it meets
        return False
    if first == second:
        return True
    if not isinstance(first, sympy.Expr) or not isinstance(second, sympy.Expr):
        return False
    return sympy.simplify((first - second).doit()) == 0


def _read(latex: str):
    return latex2sympy(latex, normalization_config=NormalizationConfig(malformed_operators=True))
