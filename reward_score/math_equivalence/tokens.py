r"""LaTeX and plain-text mathematics to tokens: one spelling for the many that mean the same.

A token is its kind and its text: number, letter, word (a run of letters that is no function), text (the content of
``\text``), command, symbol, open, close. ``{`` and ``}`` are symbols, ``\{`` and ``\}`` open and close.
"""

import re
from fractions import Fraction

Token = tuple[str, str]

MAX_TOKENS = 60_000
MAX_NAME = 200  # of a name, a unit or a number in a font of its own


class NotUnderstoodError(ValueError):
    """The text is nothing of the supported notation."""


def names(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


FUNCTIONS = names(
    """
    sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh coth ln log lg exp sqrt abs gcd lcm max min
    """
)
# Commands that only change the look.
_INVISIBLE = names(
    """
    left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle textstyle scriptstyle
    large Large LARGE huge underline limits nolimits quad qquad thinspace medspace thickspace enspace hfill rm bf it
    """
)
_FONTS = names(
    """
    mathbf mathrm mathit mathsf mathtt mathcal boldsymbol bm pmb boxed fbox hbox operatorname ensuremath
    """
)
_TEXTS = names(
    """
    text mbox textrm textnormal textbf textit texttt textsf
    """
)
_WITHOUT_PRINT = names(
    """
    phantom hphantom vphantom hspace vspace label color textcolor tag kern
    """
)
_SYNONYMS = dict(
    pair.split(":", 1)
    for pair in names(
        """
    dfrac:frac tfrac:frac cfrac:frac dbinom:binom tbinom:binom le:leq leqslant:leq ge:geq geqslant:geq ne:neq
    lt:< gt:> lbrace:{ rbrace:} lbrack:[ rbrack:] vert:| lvert:| rvert:| mid:| degree:circ ast:* land:and lor:or
    wedge:and vee:or bar:overline simeq:approx cong:approx doteq:approx thickapprox:approx sim:approx
    lang:langle rang:rangle smallsetminus:setminus backslash:setminus prime:' emptyset:varnothing
    implies:Rightarrow colon:: div:/ cdotp:cdot asin:arcsin acos:arccos atan:arctan infin:infty infinity:infty
    nicefrac:frac sfrac:frac textdollar:$ pounds:$ euro:$ texteuro:$ textsterling:$
    tg:tan ctg:cot arctg:arctan cosec:csc cth:coth dots:ldots dotsc:ldots cdots:ldots
        """
    )
)
_BARE_COMMANDS = FUNCTIONS | {"pi", "infty", "infinity", "theta", "asin", "acos", "atan"}
_FUNCTION_NAMES = _BARE_COMMANDS - {"pi", "infty", "infinity", "theta", "min", "max"} | {"tg", "ctg", "arctg", "cosec"}

_UNICODE = str.maketrans(
    dict(
        zip(
            "−–—﹣－＋×·⋅∗÷⁄∕（），；：＝％、。′’∶\u2062０１２３４５６７８９",
            "-----+****///(),;:=%,.'':*0123456789",
            strict=True,
        )
    )
    | {
        character: rf"\{name} "
        for character, _, name in (
            pair.partition(":")
            for pair in names(
                """
    π:pi ∞:infty √:sqrt ≤:leq ≥:geq ⩽:leq ⩾:geq ≦:leq ≧:geq ≠:neq ∪:cup ∩:cap ∈:in ±:pm ∓:mp ≈:approx ∅:varnothing
    ⌊:lfloor ⌋:rfloor
    ⌈:lceil ⌉:rceil 〈:langle 〉:rangle ⟨:langle ⟩:rangle α:alpha β:beta θ:theta λ:lambda μ:mu φ:phi ω:omega Δ:Delta
                """
            )
        )
    }
    | {character: f"^{{{digit}}}" for digit, character in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
    | {character: f"_{{{digit}}}" for digit, character in enumerate("₀₁₂₃₄₅₆₇₈₉")}
    | {
        character: rf"\frac{{{value[0]}}}{{{value[1]}}}"
        for character, value in zip(
            "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞",
            ("12", "13", "23", "14", "34", "15", "25", "35", "45", "16", "56", "18", "38", "58", "78"),
            strict=True,
        )
    }
    | dict.fromkeys("£€¥₹", r"\$")
    | dict.fromkeys("\u00a0\u2009\u202f", " ")
    | dict.fromkeys("\u200b\u200c\u200d\ufeff\u2061", "")
    | dict.fromkeys("°º", r"^\circ ")
    | {"℃": r"^\circ \text{C}"}
    | {"ℝ": r"\mathbb{R}"}
)

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|~|\\[,;:!> \t\n]|\\(?=\s|$))+)
    |(?P<number>
        [0-9]{1,3}(?:(?:\s?,\s?(?:\\!)+\s*|\{,\}(?:\\!)*|,|\\[ ,]|[ ])[0-9]{3})+(?![0-9])(?:\.[0-9]+)?
        |(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3}(?![0-9a-zA-Z]))?)
    |(?P<dots>\.{2,}|…)
    |(?P<command>\\[a-zA-Z]+\*?)
    |(?P<escaped>\\.)
    |(?P<han>[\u4e00-\u9fff]+)
    |(?P<word>[a-zA-Z]+)
    |(?P<symbol>.)""",
    re.VERBOSE | re.DOTALL,
)
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_SPACES = re.compile(r"\s*")
# What stands behind a value and may be its unit.
_UNIT_TEXT = re.compile(r"[A-Za-z%°\s./^{}·0-9-]+|[\u4e00-\u9fff]+")
_UNIT_LETTERS = frozenset("msghLNJWVAKCF")
_OPERATORS = frozenset("+-*^_=<>,;:(|")
# \text{B}, \text{13}, \text{(B)}, \text{A, C}: what is inside is the answer itself
_TEXT_OF_MATH = re.compile(
    r"\(?[A-Za-z]\)?|[A-Za-z](?:\s*,\s*[A-Za-z])+|\(?[a-z]\s*=\s*-?[0-9./]+\)?"
    r"|[-+(]?(?:[0-9][0-9,.:/() ]*|(?:and|or)\s)+(?:cm|m|km|%|\\%|degrees|dollars)?"
)
_VALUE_AND_NOUN = re.compile(
    r"(?P<value>[-+−]?\s?(?:\\?\$)?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+|/[0-9]+)?)"
    r"\s*(?P<noun>[A-Za-z%\u4e00-\u9fff][A-Za-z/^0-9 .\u4e00-\u9fff-]*)"
)
_ESCAPED = {
    **{"\\": ("command", "\\"), "$": ("command", "$")},
    **{
        "{": ("open", "{"),
        "}": ("close", "}"),
        "(": None,
        ")": None,
        "[": None,
        "]": None,
    },  # \( \) delimit mathematics
}
_BRACKETS = {"(": ("open", "("), "[": ("open", "["), ")": ("close", ")"), "]": ("close", "]")}
_BRACES_BY_NAME = {"{": ("open", "{"), "}": ("close", "}"), **_BRACKETS}


def tokenize(text: str) -> list[Token]:
    r"""Return the tokens of a text. Spacing and size commands are dropped; a number keeps its separators ("338,016").

    Raises:
        NotUnderstoodError: if there are more than MAX_TOKENS, or braces are unbalanced.
    """
    if not text.isascii():
        text = text.translate(_UNICODE)
    tokens: list[Token] = []
    braces = _Braces(text)
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        kind, value = match.lastgroup, match.group()
        position = match.end()
        if kind == "number":
            # The dot behind 42 ends a sentence; behind 0 it may begin 0.\overline{3}.
            ends = value.endswith(".") and not text.startswith("\\", position)
            tokens.append(("number", value[:-1] if ends else value))
        elif kind == "dots":
            tokens.append(("command", "ldots"))
        elif kind == "han":
            tokens.append(("text", value))
        elif kind == "symbol":
            tokens.append(_BRACKETS.get(value, ("symbol", value)))
        elif kind == "word":
            if value in _BARE_COMMANDS:
                tokens.append(("command", _SYNONYMS.get(value, value)))
            else:
                tokens.append(("letter" if len(value) == 1 else "word", value))
        elif kind == "command":
            position = _add_command(tokens, value[1:].rstrip("*"), braces, position)
        elif kind == "escaped":
            token = _ESCAPED.get(value[1], ("symbol", value[1]))
            if token:
                tokens.append(token)
        if len(tokens) > MAX_TOKENS:
            raise NotUnderstoodError("too long")
    return tokens


class _Braces:
    """A text and the partners of its braces, which are looked for once."""

    def __init__(self, text: str):
        self.text = text
        self._partners: dict[int, int] | None = None

    def group(self, position: int) -> tuple[str | None, int]:
        """Return the content of the brace group at a position and the position behind it."""
        position = _SPACES.match(self.text, position).end()
        if not self.text.startswith("{", position):
            return None, position
        end = self._end(position)
        return self.text[position + 1 : end], end + 1

    def is_long(self, position: int) -> bool:
        """Return whether a group of more than MAX_NAME characters stands at a position."""
        position = _SPACES.match(self.text, position).end()
        return self.text.startswith("{", position) and self._end(position) - position > MAX_NAME

    def _end(self, position: int) -> int:
        if self._partners is None:
            self._partners, opened = {}, []
            for match in _BRACES.finditer(self.text):
                if match.group() == "{":
                    opened.append(match.start())
                elif match.group() == "}" and opened:
                    self._partners[opened.pop()] = match.start()
        if position not in self._partners:
            raise NotUnderstoodError("unbalanced braces")
        return self._partners[position]


def _add_command(tokens: list[Token], name: str, braces: _Braces, position: int) -> int:
    """Add the tokens of a command and return the position behind it and the arguments it took."""
    name = _SYNONYMS.get(name, name)
    text = braces.text
    if name in _INVISIBLE:
        return position + 1 if name in ("left", "right") and text.startswith(".", position) else position
    if name in _WITHOUT_PRINT:
        return braces.group(position)[1]
    if name in _FONTS and braces.is_long(position):
        return position  # its braces are a group like any other
    if name in _TEXTS or name in _FONTS:
        content, behind = braces.group(position)
        inside = re.sub(r"~|\\[,;: ]", " ", content or "").strip(" $")
        if inside in _FUNCTION_NAMES:
            tokens.append(("command", _SYNONYMS.get(inside, inside)))
        elif _after_value(tokens) and (len(inside) > 1 or inside in _UNIT_LETTERS) and _UNIT_TEXT.fullmatch(inside):
            tokens.append(("text", inside))
        elif name in _FONTS:
            return position
        elif _TEXT_OF_MATH.fullmatch(inside):
            tokens.extend(tokenize(inside))
        elif counted := _VALUE_AND_NOUN.fullmatch(inside):  # \text{182 ways}
            tokens.extend(tokenize(counted["value"]))
            tokens.append(("text", counted["noun"]))
        elif inside:
            tokens.append(("text", inside))
        return behind
    if name in ("mathbb", "Bbb"):
        content, position = braces.group(position)
        tokens.append(("command", f"set {content}"))
    elif name in ("begin", "end"):
        content, position = braces.group(position)
        tokens.append(("command", f"{name} {content}"))
        if (name, content) == ("begin", "array"):
            position = braces.group(position)[1]
    elif name in _BRACES_BY_NAME:
        tokens.append(_BRACES_BY_NAME[name])
    elif name in ("and", "or"):
        tokens.append(("word", name))
    else:
        tokens.append(("command" if name.isalpha() else "symbol", name))
    return position


def _after_value(tokens: list[Token]) -> bool:
    """Return whether a value stands before, or a unit and a sign that joins it to the next one."""
    if not tokens or tokens[-1][1] in _OPERATORS or tokens[-1][0] == "open":
        return False
    if tokens[-1] in (("symbol", "/"), ("command", "cdot"), ("symbol", "{")):
        return len(tokens) > 1 and tokens[-2][0] == "text"
    return tokens[-1][0] in ("number", "letter", "close", "text") or tokens[-1][1] in ("}", "pi", "circ", "%", "!")


def number(text: str) -> Fraction:
    """Return the value of a number token, its thousands separators removed."""
    if text.isdecimal():
        return Fraction(int(text))
    plain = re.sub(r"[^0-9.eE+-]", "", text)
    return Fraction(plain + "0" if plain.endswith(".") else plain)


def spell(tokens: list[Token]) -> str:
    """Return tokens as LaTeX without spaces that carry no meaning."""
    parts = []
    for kind, value in tokens:
        if kind == "command":
            name, _, argument = value.partition(" ")
            parts.append(f"\\{name}{{{argument}}}" if argument else f"\\{name} " if name.isalpha() else f"\\{name}")
        elif kind == "text":
            parts.append(f"\\text{{{value.strip()}}}")
        elif kind == "number":
            parts.append(re.sub(r"[^0-9.eE+-]", "", value))
        elif kind in ("open", "close") and value in "{}":
            parts.append("\\" + value)
        else:
            parts.append(value)
    return "".join(parts)
