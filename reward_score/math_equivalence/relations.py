"""Equations and inequalities: what they name, and what value they state."""

import re

from reward_score.math_equivalence.evaluate import children, proportional, real, variables
from reward_score.math_equivalence.expression import Tree
from reward_score.math_equivalence.structure import (
    AllBut,
    Answer,
    Formula,
    Listing,
    Opaque,
    Ratio,
    Relation,
    Sequence,
    Union,
    Words,
)

_LETTER = r"(?:[A-Za-z]|\\(?!pi )[a-zA-Z]+ )(?:_(?:[A-Za-z0-9]|\{[^{}]*\}))?'*"
_FUNCTION = (
    rf"(?:{_LETTER}|\(?[A-Za-z]\\circ [A-Za-z]\)?|\\(?:det|Pr|log|sin|cos|tan) ?|\\set\{{[A-Z]\}})"
    r"(?:\^-1|\^\{-1\})?"
)
_NAME = re.compile(
    rf"{_LETTER}"  # x, x_1, \alpha, f'
    rf"|{_FUNCTION}[(\[].*[)\]]"  # f(x), f^{{-1}}(x), P(A), (f \circ g)(x)
    r"|\|[A-Z]{2,4}\||[A-Z]{2,4}"  # |AB|, ABC
    r"|\\(?:angle|triangle|overline|overrightarrow|vec|hat|widehat|bar) ?\{?[A-Za-z]+\}?"
)
_DENIAL = re.compile(r"\b(?:not|no|never|isn|wrong|false|except|none|untrue|incorrect)\b|[0-9]")


def exact_part(answer: Answer) -> Answer:
    r"""Drop approximations (``\frac{\sqrt{3}}{3} \approx 0.577``) and what is said to be in a set."""
    if not isinstance(answer, Relation):
        return answer
    operators, sides = list(answer.operators), list(answer.sides)
    if operators == ["in"]:
        is_set = isinstance(sides[1], Sequence | Union | AllBut | Listing)
        return sides[1] if is_set and is_name(sides[0]) else answer
    if "approx" in operators:
        cut = operators.index("approx")
        if cut == 0 and is_name(sides[0]):
            cut += 1  # x \approx 3.14
            operators[0] = "="
        elif not _about_equal(sides[cut], sides[cut + 1]):
            return answer
        operators, sides = operators[:cut], sides[: cut + 1]
    return Relation(tuple(operators), tuple(sides)) if operators else sides[0]


def values_stated(answer: Answer) -> list[Answer]:
    """Return the sides of a chain of equations that state values; a chain of names alone states its last side.

    An equation between two expressions, as 2x + z = 1, states no value.
    """
    if not isinstance(answer, Relation):
        return [answer]
    values = [side for side in answer.sides if not _is_quantity(side)]
    if len(values) == len(answer.sides) and any(isinstance(side, Formula) and variables(side.tree) for side in values):
        return []
    return values or [answer.sides[-1]]


def names_agree(answer: Answer, gold: Answer) -> bool:
    """Return whether an answer may state the value that the gold states.

    Where the gold names a quantity, the answer must name the same or none: ``x = 5`` is neither ``y = 5`` nor
    ``x^2 = 5``. A gold without a name leaves open what the quantity is called.
    """
    name, asked = _name(answer), _name(gold)
    if not isinstance(answer, Relation) or asked is None:
        return True
    if name is None:
        return False
    functions = [text == "y" or re.fullmatch(r"[a-zA-Z]\([a-z]\)", text) is not None for text in (name, asked)]
    same = sorted(name) == sorted(asked) if name.isupper() else name == asked
    return same or "" in (name, asked) or all(functions) and "y" in (name, asked)


def is_solution(gold: Relation) -> bool:
    """Return whether a gold is a solution, as x = 5: an equation that has it is not asked for."""
    value = gold.sides[-1]
    return _name(gold) is not None and isinstance(value, Formula) and not variables(value.tree)


def same_equation(answer: Relation, gold: Relation) -> bool:
    """Return whether two equations are the same up to a factor."""
    differences = []
    for relation in (answer, gold):
        if not all(isinstance(side, Formula) and not side.unit for side in relation.sides):
            return False
        left, right = relation.sides
        differences.append(("sum", [left.tree, ("negative", right.tree)]))
    return proportional(*differences)


def is_name(answer: Answer) -> bool:
    r"""Return whether an answer only names a quantity: ``x``, ``f(x)``, ``|AB|``, ``\text{Area}``, ``(x, y)``."""
    if isinstance(answer, Words):
        return len(answer.text.split()) <= 6 and not _DENIAL.search(answer.text)
    if isinstance(answer, Sequence):
        return all(map(is_name, answer.items))
    if isinstance(answer, Ratio):
        return all(map(is_name, answer.parts))
    if isinstance(answer, Formula) and (answer.unit or not variables(answer.tree)):
        return False
    return isinstance(answer, Formula | Opaque) and _NAME.fullmatch(answer.latex) is not None


def _name(answer: Answer) -> str | None:
    """Return what an equation names on its left, "" for words and the like, None if it names nothing."""
    if not isinstance(answer, Relation) or not is_name(answer.sides[0]):
        return None
    return answer.sides[0].latex if isinstance(answer.sides[0], Formula | Opaque) else ""


def _is_quantity(answer: Answer) -> bool:
    """Return whether an answer is a name or an expression of names alone, as x + y or x^2."""
    if is_name(answer):
        return True
    if not isinstance(answer, Formula) or answer.unit or not variables(answer.tree):
        return False
    tree = answer.tree
    return _names_only(tree[1] if tree[0] == "power" and tree[2][0] == "number" else tree)


def _names_only(tree: Tree) -> bool:
    return tree[0] not in ("number", "power", "negative") and all(map(_names_only, children(tree)))


def _about_equal(value: Answer, approximation: Answer) -> bool:
    """Return whether a value has the approximation that is written beside it: within 2 %, and of a plain decimal to the
    digits that are printed, rounded or cut."""
    if not isinstance(value, Formula) or not isinstance(approximation, Formula):
        return False
    one, other = real(value.tree), real(approximation.tree)
    if one is None or other is None:
        return False
    printed = _DECIMAL.fullmatch(approximation.latex)
    known = _DECIMAL.fullmatch(value.latex)
    if printed is None or known is None:
        return known is None and abs(one - other) <= 0.02 * max(abs(one), abs(other))
    if not known[2]:
        return False  # a whole number is as short as it can be: 182 \approx 183 are two values
    place = 10.0 ** -len(printed[2]) if printed[2] else 10.0 ** (len(printed[1]) - len(printed[1].rstrip("0") or "0"))
    cut = abs(one) - abs(other)
    close = abs(one - other) <= 0.5000001 * place or 0 <= cut < place * 1.0000001 and one * other >= 0
    return close and abs(one - other) <= 0.02 * max(abs(one), abs(other))


_DECIMAL = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")
