"""Equations and inequalities: what they name, and what value or set they state."""

from reward_score.math_equivalence.evaluate import children, proportional, variables
from reward_score.math_equivalence.expression import Tree
from reward_score.math_equivalence.structure import Answer, Formula, Opaque, Ratio, Relation, Sequence, Words


def exact_part(answer: Answer) -> Answer:
    r"""Drop approximations (``\frac{\sqrt{3}}{3} \approx 0.577``) and what is said to be in a set."""
    if not isinstance(answer, Relation):
        return answer
    operators, sides = list(answer.operators), list(answer.sides)
    if operators == ["in"]:
        return sides[1]
    if "approx" in operators:
        cut = operators.index("approx")
        if cut == 0 and is_name(sides[0]):
            cut += 1  # x \approx 3.14
            operators[0] = "="
        operators, sides = operators[:cut], sides[: cut + 1]
    return Relation(tuple(operators), tuple(sides)) if operators else sides[0]


def values_stated(answer: Answer) -> list[Answer]:
    """Return the sides of a chain of equations that are no names; a chain of names alone is its last side.

    An equation between two expressions, as 2x + z = 1, states no value.
    """
    if not isinstance(answer, Relation):
        return [answer]
    values = [side for side in answer.sides if not is_name(side)]
    if len(values) == len(answer.sides) and any(isinstance(side, Formula) and variables(side.tree) for side in values):
        return []
    return values or [answer.sides[-1]]


def is_name(answer: Answer) -> bool:
    r"""Return whether an answer only names a quantity: ``x``, ``f(x)``, ``|AB|``, ``\text{Area}``, ``(x, y)``."""
    if isinstance(answer, Words):
        return True
    if isinstance(answer, Sequence):
        return all(map(is_name, answer.items))
    if isinstance(answer, Ratio):
        return all(map(is_name, answer.parts))
    if isinstance(answer, Opaque):
        return answer.latex.startswith(("\\angle", "\\triangle", "\\text", "\\overline", "\\operatorname"))
    if not isinstance(answer, Formula) or answer.unit or not variables(answer.tree):
        return False
    tree = answer.tree
    return _names_only(tree[1] if tree[0] == "power" and tree[2][0] == "number" else tree)


def _names_only(tree: Tree) -> bool:
    return tree[0] not in ("number", "power") and all(map(_names_only, children(tree)))


def names_differ(answer: Answer, gold: Answer) -> bool:
    """Return whether both are equations of one variable each, and not the same one."""
    names = [
        relation.sides[0].tree[1]
        for relation in (answer, gold)
        if isinstance(relation, Relation)
        and isinstance(relation.sides[0], Formula)
        and relation.sides[0].tree[0] == "variable"
    ]
    return len(names) == 2 and names[0] != names[1] and all(len(name) == 1 for name in names)


def same_equation(answer: Relation, gold: Relation) -> bool:
    differences = []
    for relation in (answer, gold):
        if not all(isinstance(side, Formula) and not side.unit for side in relation.sides):
            return False
        left, right = relation.sides
        differences.append(("sum", [left.tree, ("negative", right.tree)]))
    return proportional(*differences)
