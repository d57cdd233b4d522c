r"""Formulas to expression trees: the part of mathematical notation that final answers are written in.

An operator-precedence parser over a flat list of tokens. What it does not know (sums, integrals, limits, derivatives)
raises ``NotUnderstoodError``; nothing is guessed. Linear time, nested at most ``MAX_DEPTH`` deep.

A tree is a tuple: ``("number", Fraction)``, ``("variable", name)``, ``("constant", "pi" | "e" | "i" | "infinity")``,
``("sum", [trees])``, ``("product", [trees])``, ``("negative", tree)``, ``("inverse", tree)``,
``("power", base, exponent)``, and ``("call", function, [trees])``.
"""

import re
from fractions import Fraction

from reward_score.math_equivalence.tokens import FUNCTIONS, NotUnderstoodError, Token, names, number

Tree = tuple

MAX_DEPTH = 60
MAX_POSTFIXES = 3  # powers, factorials and degree signs behind one factor
MAX_SIGNS = 45_000  # tokens of a formula, each letter of a word for one
MAX_DIGITS = 4000  # of one number; the time to read it grows with the square


def parse(tokens: list[Token]) -> Tree:
    """Return the tree of a formula without relations and lists.

    Raises:
        NotUnderstoodError: for anything else.
    """
    parser = _Parser(tokens)
    tree = parser.sum(0)
    if parser.position != len(parser.tokens):
        raise NotUnderstoodError(f"unexpected {parser.peek()[1]!r}")
    return tree


_GREEK_NAMES = names(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau
    upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar
    """
)
ONE = ("number", Fraction(1))
DEGREE = ("product", [("constant", "pi"), ("number", Fraction(1, 180))])

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_CONSTANTS = {"pi": ("constant", "pi"), "infty": ("constant", "infinity")}
_NO_FACTOR = {"+", "-", "*", "/", "^", "_", "=", "<", ">", ",", ";", ":", "!", "'", "&", "%", "}", "#", "$", "?", "\\"}
_NO_FACTOR_COMMANDS = {
    "cdot",
    "times",
    "pm",
    "mp",
    "leq",
    "geq",
    "neq",
    "in",
    "approx",
    "cup",
    "cap",
    "setminus",
    "rfloor",
    "rceil",
    "rangle",
    "\\",
    "$",
}


class _Parser:
    def __init__(self, tokens: list[Token]):
        self.tokens = _letters_of_words(tokens)
        self.position = 0
        self.bars = 0

    def peek(self) -> Token:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "")

    def next(self) -> Token:
        token = self.peek()
        self.position += 1
        return token

    def at(self, kind: str, value: str) -> bool:
        return self.peek() == (kind, value)

    def expect(self, kind: str, value: str) -> None:
        if self.next() != (kind, value):
            raise NotUnderstoodError(f"{value!r} expected")

    def sum(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise NotUnderstoodError("nested too deep")
        terms = []
        sign = 1
        while self.peek() in (("symbol", "+"), ("symbol", "-")):
            sign = -sign if self.next()[1] == "-" else sign
        while True:
            term = self.product(depth + 1)
            terms.append(term if sign == 1 else ("negative", term))
            if self.peek() not in (("symbol", "+"), ("symbol", "-")):
                break
            sign = 1
            while self.peek() in (("symbol", "+"), ("symbol", "-")):
                sign = -sign if self.next()[1] == "-" else sign
        return terms[0] if len(terms) == 1 else ("sum", terms)

    def product(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise NotUnderstoodError("nested too deep")
        factors = [self.factor(depth)]
        while True:
            kind, value = self.peek()
            if (kind, value) in (("symbol", "*"), ("command", "cdot"), ("command", "times")):
                self.next()
                if self.at("symbol", "*"):  # a ** b
                    self.next()
                    factors[-1] = ("power", factors[-1], self.signed(depth))
                else:
                    factors.append(self.signed(depth))
            elif (kind, value) == ("symbol", "/"):
                self.next()
                factors.append(("inverse", self.signed(depth)))
            elif self.starts_factor(kind, value):
                mixed = self.mixed_number(factors[-1]) if len(factors) == 1 else None
                factors[-1:] = [mixed] if mixed else [factors[-1], self.factor(depth)]
            else:
                return factors[0] if len(factors) == 1 else ("product", factors)

    def signed(self, depth: int) -> Tree:
        if self.peek() in (("symbol", "+"), ("symbol", "-")):
            negative = self.next()[1] == "-"
            tree = self.factor(depth)
            return ("negative", tree) if negative else tree
        return self.factor(depth)

    def mixed_number(self, whole: Tree) -> Tree | None:
        r"""Read the fraction of a mixed number like ``4\frac{1}{3}`` or ``4 1/3``, if one follows a whole number."""
        before = self.tokens[self.position - 1]
        if whole[0] != "number" or whole[1].denominator != 1 or before[0] != "number":
            return None
        start = self.position
        if self.peek() == ("command", "frac"):
            self.next()
            top, bottom = self.argument(1), self.argument(1)
        elif self.peek()[0] == "number":
            top = ("number", number(self.next()[1]))
            slash, (kind, value) = self.next(), self.next()
            if slash != ("symbol", "/") or kind != "number":
                raise NotUnderstoodError("two numbers in a row")
            bottom = ("number", number(value))
        else:
            return None
        if (
            top[0] == bottom[0] == "number"
            and top[1].denominator == bottom[1].denominator == 1
            and 0 < top[1] < bottom[1]
        ):
            return ("number", whole[1] + top[1] / bottom[1])
        self.position = start
        return None

    def starts_factor(self, kind: str, value: str) -> bool:
        if kind in ("end", "close", "text"):
            return False
        if kind == "symbol":
            return value not in _NO_FACTOR and not (value == "|" and self.bars)
        if kind == "command":
            return value not in _NO_FACTOR_COMMANDS and not value.startswith("end ")
        return True

    def factor(self, depth: int) -> Tree:
        tree = self.primary(depth + 1)
        for _ in range(MAX_POSTFIXES):
            if self.at("symbol", "^"):
                self.next()
                tree = ("product", [tree, DEGREE]) if self.degree() else ("power", tree, self.exponent(depth + 1))
            elif self.at("symbol", "!"):
                self.next()
                tree = ("call", "factorial", [tree])
            elif self.at("command", "circ"):
                self.next()
                tree = ("product", [tree, DEGREE])
            else:
                return tree
        raise NotUnderstoodError("too many signs behind a factor")

    def degree(self) -> bool:
        for width, tokens in ((1, [("command", "circ")]), (3, [("symbol", "{"), ("command", "circ"), ("symbol", "}")])):
            if self.tokens[self.position : self.position + width] == tokens:
                self.position += width
                return True
        return False

    def exponent(self, depth: int) -> Tree:
        negative = self.at("symbol", "-")
        if negative or self.at("symbol", "+"):
            self.next()
        tree = self.braces(depth) if self.at("symbol", "{") else self.primary(depth)
        return ("negative", tree) if negative else tree

    def argument(self, depth: int) -> Tree:
        """Read one argument of a command: a group, or one digit, letter or command as TeX does."""
        if self.at("symbol", "{"):
            return self.braces(depth)
        kind, value = self.peek()
        if kind == "number" and len(value) > 1 and value.isdigit():
            self.tokens[self.position] = ("number", value[1:])
            return ("number", Fraction(int(value[0])))
        return self.primary(depth + 1)

    def braces(self, depth: int) -> Tree:
        self.expect("symbol", "{")
        bars, self.bars = self.bars, 0
        tree = self.sum(depth + 1)
        self.bars = bars
        self.expect("symbol", "}")
        return tree

    def primary(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise NotUnderstoodError("nested too deep")
        kind, value = self.next()
        if kind == "number":
            return self.number(value)
        if kind == "letter":
            return self.subscripted(value)
        if (kind, value) == ("symbol", "{"):
            self.position -= 1
            return self.braces(depth)
        if kind == "open":
            bars, self.bars = self.bars, 0
            tree = self.sum(depth + 1)
            self.bars = bars
            self.expect("close", _CLOSING[value])
            return tree
        if (kind, value) == ("symbol", "|"):
            self.bars += 1
            tree = self.sum(depth + 1)
            self.bars -= 1
            self.expect("symbol", "|")
            return ("call", "abs", [tree])
        if kind == "command":
            return self.command(value, depth)
        raise NotUnderstoodError(f"unexpected {value!r}")

    def number(self, value: str) -> Tree:
        repeating = self.peek() in (("command", "overline"), ("command", "dot"))
        if repeating and (value.endswith(".") or "." in value):
            self.next()
            if self.at("symbol", "{"):
                self.next()
                digits = self.next()
                self.expect("symbol", "}")
            else:
                digits = self.next()
            if digits[0] != "number" or not digits[1].isdigit() or len(digits[1]) > 100:
                raise NotUnderstoodError("no repeating decimal")
            decimals = len(value.rstrip("0123456789") and value.rpartition(".")[2])
            return (
                "number",
                number(value) + Fraction(int(digits[1]), (10 ** len(digits[1]) - 1) * 10**decimals),
            )
        if value.endswith("."):
            raise NotUnderstoodError("a dot behind a number")
        if self.at("symbol", "_"):
            raise NotUnderstoodError("a number with a base")
        if len(value) > MAX_DIGITS:
            raise NotUnderstoodError("too many digits")
        return ("number", number(value))

    def subscripted(self, letter: str) -> Tree:
        """Read the index of a variable: x_1, x_{12}, a_{n+1}. Its text is part of the name."""
        if self.at("symbol", "'"):
            return ("variable", letter + self.primes())
        if not self.at("symbol", "_"):
            return _letter(letter)
        self.next()
        return ("variable", f"{letter}_{self.raw_group()}{self.primes()}")

    def primes(self) -> str:
        start = self.position
        while self.at("symbol", "'"):
            self.next()
        return "'" * (self.position - start)

    def raw_group(self) -> str:
        if not self.at("symbol", "{"):
            kind, value = self.next()
            if kind not in ("number", "letter", "command"):
                raise NotUnderstoodError("an index without a name")
            return value
        depth = 0
        texts = []
        while True:
            kind, value = self.next()
            if kind == "end":
                raise NotUnderstoodError("unbalanced braces")
            depth += (kind, value) == ("symbol", "{")
            depth -= (kind, value) == ("symbol", "}")
            if depth == 0:
                return "".join(texts)
            if kind != "symbol" or value not in "{}":
                texts.append(value.strip())

    def command(self, name: str, depth: int) -> Tree:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in _GREEK_NAMES:
            return self.subscripted(name)
        if name == "frac":
            return ("product", [self.argument(depth), ("inverse", self.argument(depth))])
        if name == "sqrt":
            if self.peek() == ("open", "["):
                self.next()
                index = self.sum(depth + 1)
                self.expect("close", "]")
                return ("power", self.argument(depth), ("inverse", index))
            if self.peek() == ("open", "("):
                return ("call", "sqrt", [self.primary(depth + 1)])
            if self.peek()[0] == "number":  # \sqrt12: TeX takes one digit, who writes it means all
                return ("call", "sqrt", [self.number(self.next()[1])])
            return ("call", "sqrt", [self.argument(depth)])
        if name == "binom":
            return ("call", "binomial", [self.argument(depth), self.argument(depth)])
        if name in ("lfloor", "lceil"):
            tree = self.sum(depth + 1)
            self.expect("command", "r" + name[1:])
            return ("call", name[1:], [tree])
        if name in FUNCTIONS:
            return self.function(name, depth)
        if name in ("overline", "vec", "hat", "overrightarrow", "tilde", "widehat", "angle", "triangle"):
            inside = self.raw_group()
            if re.fullmatch(r"[0-9.,]+", inside):
                raise NotUnderstoodError("a decorated number")
            return ("variable", f"{name} {inside}")
        raise NotUnderstoodError(f"unknown command {name!r}")

    def function(self, name: str, depth: int) -> Tree:
        power = base = None
        while self.peek() in (("symbol", "^"), ("symbol", "_")):
            if self.next()[1] == "^":
                power = self.exponent(depth + 1)
            else:
                base = self.argument(depth + 1)
        if self.peek() not in (("open", "("), ("open", "["), ("symbol", "{")):
            arguments = [self.bare_argument(depth + 1)]
        elif name in ("gcd", "lcm", "max", "min"):
            arguments = self.arguments(depth)
        else:
            arguments = [self.primary(depth + 1)]
        if name == "log" and base is not None:
            tree = ("call", "log base", [*arguments, base])
        elif name == "lg":
            tree = ("call", "log base", [*arguments, ("number", Fraction(10))])
        elif name == "exp":
            tree = ("power", ("constant", "e"), arguments[0])
        elif base is not None:
            raise NotUnderstoodError(f"an index on {name}")
        else:
            tree = ("call", "ln" if name == "log" else name, arguments)
        if power is None:
            return tree
        if power == ("negative", ONE) and name in ("sin", "cos", "tan", "cot"):
            return ("call", "arc" + name, arguments)
        return ("power", tree, power)

    def arguments(self, depth: int) -> list[Tree]:
        opening = self.next()[1]
        trees = [self.sum(depth + 1)]
        while self.at("symbol", ","):
            self.next()
            trees.append(self.sum(depth + 1))
        if self.next()[1] != _CLOSING[opening]:
            raise NotUnderstoodError("unbalanced brackets")
        return trees

    def bare_argument(self, depth: int) -> Tree:
        """Read the argument of a function without brackets: all factors up to the next operator or function."""
        if depth > MAX_DEPTH:
            raise NotUnderstoodError("nested too deep")
        if self.peek()[0] == "command" and self.peek()[1] in FUNCTIONS - {"sqrt"}:
            return self.factor(depth)
        factors = [self.signed(depth)]
        while True:
            kind, value = self.peek()
            if (
                not self.starts_factor(kind, value)
                or kind == "open"
                or kind == "command"
                and value in FUNCTIONS - {"sqrt"}
            ):
                break
            factors.append(self.factor(depth))
        if self.at("symbol", "/") and len(factors) == 1 and factors[0][0] in ("constant", "number"):
            self.next()  # \sin \pi/6
            factors.append(("inverse", self.factor(depth)))
        return factors[0] if len(factors) == 1 else ("product", factors)


def _letters_of_words(tokens: list[Token]) -> list[Token]:
    """Split runs of letters into variables: in a formula, ab is a times b."""
    split: list[Token] = []
    for kind, value in tokens:
        if kind == "word":
            if len(value) > 12:
                raise NotUnderstoodError("a word in a formula")
            split.extend(("letter", letter) for letter in value)
        else:
            split.append((kind, value))
    if len(split) > MAX_SIGNS:
        raise NotUnderstoodError("too long")
    return split


def _letter(letter: str) -> Tree:
    return ("constant", letter) if letter in ("e", "i") else ("variable", letter)
