"""Sets of real numbers written as inequalities, as intervals, or as all numbers but some."""

from reward_score.math_equivalence.evaluate import real
from reward_score.math_equivalence.relations import is_name
from reward_score.math_equivalence.structure import (
    INFINITY,
    AllBut,
    Answer,
    Formula,
    Listing,
    Relation,
    Sequence,
    Union,
)


def set_of(answer: Answer) -> Answer | None:
    """Return the set that an answer is, or that its inequalities describe; None if it is neither."""
    if isinstance(answer, Sequence | Union | AllBut):
        return answer
    if isinstance(answer, Listing):
        parts = [_part(item) for item in answer.items]
        if all(isinstance(part, Sequence) and part.opening == "{" for part in parts):
            return None  # x = 1, x = 2 are values
        if None in parts:
            return None
        if all(isinstance(part, AllBut) for part in parts):
            return AllBut(tuple(point for part in parts for point in part.excluded))
        return Union(tuple(parts))
    if not isinstance(answer, Relation):
        return None
    operators, sides = answer.operators, answer.sides
    if operators == ("neq",):
        return AllBut((sides[1],)) if is_name(sides[0]) else None
    if operators == ("in",):
        return set_of(sides[1]) if is_name(sides[0]) else None
    rising = all(operator in ("<", "leq") for operator in operators)
    if not rising and not all(operator in (">", "geq") for operator in operators):
        return None
    if not rising:
        operators, sides = operators[::-1], sides[::-1]
    ends = [operator in ("leq", "geq") for operator in operators]
    if len(sides) == 3 and is_name(sides[1]):
        low, high, closed = sides[0], sides[2], ends
    elif len(sides) == 2 and is_name(sides[0]):
        low, high, closed = Formula(("negative", INFINITY), "", "-\\infty "), sides[1], [False, ends[0]]
    elif len(sides) == 2 and is_name(sides[1]):
        low, high, closed = sides[0], Formula(INFINITY, "", "\\infty "), [ends[0], False]
    else:
        return None
    return Sequence("[" if closed[0] else "(", "]" if closed[1] else ")", (low, high))


def _part(answer: Answer) -> Answer | None:
    """Return the set that one of several conditions describes; x = 1 beside inequalities is a point."""
    if not isinstance(answer, Relation):
        return None
    if answer.operators == ("=",) and is_name(answer.sides[0]):
        return Sequence("{", "}", (answer.sides[1],))
    return set_of(answer)


def as_punctured_line(answer: Answer, gold: Answer) -> tuple[Answer, Answer]:
    """Write unions of open intervals that leave out single points as such, if the other side is written so."""
    if isinstance(gold, AllBut) or isinstance(answer, AllBut):
        return _all_but(answer), _all_but(gold)
    return answer, gold


def _all_but(answer: Answer) -> Answer:
    parts = answer.parts if isinstance(answer, Union) else (answer,)
    if not all(
        isinstance(part, Sequence) and (part.opening, part.closing) == ("(", ")") and len(part.items) == 2
        for part in parts
    ):
        return answer
    ends = []
    for part in parts:
        values = [real(item.tree) if isinstance(item, Formula) else None for item in part.items]
        if None in values:
            return answer
        ends.append((*values, part.items[1]))
    ends.sort(key=lambda end: end[0])
    if ends[0][0] != float("-inf") or ends[-1][1] != float("inf"):
        return answer
    if any(
        abs(before[1] - after[0]) > 1e-9 * max(1.0, abs(after[0]))
        for before, after in zip(ends, ends[1:], strict=False)
    ):
        return answer
    return AllBut(tuple(end[2] for end in ends[:-1]))
