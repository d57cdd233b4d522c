r"""Whether two answers are the same, by their structure. The gold answer's form decides what is asked for.

Policies:

- A listing ("2, 6", "2 or 6", ``\pm 3``) must hold exactly the gold's values, in any order. One value out of several
  is wrong.
- Tuples and intervals keep their order and their brackets. A column vector equals the tuple of its entries.
- ``x = 5`` is the value 5 if the left side names what is asked for; every value in a chain of equations must be the
  gold's. Where the gold names a quantity, another name is wrong, and so is an equation that still has to be solved.
- Units are ignored where one side has none; known units that differ are wrong. "million" and the like are numbers.
- A percent sign is a unit: 28% is 28. It also equals 0.28 where the gold has the sign, or is no whole number. Of a
  gold between 0 and 1 it is always a hundredth: 50% is 0.5, and 0.5% is not.
- Where only the gold has a base or a modulus, the bare digits are right; what only the answer has must be base ten.
- Decimals are exact: 0.33 is not 1/3. Nine digits, rightly rounded, of a value without a finite decimal will do.
- Only a gold that the parser does not understand is given to computer algebra.
"""

from fractions import Fraction

from reward_score.math_equivalence import symbolic, units
from reward_score.math_equivalence.evaluate import equal, exact, real, variables
from reward_score.math_equivalence.expression import Tree
from reward_score.math_equivalence.relations import exact_part, is_solution, names_agree, same_equation, values_stated
from reward_score.math_equivalence.sets import as_punctured_line, set_of
from reward_score.math_equivalence.structure import (
    AllBut,
    Answer,
    Based,
    Formula,
    Listing,
    Matrix,
    Opaque,
    Ratio,
    Relation,
    Sequence,
    Union,
    Words,
)

MAX_ITEMS = 200


class Comparison:
    """One comparison of an answer with a gold answer, which may ask computer algebra twice."""

    def __init__(self):
        self.symbolic_calls = 2

    def same(self, answer: Answer, gold: Answer) -> bool:
        """Return whether an answer is the gold answer.

        Raises:
            UndecidedError: if only computer algebra could tell and it did not answer in time.
        """
        if answer == gold and not isinstance(gold, Opaque):
            return True
        if isinstance(answer, Relation) or isinstance(gold, Relation):
            return self.relations(answer, gold)
        answer, gold = as_punctured_line(answer, gold)
        if isinstance(gold, Listing) or isinstance(answer, Listing):
            return self.listings(answer, gold)
        answer, gold = _unwrapped(answer), _unwrapped(gold)
        if isinstance(gold, Based) or isinstance(answer, Based):
            return _based(answer, gold)
        if isinstance(gold, Ratio) or isinstance(answer, Ratio):
            return self.ratios(answer, gold)
        if {type(answer), type(gold)} == {Sequence, Matrix}:
            return self.vectors(answer, gold)
        if isinstance(gold, Formula | Opaque) and isinstance(answer, Formula | Opaque):
            return self.formulas(answer, gold)
        if isinstance(gold, Words) or isinstance(answer, Words):
            return _word(answer) is not None and _word(answer) == _word(gold)
        if type(answer) is not type(gold):
            return False
        if isinstance(gold, Sequence):
            if (answer.opening, answer.closing) != (gold.opening, gold.closing):
                return False
            return self.items(answer, gold, is_set=gold.opening == "{")
        if isinstance(gold, Union):
            return self.unordered(answer.parts, gold.parts)
        if isinstance(gold, AllBut):
            return self.unordered(answer.excluded, gold.excluded)
        if isinstance(gold, Matrix):
            return answer.determinant == gold.determinant and self.tables(answer.rows, gold.rows)
        return False

    def items(self, answer: Sequence | Listing, gold: Sequence | Listing, *, is_set: bool) -> bool:
        return (self.unordered if is_set else self.ordered)(answer.items, gold.items)

    def ordered(self, answers: tuple, golds: tuple) -> bool:
        return len(answers) == len(golds) and all(map(self.same, answers, golds))

    def unordered(self, answers: tuple, golds: tuple) -> bool:
        """Match each gold with an answer of its own; what is left over must repeat a gold."""
        if not len(golds) <= len(answers) <= 2 * len(golds) <= MAX_ITEMS:
            return False
        left = list(answers)
        for gold in golds:
            # A copy comes first: comparing another one may ask computer algebra, which may have no verdict.
            order = sorted(range(len(left)), key=lambda index: left[index] != gold)
            match = next((index for index in order if self.same(left[index], gold)), None)
            if match is None:
                return False
            del left[match]
        return all(any(self.same(answer, gold) for gold in golds) for answer in left)

    def tables(self, answers: tuple, golds: tuple) -> bool:
        return len(answers) == len(golds) and all(map(self.ordered, answers, golds))

    def vectors(self, answer: Sequence | Matrix, gold: Sequence | Matrix) -> bool:
        sequence, matrix = (answer, gold) if isinstance(answer, Sequence) else (gold, answer)
        if (sequence.opening, sequence.closing) != ("(", ")") or len(sequence.items) < 2:
            return False
        entries = [cell for row in matrix.rows for cell in row]
        if len(matrix.rows) not in (1, len(entries)):
            return False
        pair = (sequence.items, entries) if sequence is answer else (entries, sequence.items)
        return self.ordered(*pair)

    def listings(self, answer: Answer, gold: Answer) -> bool:
        if isinstance(gold, Listing) and isinstance(answer, Listing):
            return self.unordered(answer.items, gold.items)
        listing, other = (gold, answer) if isinstance(gold, Listing) else (answer, gold)
        as_set = set_of(listing)
        if as_set is not None:
            return self.same(answer, as_set) if listing is gold else self.same(as_set, gold)
        if isinstance(other, Sequence):
            brackets = other.opening + other.closing
            is_set = brackets == "{}"
            return (is_set or brackets == "()") and self.items(answer, gold, is_set=is_set)
        value = _decimal_comma(answer) if listing is answer else None
        return value is not None and _is_decimal(gold) and self.same(value, gold)

    def ratios(self, answer: Answer, gold: Answer) -> bool:
        if isinstance(answer, Ratio) and isinstance(gold, Ratio):
            if self.ordered(answer.parts, gold.parts):
                return True
            one, other = _quotient(answer), _quotient(gold)
            return one is not None and other is not None and equal(one, other) is True
        ratio, other = (answer, gold) if isinstance(answer, Ratio) else (gold, answer)
        quotient = _quotient(ratio)
        return quotient is not None and isinstance(other, Formula) and equal(quotient, other.tree) is True

    def relations(self, answer: Answer, gold: Answer) -> bool:
        answer, gold = exact_part(answer), exact_part(gold)
        if not isinstance(answer, Relation) and not isinstance(gold, Relation):
            return self.same(answer, gold)
        sets = set_of(answer), set_of(gold)
        if None not in sets:
            return self.same(*sets)
        if isinstance(gold, Relation) and set(gold.operators) != {"="}:
            return (
                isinstance(answer, Relation)
                and answer.operators == gold.operators
                and self.ordered(answer.sides, gold.sides)
            )
        if isinstance(answer, Relation) and set(answer.operators) != {"="}:
            return False
        if names_agree(answer, gold):
            values, golds = values_stated(answer), values_stated(gold)
            if values and golds and all(self.same(value, golds[-1]) for value in values):
                return True
        if not (
            isinstance(answer, Relation) and isinstance(gold, Relation) and len(answer.sides) == len(gold.sides) == 2
        ):
            return False
        return self.ordered(answer.sides, gold.sides) or not is_solution(gold) and same_equation(answer, gold)

    def formulas(self, answer: Formula | Opaque, gold: Formula | Opaque) -> bool:
        if answer.latex == gold.latex:
            if isinstance(answer, Opaque) or isinstance(gold, Opaque):
                return type(answer) is type(gold)
            is_hundredth = answer.unit == "percent" and not gold.unit and _is_share(gold)
            return units.agree(answer.unit, gold.unit) and not is_hundredth
        if isinstance(answer, Formula) and isinstance(gold, Formula):
            if not units.agree(answer.unit, gold.unit):
                return False
            verdict = equal(answer.tree, gold.tree)
            if verdict and answer.unit == "percent" and not gold.unit and _is_share(gold):
                return False  # 0.5 % is not 0.5
            if verdict is False and "percent" in (answer.unit + " " + gold.unit).split():
                verdict = _equal_as_fractions(answer, gold)
            if verdict is False:
                verdict = _is_rounded_double(answer, gold)
            if verdict is not None:
                return verdict
            return False
        if isinstance(gold, Formula) or not _is_algebra(answer.latex, gold.latex) or self.symbolic_calls <= 0:
            return False  # the gold is understood; what is not can be no finished answer
        self.symbolic_calls -= 1
        return symbolic.equal(answer.latex, gold.latex)


def _is_algebra(answer: str, gold: str) -> bool:
    """Return whether computer algebra may know this gold, which the parser does not, and read all of the answer."""
    if "\\" not in gold or "\\text" in gold + answer or max(len(gold), len(answer)) > 300:
        return False
    return all((sign in answer) == (sign in gold) for sign in ("'", "ldots", "&", "\\\\"))


def _unwrapped(answer: Answer) -> Answer:
    """Return the only element of a set."""
    if isinstance(answer, Sequence) and answer.opening == "{" and len(answer.items) == 1:
        return answer.items[0]
    return answer


def _word(answer: Answer) -> str | None:
    if isinstance(answer, Words):
        return answer.text
    letters = answer.latex.strip("$.").lower() if isinstance(answer, Formula | Opaque) else ""
    return letters if letters.isalpha() else None


def _is_share(gold: Formula) -> bool:
    """Return whether a gold is a number between 0 and 1, which a percentage states by its hundredfold."""
    try:
        return 0 < abs(exact(gold.tree)) < 1
    except ArithmeticError:
        return False


def _equal_as_fractions(answer: Formula, gold: Formula) -> bool | None:
    hundredth = ("number", Fraction(1, 100))
    if answer.unit == gold.unit:
        return False
    if gold.unit == "percent":
        return equal(answer.tree, ("product", [gold.tree, hundredth]))
    try:
        if exact(gold.tree).denominator == 1:
            return False
    except ArithmeticError:
        return False
    return equal(("product", [answer.tree, hundredth]), gold.tree)


def _is_rounded_double(answer: Formula, gold: Formula) -> bool:
    """Return whether an answer is a gold that has no finite decimal, printed to nine digits or more."""
    digits = answer.latex.lstrip("-").replace(".", "", 1)
    if (
        not 9 <= len(digits.lstrip("0")) <= 20
        or not digits.isdigit()
        or "." not in answer.latex
        or variables(gold.tree)
    ):
        return False
    try:
        if _is_finite_decimal(exact(gold.tree)):
            return False
    except ArithmeticError:
        pass
    value, gold_value = real(answer.tree), real(gold.tree)
    if value is None or gold_value is None:
        return False
    half_a_digit = 0.5 * 10.0 ** -len(answer.latex.partition(".")[2])
    return abs(value - gold_value) <= half_a_digit + 4e-16 * abs(gold_value)


def _is_finite_decimal(value: Fraction) -> bool:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _based(answer: Answer, gold: Answer) -> bool:
    if isinstance(answer, Based) and isinstance(gold, Based):
        return answer.base == gold.base and answer.digits == gold.digits
    if isinstance(gold, Based):
        return isinstance(answer, Formula) and answer.latex.upper() == gold.digits
    return answer.base == 10 and isinstance(gold, Formula) and answer.digits == gold.latex


def _quotient(ratio: Ratio) -> Tree | None:
    if len(ratio.parts) != 2 or not all(isinstance(part, Formula) and not part.unit for part in ratio.parts):
        return None
    first, second = ratio.parts
    if len(second.latex) == 2 and second.latex.isdigit() and first.latex.isdigit() and len(first.latex) <= 2:
        return None  # a time of day
    return ("product", [first.tree, ("inverse", second.tree)])


def _decimal_comma(answer: Listing) -> Formula | None:
    """Read "2,74" as 2.74."""
    if len(answer.items) != 2 or not all(isinstance(item, Formula) and not item.unit for item in answer.items):
        return None
    whole, decimals = answer.items
    if not (whole.latex.lstrip("-").isdigit() and decimals.latex.isdigit()) or len(whole.latex + decimals.latex) > 40:
        return None
    return Formula(("number", Fraction(f"{whole.latex}.{decimals.latex}")), "", "")


def _is_decimal(gold: Answer) -> bool:
    return isinstance(gold, Formula) and gold.tree[0] == "number" and gold.tree[1].denominator != 1
