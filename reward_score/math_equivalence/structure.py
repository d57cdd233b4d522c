r"""What kind of thing a final answer is: a formula, a tuple or interval, a set, a matrix, a relation, words.

``read`` never fails: what it does not understand becomes ``Opaque`` with its spelling, which equals only the same
spelling.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from reward_score.math_equivalence.evaluate import real
from reward_score.math_equivalence.expression import MAX_DEPTH, Tree, parse
from reward_score.math_equivalence.spelling import common_spelling
from reward_score.math_equivalence.tokens import NotUnderstoodError, Token, spell, tokenize
from reward_score.math_equivalence.units import ONLY_IN_TEXT, is_unit, read_unit


@dataclass(frozen=True)
class Formula:
    """An expression and the unit behind it ("" for none)."""

    tree: Tree
    unit: str
    latex: str


@dataclass(frozen=True)
class Words:
    """Text, in lower case, without punctuation at its ends."""

    text: str


@dataclass(frozen=True)
class Sequence:
    """A bracketed list: a tuple, an interval, or with braces a set."""

    opening: str
    closing: str
    items: tuple


@dataclass(frozen=True)
class Listing:
    """Several answers side by side, their order without meaning."""

    items: tuple


@dataclass(frozen=True)
class Union:
    """Sets joined by a union sign."""

    parts: tuple


@dataclass(frozen=True)
class AllBut:
    """The real numbers without some."""

    excluded: tuple


@dataclass(frozen=True)
class Matrix:
    """Rows of entries; ``determinant`` for vertical bars."""

    rows: tuple
    determinant: bool


@dataclass(frozen=True)
class Relation:
    """Sides with an operator between each two: = < > leq geq neq in approx equiv."""

    operators: tuple
    sides: tuple


@dataclass(frozen=True)
class Based:
    """Digits in a number base."""

    digits: str
    base: int


@dataclass(frozen=True)
class Ratio:
    """Parts with colons between them: a ratio or a time."""

    parts: tuple


@dataclass(frozen=True)
class Opaque:
    """Something not understood, spelled without spaces."""

    latex: str


Answer = Formula | Words | Sequence | Listing | Union | AllBut | Matrix | Relation | Based | Ratio | Opaque

EMPTY = Opaque("\\varnothing ")
MAX_PARTS = 500  # of a list, a matrix or a chain

INFINITY: Tree = ("constant", "infinity")
_RELATIONS = {"=", "<", ">"}
_RELATION_COMMANDS = {"leq", "geq", "neq", "in", "approx", "equiv"}
# LaTeX that was escaped once too often on its way through JSON; outside a matrix a line end is never followed by a
# name.
_DOUBLE_ESCAPED = re.compile(r"\\\\(?=[a-zA-Z{}()\[\]])")
# LaTeX that was not escaped on its way through JSON: a form feed and "rac" were \frac.
_CONTROL = re.compile(r"[\t\f\x08\r\v\a]")
_ESCAPES = {"\t": "\\t", "\f": "\\f", "\b": "\\b", "\r": "\\r", "\v": "\\v", "\a": "\\a"}
_LOST_BACKSLASH = re.compile(r"[\f\x08\v\a]|\t(?=ext|imes|frac|heta|an\b|o\b)|\r(?=ight|angle|floor|ho\b)")
_JOINING_WORDS = re.compile(r"[\s,;]*(?:and|or|或|和|且|与|及)?[\s,;]*")
_DIGITS_OF_A_BASE = re.compile(r"[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?")


def read(text: str) -> Answer:
    """Return the structure of a final answer."""
    if _CONTROL.search(text):
        text = _LOST_BACKSLASH.sub(lambda match: _ESCAPES[match.group()], text)
    if "\\\\" in text and "\\begin" not in text:
        text = _DOUBLE_ESCAPED.sub(r"\\", text)
    text = common_spelling(text)
    try:
        return _read(_without_outer_brackets(_without_idle_braces(tokenize(text))), 0)
    except (NotUnderstoodError, RecursionError, ValueError, IndexError, AttributeError):
        return Opaque(re.sub(r"\s+", "", text))


def _without_outer_brackets(tokens: list[Token]) -> list[Token]:
    """Drop brackets around brackets around everything but for one pair, and refuse what is nested too deep.

    Each level is read from its first token to its last, so that a thousand levels would take long.
    """
    partners: dict[int, int] = {}
    opened: list[int] = []
    for position, token in enumerate(tokens):
        if _nesting(token) == 1:
            opened.append(position)
        elif _nesting(token) == -1 and opened:
            partners[opened.pop()] = position
    first, last = 0, len(tokens) - 1
    while (
        partners.get(first) == last
        and partners.get(first + 1) == last - 1
        and tokens[first] == tokens[first + 1]
        and tokens[last] == tokens[last - 1]
    ):
        first, last = first + 1, last - 1
    tokens = tokens[first : last + 1]
    level = deepest = 0
    for token in tokens:
        level += _nesting(token)
        deepest = max(deepest, level)
    if deepest > MAX_DEPTH:
        raise NotUnderstoodError("nested too deep")
    return tokens


def _without_idle_braces(tokens: list[Token]) -> list[Token]:
    """Drop ``{}``, and the braces of ``{:}`` or ``{or}``."""
    if ("symbol", "{") not in tokens:
        return tokens
    kept: list[Token] = []
    for token in tokens:
        kept.append(token)
        if token == ("symbol", "}"):
            if kept[-2:-1] == [("symbol", "{")]:
                del kept[-2:]
            elif kept[-3:-2] == [("symbol", "{")] and (_is_separator(kept[-2]) or kept[-2] in _SIGNS):
                kept[-3:] = [kept[-2]]
    return kept


_SIGNS = {("symbol", ":"), ("symbol", "="), ("symbol", "<"), ("symbol", ">")}


def _read(tokens: list[Token], depth: int) -> Answer:
    if depth > MAX_DEPTH:
        raise NotUnderstoodError("nested too deep")
    tokens = _trimmed(tokens)
    if not tokens:
        raise NotUnderstoodError("empty")
    if words := _words(tokens):
        return words
    listing = _listing(tokens, depth)
    if listing:
        return listing
    relation = _relation(tokens, depth)
    if relation:
        return relation
    if any(token == ("command", "cup") for token in tokens):
        parts = _split(tokens, lambda token: token == ("command", "cup"))
        if len(parts) > 1:
            return Union(tuple(_read(part, depth + 1) for part in parts))
    difference = _difference(tokens, depth)
    if difference:
        return difference
    if any(token in (("command", "pm"), ("command", "mp")) for token in tokens):
        if tokens[0] == ("open", "{") and (bracketed := _bracketed(tokens, depth)):
            return bracketed
        return Listing(tuple(_read(_with_signs(tokens, swap), depth + 1) for swap in (False, True)))
    if tokens[0][0] == "command" and tokens[0][1].startswith("set "):
        return _real_numbers(tokens, depth)
    matrix = _matrix(tokens, depth)
    if matrix:
        return matrix
    bracketed = _bracketed(tokens, depth)
    if bracketed:
        return bracketed
    parts = _split(tokens, lambda token: token == ("symbol", ":"))
    if len(parts) > 1:
        return Ratio(tuple(_read(part, depth + 1) for part in parts))
    return _based(tokens) or _formula(tokens)


def _trimmed(tokens: list[Token]) -> list[Token]:
    """Drop dollar signs, punctuation and line ends at the ends, and brace groups around everything."""
    tokens = [token for token in tokens if token != ("symbol", "$")]
    partner = _partners(tokens)
    first, last = 0, len(tokens) - 1
    while first <= last:
        if tokens[last] in _PUNCTUATION:
            last -= 1
        elif tokens[first] in _LEADING:
            first += 1
        elif tokens[first] == ("symbol", "{") and partner.get(first) == last:
            first, last = first + 1, last - 1
        else:
            break
    return tokens[first : last + 1]


_PUNCTUATION = {
    ("symbol", '"'),
    ("symbol", "."),
    ("symbol", ","),
    ("symbol", ";"),
    ("command", "\\"),
    ("symbol", "\\"),
    ("symbol", "*"),
    ("symbol", "`"),
}
_LEADING = {
    ("symbol", '"'),
    ("symbol", "*"),
    ("symbol", "`"),
    ("command", "\\"),
    ("symbol", ":"),
    ("command", "therefore"),
    ("command", "approx"),
}


def _partners(tokens: list[Token]) -> dict[int, int]:
    """Return the position of the closing brace of each opening one."""
    partners, stack = {}, []
    for position, token in enumerate(tokens):
        if token == ("symbol", "{"):
            stack.append(position)
        elif token == ("symbol", "}") and stack:
            partners[stack.pop()] = position
    return partners


def _words(tokens: list[Token]) -> Words | Formula | None:
    """Read an answer of words alone: text, or one bare word; single letters are variables."""
    if any(kind not in ("text", "word", "letter") and (kind, value) not in _IN_WORDS for kind, value in tokens):
        return None
    if len(tokens) == 1 and tokens[0][0] == "word" and len(tokens[0][1]) == 2:
        return None  # xy is a product
    if all(kind != "text" for kind, _ in tokens) and (
        all(kind != "word" for kind, _ in tokens) or any(value in ("and", "or") for _, value in tokens)
    ):
        return None
    if any(kind == "text" and _is_separator((kind, value)) for kind, value in tokens):
        return None
    text = " ".join(value.strip() for _, value in tokens).lower()
    text = re.sub(r"\s+", " ", text).strip(" .,;:!?()\"'")
    if text in _SPELLED_NUMBERS:
        value = _SPELLED_NUMBERS.index(text)
        return Formula(("number", Fraction(value)), "", str(value))
    if _CHINESE_NUMBER.fullmatch(text) and (value := _chinese_number(text)) is not None:
        return Formula(("number", Fraction(value)), "", str(value))
    return Words(text)


_CHINESE_NUMBER = re.compile("[零一二两三四五六七八九十百千]{1,8}")


def _chinese_number(text: str) -> int | None:
    """Return the value of a Chinese numeral below ten thousand, None if it is none."""
    total, digit = 0, None
    for character in text:
        if character in "十百千":
            if digit is None and character != "十":
                return None
            total += (1 if digit is None else digit) * {"十": 10, "百": 100, "千": 1000}[character]
            digit = None
        elif digit in (None, 0):
            digit = "零一二三四五六七八九".index(character.replace("两", "二"))
        else:
            return None
    return total + (digit or 0)


_SPELLED_NUMBERS = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
]
_IN_WORDS = {("symbol", "-"), ("symbol", "'"), ("symbol", "."), ("symbol", "!"), ("symbol", "?")}


def _is_separator(token: Token) -> bool:
    kind, value = token
    if kind == "text":
        return bool(value.strip()) and _JOINING_WORDS.fullmatch(value) is not None
    return token in (("symbol", ","), ("symbol", ";"), ("word", "and"), ("word", "or"))


def _split(tokens: list[Token], separates) -> list[list[Token]]:
    """Split at the tokens outside all brackets for which ``separates`` holds."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += _nesting(token)
        if depth == 0 and separates(token):
            parts.append([])
            if len(parts) > MAX_PARTS:
                raise NotUnderstoodError("too many parts")
        else:
            parts[-1].append(token)
    return parts


def _nesting(token: Token) -> int:
    kind, value = token
    if (
        kind == "open"
        or token == ("symbol", "{")
        or kind == "command"
        and (value.startswith("begin ") or value in _OPENING_COMMANDS)
    ):
        return 1
    if (
        kind == "close"
        or token == ("symbol", "}")
        or kind == "command"
        and (value.startswith("end ") or value in _CLOSING_COMMANDS)
    ):
        return -1
    return 0


_OPENING_COMMANDS = {"langle", "lfloor", "lceil"}
_CLOSING_COMMANDS = {"rangle", "rfloor", "rceil"}


def _listing(tokens: list[Token], depth: int) -> Listing | None:
    for separates in (lambda token: token == ("symbol", ";"), _is_separator):
        parts = [part for part in _split(tokens, separates) if _trimmed(part)]
        if len(parts) > 1:
            items = []
            for part in parts:
                item = _read(part, depth + 1)
                items.extend(_items(item) if separates is _is_separator else [item])
            return Listing(tuple(items))
    return None


def _items(item: Answer) -> tuple:
    r"""Return the answers that a part of a list is: several for ``\pm 2`` and for ``x = \pm 2``."""
    if isinstance(item, Relation) and item.operators == ("=",) and isinstance(item.sides[1], Listing):
        return tuple(Relation(("=",), (item.sides[0], side)) for side in item.sides[1].items)
    return item.items if isinstance(item, Listing) else (item,)


def _relation(tokens: list[Token], depth: int) -> Relation | None:
    def relates(token: Token) -> bool:
        kind, value = token
        return kind == "symbol" and value in _RELATIONS or kind == "command" and value in _RELATION_COMMANDS

    if ("command", "not") in tokens:
        raise NotUnderstoodError("a negated relation")
    if ("symbol", "!") in tokens:
        tokens = _with_unequal_signs(tokens)
    sides = _split(tokens, relates)
    if len(sides) == 1:
        return None
    operators = []
    level = 0
    for token in tokens:
        level += _nesting(token)
        if level == 0 and relates(token):
            operators.append("=" if token[1] == "equiv" else token[1])
    if ("symbol", "<") in tokens or ("symbol", ">") in tokens:  # <= is two tokens
        for index in range(len(operators) - 1, 0, -1):
            if operators[index] == "=" and not sides[index] and operators[index - 1] in "<>":
                operators[index - 1 : index + 1] = ["leq" if operators[index - 1] == "<" else "geq"]
                del sides[index]
    if any(not _trimmed(side) for side in sides):
        raise NotUnderstoodError("a relation without a side")
    return Relation(tuple(operators), tuple(_read_or_keep(side, depth + 1) for side in sides))


def _with_unequal_signs(tokens: list[Token]) -> list[Token]:
    """Read "x != 3" as an inequality; "5! = 120" keeps its factorial."""
    joined: list[Token] = []
    for token in tokens:
        if (
            token == ("symbol", "=")
            and joined[-1:] == [("symbol", "!")]
            and joined[-2:-1]
            and joined[-2][0] == "letter"
        ):
            joined[-1] = ("command", "neq")
        else:
            joined.append(token)
    return joined


def _read_or_keep(tokens: list[Token], depth: int) -> Answer:
    try:
        return _read(tokens, depth)
    except NotUnderstoodError:
        return Opaque(spell(tokens))


def _with_signs(tokens: list[Token], swap: bool) -> list[Token]:
    """Replace each plus-minus sign by one of its signs."""
    signs = {("command", "pm"): "-" if swap else "+", ("command", "mp"): "+" if swap else "-"}
    return [("symbol", signs[token]) if token in signs else token for token in tokens]


def _real_numbers(tokens: list[Token], depth: int) -> Answer:
    if tokens[0][1] != "set R":
        raise NotUnderstoodError("a set of numbers")
    if len(tokens) == 1:
        return AllBut(())
    if tokens[1] not in (("command", "setminus"), ("symbol", "-")):
        raise NotUnderstoodError("a set of numbers")
    excluded = _read(tokens[2:], depth + 1)
    return AllBut(excluded.items if isinstance(excluded, Sequence | Listing) else (excluded,))


def _matrix(tokens: list[Token], depth: int) -> Matrix | None:
    begin = next(
        (index for index, (kind, value) in enumerate(tokens) if kind == "command" and value.startswith("begin ")), None
    )
    if begin is None:
        return None
    name = tokens[begin][1].removeprefix("begin ")
    if name.rstrip("*") not in ("pmatrix", "bmatrix", "Bmatrix", "matrix", "vmatrix", "smallmatrix", "array"):
        raise NotUnderstoodError(f"environment {name}")
    if tokens[-1] != ("command", f"end {name}"):
        if begin == 1 and tokens[0][0] == "open" and tokens[-1][0] == "close":
            return _matrix(tokens[1:-1], depth)  # \left( \begin{array} ... \end{array} \right)
        raise NotUnderstoodError("something behind a matrix")
    before = tokens[: begin - 1] if begin and tokens[begin - 1] in _TIMES else tokens[:begin]
    if before == [("symbol", "-")]:
        before.append(("number", "1"))
    factor = _formula(before) if before else None
    rows = []
    for row in _split(tokens[begin + 1 : -1], lambda token: token == ("command", "\\")):
        if _trimmed(row):
            cells = _split(row, lambda token: token == ("symbol", "&"))
            rows.append(tuple(_scaled(_read(cell, depth + 1), factor) for cell in cells))
    return Matrix(tuple(rows), name == "vmatrix")


_TIMES = (("command", "cdot"), ("command", "times"), ("symbol", "*"))


def _scaled(cell: Answer, factor: Formula | None) -> Answer:
    if factor is None:
        return cell
    if not isinstance(cell, Formula) or not isinstance(factor, Formula):
        raise NotUnderstoodError("a factor before something that is no formula")
    return Formula(("product", [factor.tree, cell.tree]), cell.unit, factor.latex + cell.latex)


def _difference(tokens: list[Token], depth: int) -> Answer | None:
    r"""Read an interval without some of its points, ``(-1,3) \setminus \{0\}``, as a union of intervals."""
    if tokens[-1] != ("close", "}") or tokens[0][0] != "open":
        return None
    parts = _split(tokens, lambda token: token in (("command", "setminus"), ("symbol", "-")))
    if len(parts) != 2 or not parts[0] or parts[1][:1] != [("open", "{")]:
        return None
    whole, points = _read(parts[0], depth + 1), _read(parts[1], depth + 1)
    if isinstance(whole, Relation):
        whole = _interval(whole) or whole
    if not isinstance(whole, Sequence) or len(whole.items) != 2 or whole.opening not in "([":
        raise NotUnderstoodError("a difference of sets")
    if not isinstance(points, Sequence) or points.opening != "{":
        raise NotUnderstoodError("a difference of sets")
    low, high = whole.items
    ends = [real(item.tree) if isinstance(item, Formula) else None for item in (low, *points.items, high)]
    if None in ends or not all(ends[0] < end < ends[-1] for end in ends[1:-1]) or len(set(ends)) < len(ends):
        raise NotUnderstoodError("a difference of sets")
    inner = [item for _, item in sorted(zip(ends[1:-1], points.items, strict=True), key=lambda pair: pair[0])]
    borders = [low, *inner, high]
    openings = [whole.opening] + ["("] * len(inner)
    closings = [")"] * len(inner) + [whole.closing]
    return Union(
        tuple(map(Sequence, openings, closings, zip(borders[:-1], borders[1:], strict=True))),
    )


def _interval(relation: Relation) -> Sequence | None:
    """Return the ray that an inequality ``x < a`` describes."""
    if (
        len(relation.sides) != 2
        or not isinstance(relation.sides[0], Formula)
        or relation.sides[0].tree[0] != "variable"
    ):
        return None
    closed = relation.operators[0] in ("leq", "geq")
    if relation.operators[0] in ("<", "leq"):
        return Sequence(
            "(", "]" if closed else ")", (Formula(("negative", INFINITY), "", "-\\infty "), relation.sides[1])
        )
    if relation.operators[0] in (">", "geq"):
        return Sequence("[" if closed else "(", ")", (relation.sides[1], Formula(INFINITY, "", "\\infty ")))
    return None


def _bracketed(tokens: list[Token], depth: int) -> Answer | None:
    """Read a tuple, an interval or a set; parentheses around one thing are dropped."""
    level = 0
    for position, token in enumerate(tokens):
        level += _nesting(token)
        if level == 0 and position < len(tokens) - 1:
            return None
    opening, closing = tokens[0], tokens[-1]
    if _nesting(opening) != 1 or opening == ("symbol", "{") or opening[1] in ("lfloor", "lceil"):
        return None
    brackets = {"langle": "(", "rangle": ")"}
    opening, closing = brackets.get(opening[1], opening[1]), brackets.get(closing[1], closing[1])
    inside = _trimmed(tokens[1:-1])
    if not inside and opening == "{":
        return EMPTY
    if not inside:
        raise NotUnderstoodError("empty brackets")
    if opening == "{":
        such_that = _split(inside, lambda token: token in (("symbol", "|"), ("symbol", ":")))
        if len(such_that) == 2 and such_that[0][:1] and such_that[0][0][0] == "letter":
            return _read(such_that[1], depth + 1)
    parts = _split(inside, lambda token: token in (("symbol", ","), ("symbol", ";")))
    if len(parts) == 1:
        items = _read(inside, depth + 1)
        if opening == "{":
            return Sequence("{", "}", items.items if isinstance(items, Listing) else (items,))
        return items if (opening, closing) == ("(", ")") else Sequence(opening, closing, (items,))
    items = [_read(part, depth + 1) for part in parts]
    if opening == "{":  # \{1\pm\sqrt{5}, 2\} has three elements
        items = [each for item in items for each in (item.items if isinstance(item, Listing) else (item,))]
    return Sequence(opening, closing, tuple(items))


def _based(tokens: list[Token]) -> Based | None:
    """Read digits with an index: 1101_2, 2B_{16}, -12.3_5."""
    position = next((index for index, token in enumerate(tokens) if token == ("symbol", "_")), 0)
    sign = "-" if tokens[0] == ("symbol", "-") else ""
    before = [token for token in tokens[len(sign) : position] if token not in (("symbol", "{"), ("symbol", "}"))]
    if before[:1] == [("open", "(")] and before[-1:] == [("close", ")")]:
        before = before[1:-1]  # (2104)_5
    if not before or not any(kind == "number" or kind == "text" for kind, _ in before):
        return None
    if any(kind not in ("number", "letter", "word", "text") for kind, _ in before):
        return None
    digits = re.sub(r"[\s,]", "", "".join(value for _, value in before))
    index = [token for token in tokens[position + 1 :] if token not in (("symbol", "{"), ("symbol", "}"))]
    if index[:1] == [("open", "(")] and index[-1:] == [("close", ")")]:
        index = index[1:-1]
    base = index[0][1].lower().strip() if len(index) == 1 else ""
    base = str(_SPELLED_NUMBERS.index(base)) if base in _SPELLED_NUMBERS else base
    if not base.isdigit() or not 2 <= int(base[:3]) <= 36 or not _DIGITS_OF_A_BASE.fullmatch(digits):
        raise NotUnderstoodError("digits or an index of no base")
    return Based(sign + digits.upper(), int(base))


def _formula(tokens: list[Token]) -> Formula | Opaque:
    """Read an expression and its unit; Opaque if it is not understood."""
    latex = spell(tokens)
    try:
        core, unit, multiplier = _without_unit(tokens)
        tree = parse(core)
    except (NotUnderstoodError, ZeroDivisionError):
        return Opaque(latex)
    if multiplier != 1:
        return Formula(("product", [tree, ("number", Fraction(multiplier))]), unit, latex)
    return Formula(tree, unit, spell(core))


def _without_unit(tokens: list[Token]) -> tuple[list[Token], str, int]:
    """Split tokens into a formula and its unit. Returns the number that "million" and the like stand for as well."""
    tokens, currency = _without_currency(tokens)
    end = len(tokens)
    while end > 0 and (width := _unit_width(tokens, end)):
        end -= width
    core, behind = tokens[:end], tokens[end:]
    if not behind or not core or ("command", "circ") in behind and any(token in _OF_ANGLES for token in core):
        return tokens, currency, 1
    if any(token in _MODULUS for token in behind):
        return core, "mod " + "".join(value for kind, value in behind if kind == "number"), 1
    text = "".join(
        _UNIT_SIGNS.get(value, value if kind in ("symbol", "number") else f" {value} ") for kind, value in behind
    )
    text = _HALVES_OF_THE_DAY.sub(r"\1m", _DEGREE_SIGN.sub(" degree ", text))
    unit, multiplier = read_unit(text)
    return core, f"{currency}*{unit}" if currency and unit else unit or currency, multiplier


_MODULUS = (("command", "pmod"), ("command", "bmod"), ("command", "mod"), ("word", "mod"))
_UNIT_SIGNS = {"circ": " degree ", "cdot": " ", "$": " dollar ", "C": " celsius ", "F": " fahrenheit "}
_DEGREE_SIGN = re.compile(r"\^\{?\s*degree\s*\}?")
_HALVES_OF_THE_DAY = re.compile(r"\b([ap])\s*\.\s*m\b")
_OF_ANGLES = {("command", name) for name in ("sin", "cos", "tan", "cot", "sec", "csc")}


def _without_currency(tokens: list[Token]) -> tuple[list[Token], str]:
    """Drop a currency sign at the front, behind a leading minus, or at the end."""
    sign = ("command", "$")
    for position in (0, 1, len(tokens) - 1):
        if len(tokens) > 1 and tokens[position] == sign and (position != 1 or tokens[0] == ("symbol", "-")):
            return tokens[:position] + tokens[position + 1 :], "dollar"
    return tokens, ""


def _unit_width(tokens: list[Token], end: int) -> int:
    """Return how many tokens before ``end`` belong to a unit, 0 if none do."""
    last = tokens[end - 1]
    before = tokens[end - 2] if end > 1 else ("end", "")
    if last[0] == "text" or last in (("symbol", "%"), ("command", "min"), ("command", "sec"), ("command", "$")):
        return 1
    if last[0] == "word":
        return int(end > 1 and (_is_unit_word(last) or len(last[1]) >= 4))
    if last[0] == "letter":
        return int(last[1] in "CF" and _ends_in_degrees(tokens, end - 1))
    if last == ("command", "circ"):
        return 2 if before == ("symbol", "^") else 1
    if last == ("symbol", "/") or last == ("command", "cdot"):
        return int(end < len(tokens) and tokens[end][0] == "text" or end < len(tokens) and _is_unit_word(tokens[end]))
    for shape in _EXPONENTS:
        start = end - len(shape)
        if start > 0 and all(map(_fits, tokens[start:end], shape)):
            return len(shape) if ("command", "circ") in shape or _is_unit_word(tokens[start - 1]) else 0
    if before in _MODULUS and last[0] == "number":
        return 2
    if last in (("symbol", "}"), ("close", ")")):
        opening = next(
            (index for index in range(end - 2, 0, -1) if tokens[index] in (("symbol", "{"), ("open", "("))), 0
        )
        inside = tokens[opening + 1 : end - 1]
        if opening and (tokens[opening - 1] in _MODULUS or inside[:1] == [("word", "mod")]):
            return end - opening + (tokens[opening - 1] in _MODULUS)
        if opening and inside and all(map(_is_unit_word, inside)):  # \mathrm{cm}
            return end - opening
    return 0


# The ends of units that have more than one token; a number is any number.
_EXPONENTS = [
    [("symbol" if sign in "^{}-" else "number" if sign == "2" else "command", sign) for sign in shape.split()]
    for shape in ("^ { circ }", "^ { - 2 }", "^ { 2 }", "^ - 2", "^ 2")
]


def _fits(token: Token, sign: Token) -> bool:
    return token == sign or token[0] == sign[0] == "number"


def _ends_in_degrees(tokens: list[Token], end: int) -> bool:
    return any(token == ("command", "circ") for token in tokens[max(0, end - 2) : end])


def _is_unit_word(token: Token) -> bool:
    return token[0] == "text" or token[0] == "word" and token[1] not in ONLY_IN_TEXT and is_unit(token[1])
