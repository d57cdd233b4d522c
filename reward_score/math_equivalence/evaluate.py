"""Values of expression trees: exact fractions where possible, else complex numbers at fixed sample points.

Two formulas are equal if they agree at the sample points (Schwartz-Zippel: unequal polynomials agree at a random
point almost never), first in double precision, which refutes nearly everything cheaply, then to 100 of 120 digits.
Bounded: no intermediate value exceeds ``EXACT_BUDGET`` machine words of exact work or the range of a double, so
``9^{9^{9}}`` costs nothing.
"""

import cmath
import math
import threading
import zlib
from fractions import Fraction

import mpmath

from reward_score.math_equivalence.expression import Tree

EXACT_BUDGET = 100_000  # 64-bit words touched by exact arithmetic
# Where two trees are compared: salt and factor of each variable's coordinate.
_POINTS = ((b"1", 1.0), (b"2", 10.0), (b"3", -1.0))
# Roots, absolute values and steps can agree on a range and differ beyond it.
_MORE_POINTS = tuple(
    (salt, factor) for salt in (b"5", b"6") for factor in (0.1, 3.0, 30.0, 300.0, -0.1, -3.0, -30.0, -300.0)
)
# Where (-1)^n is compared: whole numbers for n, of which some are even.
_WHOLE_POINTS = tuple((str(digit).encode(), 1.0) for digit in range(1, 8))
_PIECEWISE = {"abs", "floor", "ceil", "max", "min", "sqrt", "gcd", "lcm", "factorial"}
_CLOSE = 1e-7
_DIGITS = 120


class InexactError(ArithmeticError):
    """The value is no fraction, or too large to be computed as one."""


class UndefinedError(ArithmeticError):
    """The expression has no value, as 1/0."""


class HugeError(ArithmeticError):
    """The value is beyond the range of a double."""


def equal(first: Tree, second: Tree) -> bool | None:
    """Return whether two trees have the same value for all values of their variables; None if that cannot be told."""
    names = sorted(variables(first) | variables(second))
    if not names:
        try:
            return exact(first) == exact(second)
        except InexactError:
            pass
        except UndefinedError:
            return False
    points = _POINTS if names else _POINTS[:1]
    if names and (_functions(first) | _functions(second)) & _PIECEWISE:
        points += _MORE_POINTS
    has_i = _uses_i(first) or _uses_i(second)
    decisive: dict[str, float] | None = None
    counts = sorted(_counts(first) | _counts(second)) if names else []
    for salt, factor in points if not counts else _WHOLE_POINTS:
        point = {name: factor * _coordinate(name, salt) for name in names}
        for index, name in enumerate(counts):
            point[name] = float(2 + salt[0] % 8 * (index + 1) % 7)
        one, other = _attempt(first, point), _attempt(second, point)
        if one is None or other is None:
            if (one is None) != (other is None) and factor > 0 and not has_i and names == []:
                return False
            continue
        if isinstance(one, str) or isinstance(other, str):  # beyond a double: equal only if both are
            if one != other:
                return False
            continue
        if cmath.isinf(one) or cmath.isinf(other):
            if one.real != other.real:
                return False
            decisive = point
            continue
        if names and not has_i and abs(one.imag) + abs(other.imag) > 1e-12 * max(abs(one), abs(other)):
            continue  # roots and logarithms of negative numbers: a convention, not a value
        if abs(one - other) > _CLOSE * max(abs(one), abs(other)) + 1e-12:
            if factor < 0 and not has_i and len(names) > 1:
                continue  # \\sqrt{xy} and \\sqrt{x}\\sqrt{y} for negative x and y
            return False
        decisive = point
    return None if decisive is None else _equal_to_a_hundred_digits(first, second, decisive)


def proportional(first: Tree, second: Tree) -> bool:
    """Return whether one tree is a constant, not zero, times the other: the left sides of the same equation ``... =
    0``."""
    names = sorted(variables(first) | variables(second))
    ratios = []
    for salt in (b"1", b"2", b"3", b"4"):
        point = {name: _coordinate(name, salt) for name in names}
        try:
            one, other = _Floating(point).value(first), _Floating(point).value(second)
            ratios.append(one / other)
        except (ArithmeticError, ValueError):
            return False
    return (
        bool(names)
        and abs(ratios[0]) > 1e-9
        and all(abs(ratio - ratios[0]) < 1e-9 * abs(ratios[0]) for ratio in ratios)
    )


def exact(tree: Tree) -> Fraction:
    """Return the value of a tree as a fraction.

    Raises:
        InexactError: if it has variables, is irrational, or takes too long.
        UndefinedError: if it has no value.
    """
    return _Exact().value(tree)


def real(tree: Tree) -> float | None:
    """Return the value of a tree without variables as a float, infinities included; None if it has no real value."""
    try:
        value = _Floating({}).value(tree)
    except (ArithmeticError, KeyError, ValueError):
        return None
    return value.real if value.imag == 0 or math.isinf(value.real) else None


def variables(tree: Tree) -> set[str]:
    """Return the names of the variables in a tree."""
    found = set()
    stack = [tree]
    while stack:
        node = stack.pop()
        if node[0] == "variable":
            found.add(node[1])
        elif node[0] not in ("number", "constant"):
            stack.extend(children(node))
    return found


def _functions(tree: Tree) -> set[str]:
    """Return the names of the functions that are called in a tree."""
    found = {tree[1]} if tree[0] == "call" else set()
    return found.union(*map(_functions, children(tree)))


def _uses_i(tree: Tree) -> bool:
    return tree == ("constant", "i") or any(map(_uses_i, children(tree)))


def children(tree: Tree) -> list[Tree]:
    """Return the trees right below the root of a tree."""
    if tree[0] in ("number", "constant", "variable"):
        return []
    return tree[2] if tree[0] == "call" else tree[1] if tree[0] in ("sum", "product") else list(tree[1:])


def _counts(tree: Tree) -> set[str]:
    """Return the variables in the exponents of negative numbers, which stand for whole numbers."""
    found: set[str] = set()
    stack = [tree]
    while stack:
        node = stack.pop()
        stack.extend(children(node))
        if node[0] == "power" and node[1][0] in ("negative", "number", "product") and (exponents := variables(node[2])):
            base = None if variables(node[1]) else real(node[1])
            if base is not None and base < 0:
                found |= exponents
    return found


def _coordinate(name: str, salt: bytes) -> float:
    return 0.6 + zlib.crc32(salt + name.encode("utf-8", "replace")) / 2**32 * 1.9


def _attempt(tree: Tree, point: dict[str, float]) -> complex | str | None:
    try:
        value = _Floating(point).value(tree)
    except (OverflowError, HugeError):
        return "huge"
    except (UndefinedError, ZeroDivisionError, ValueError):
        return None
    return None if cmath.isnan(value) else value


class _Exact:
    def __init__(self):
        self.left = EXACT_BUDGET

    def pay(self, value: Fraction) -> Fraction:
        bits = value.numerator.bit_length() + value.denominator.bit_length()
        self.left -= 1 + bits // 64
        if self.left < 0 or bits > 100_000:
            raise InexactError
        return value

    def value(self, tree: Tree) -> Fraction:
        kind = tree[0]
        if kind == "number":
            return tree[1]
        if kind == "sum":
            total = Fraction(0)
            for term in tree[1]:
                total = self.pay(total + self.value(term))
            return total
        if kind == "product":
            product = Fraction(1)
            for factor in tree[1]:
                product = self.pay(product * self.value(factor))
            return product
        if kind == "negative":
            return -self.value(tree[1])
        if kind == "inverse":
            value = self.value(tree[1])
            if value == 0:
                raise UndefinedError
            return 1 / value
        if kind == "power":
            return self.power(self.value(tree[1]), self.value(tree[2]))
        if kind == "call":
            return self.call(tree[1], [self.value(argument) for argument in tree[2]])
        raise InexactError

    def power(self, base: Fraction, exponent: Fraction) -> Fraction:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if exponent.denominator != 1:
            if exponent.denominator > 64 or abs(exponent.numerator) > 64:
                raise InexactError
            base, exponent = _root(base, exponent.denominator), Fraction(exponent.numerator)
        if base == 0 and exponent < 0:
            raise UndefinedError
        if bits > 1 and bits * abs(exponent) > 40_000:
            raise InexactError
        if abs(exponent) > 10**9:
            raise InexactError
        return self.pay(base ** int(exponent))

    def call(self, name: str, arguments: list[Fraction]) -> Fraction:
        value = arguments[0]
        if name == "sqrt":
            return _root(value, 2)
        if name == "abs":
            return abs(value)
        if name == "floor":
            return Fraction(math.floor(value))
        if name == "ceil":
            return Fraction(math.ceil(value))
        if name in ("max", "min"):
            return max(arguments) if name == "max" else min(arguments)
        whole = [int(argument) for argument in arguments if argument.denominator == 1 and abs(argument) <= 2000]
        if len(whole) == len(arguments):
            if name == "factorial" and whole[0] >= 0:
                return self.pay(Fraction(math.factorial(whole[0])))
            if name == "binomial" and min(whole) >= 0:
                return self.pay(Fraction(math.comb(*whole)))
            if name in ("gcd", "lcm"):
                return Fraction((math.gcd if name == "gcd" else math.lcm)(*whole))
        raise InexactError


def _root(value: Fraction, degree: int) -> Fraction:
    """Return the rational root of a fraction, or raise InexactError."""
    if value < 0:
        if degree % 2 == 0:
            raise InexactError
        return -_root(-value, degree)
    parts = []
    for part in (value.numerator, value.denominator):
        if part.bit_length() > 4000:
            raise InexactError
        guess = math.isqrt(part) if degree == 2 else round(part ** (1 / degree)) if part.bit_length() < 900 else 0
        if guess**degree != part:
            raise InexactError
        parts.append(guess)
    return Fraction(*parts)


class _Floating:
    """Evaluation in complex doubles."""

    def __init__(self, point: dict[str, float]):
        self.point = point

    def value(self, tree: Tree) -> complex:
        kind = tree[0]
        if kind == "number":
            return self.number(tree[1])
        if kind == "variable":
            return self.convert(self.point[tree[1]])
        if kind == "constant":
            return self.constant(tree[1])
        if kind == "sum":
            total = self.value(tree[1][0])
            for term in tree[1][1:]:
                total = total + self.value(term)
            return total
        if kind == "product":
            product = self.value(tree[1][0])
            for factor in tree[1][1:]:
                product = product * self.value(factor)
            return product
        if kind == "negative":
            return 0 - self.value(tree[1])  # -(4+0i) would have the imaginary part -0, and the root -2i
        if kind == "inverse":
            value = self.value(tree[1])
            if abs(value) < 1e-300:
                raise UndefinedError
            return 1 / value
        if kind == "power":
            return self.power(tree)
        return self.call(tree[1], [self.value(argument) for argument in tree[2]])

    convert = complex

    def number(self, value: Fraction) -> complex:
        return complex(value.numerator / value.denominator)  # an OverflowError where it is beyond a double

    def constant(self, name: str) -> complex:
        return {"pi": complex(math.pi), "e": complex(math.e), "i": 1j, "infinity": complex(math.inf)}[name]

    def power(self, tree: Tree) -> complex:
        base, exponent = self.value(tree[1]), self.value(tree[2])
        if base == 0:
            if exponent.real < 0:
                raise UndefinedError
            return self.convert(exponent == 0)
        self.check_range(base, exponent)
        if base.imag == 0 and base.real < 0 and _is_odd_root(tree[2]):
            return -((-base) ** exponent)
        return base**exponent

    def check_range(self, base: complex, exponent: complex) -> None:
        if cmath.isinf(base) or cmath.isinf(exponent):
            raise UndefinedError
        if (
            abs(exponent) * (abs(math.log(abs(base))) + math.pi) > 2000
            and abs(exponent.real * math.log(abs(base))) > 690
        ):
            if exponent.real * math.log(abs(base)) > 0:
                raise HugeError
            raise UndefinedError

    def call(self, name: str, arguments: list[complex]) -> complex:
        value = arguments[0]
        if name == "abs":
            return self.convert(abs(value))
        if name == "arccot":
            return self.constant("pi") / 2 - self.library.atan(value)
        if name == "coth":
            return 1 / self.library.tanh(value)
        if name == "log base":
            return self.library.log(value) / self.library.log(arguments[1])
        if name in ("cot", "sec", "csc"):
            function = {"cot": self.library.tan, "sec": self.library.cos, "csc": self.library.sin}[name]
            return 1 / function(value)
        if name in _LIBRARY_NAMES:
            if abs(value.imag) > 700 or abs(value.real) > 1e15:
                raise UndefinedError
            return self.convert(getattr(self.library, _LIBRARY_NAMES[name])(value))
        if any(abs(argument.imag) > 1e-9 for argument in arguments):
            raise UndefinedError
        return self.convert(_real_function(name, [argument.real for argument in arguments], self.gamma))

    library = cmath

    @staticmethod
    def gamma(value: float) -> float:
        if value > 170:
            raise HugeError
        return math.gamma(value)


_LIBRARY_NAMES = {
    **{name: name for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt")},
    **{"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"},
}


def _real_function(name: str, values: list[float], gamma) -> float:
    value = values[0]
    if name == "factorial":
        return gamma(value + 1)
    if name == "binomial":
        below = values[1]
        return gamma(value + 1) / (gamma(below + 1) * gamma(value - below + 1))
    if name == "floor":
        return float(math.floor(value + 1e-12))
    if name == "ceil":
        return float(math.ceil(value - 1e-12))
    if name in ("max", "min"):
        return max(values) if name == "max" else min(values)
    if name in ("gcd", "lcm") and all(value == int(value) for value in values):
        return (math.gcd if name == "gcd" else math.lcm)(*(int(value) for value in values))
    raise UndefinedError


def _is_odd_root(exponent: Tree) -> bool:
    try:
        value = exact(exponent)
    except ArithmeticError:
        return False
    return value.denominator % 2 == 1 and value.denominator > 1 and value.numerator == 1


class _Precise(_Floating):
    """Evaluation in complex numbers of 120 digits, only for trees that doubles could evaluate."""

    def __init__(self, point: dict[str, float]):
        super().__init__(point)
        self.library = _MP
        self.convert = _MP.mpc
        self.gamma = _MP.gamma

    def number(self, value: Fraction):
        return _MP.mpc(value.numerator) / value.denominator

    def constant(self, name: str):
        return _MP.mpc({"pi": _MP.pi, "e": _MP.e, "i": 1j, "infinity": _MP.inf}[name])

    def check_range(self, base, exponent) -> None:
        """Nothing to check: doubles have passed."""


_MP = mpmath.MPContext()
_MP.dps = _DIGITS
_MP_LOCK = threading.Lock()  # a context's precision is changed and restored within its functions


def _equal_to_a_hundred_digits(first: Tree, second: Tree, point: dict[str, float]) -> bool | None:
    with _MP_LOCK:
        try:
            one, other = _Precise(point).value(first), _Precise(point).value(second)
            if _MP.isinf(one) or _MP.isinf(other):
                return True  # doubles have compared the signs
            tolerance = _MP.mpf(10) ** -100 * max(abs(one), abs(other)) + _MP.mpf(10) ** -105
            return bool(abs(one - other) <= tolerance)
        except (ArithmeticError, ValueError, TypeError):
            return None
