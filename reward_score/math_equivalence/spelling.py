r"""Answers in rarer spellings to the common one, before they are read: what models, older TeX and other locales write.

``common_spelling`` only rewrites what has one meaning. Longer texts than ``MAX_LENGTH`` are left as they are.
"""

import re
import unicodedata

from reward_score.extraction import FULL_WIDTH

MAX_LENGTH = 2000

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUPERSCRIPT = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ]+")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_STYLED = re.compile("[\U0001d400-\U0001d7ff]")  # letters and digits of mathematics in bold, italic and the like
_ROOTS = re.compile(r"([√∛∜])\s*([0-9]+(?:\.[0-9]+)?|[a-zA-Z]|\{[^{}]*\}|\([^()]*\))")
_DEGREES = {"√": "", "∛": "[3]", "∜": "[4]"}

_COMMA_GROUP = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_BRACKETS = re.compile(r"[(\[][^()\[\]]*[)\]]|\\\{[^{}]*\\\}")

_LINE_SKIP = re.compile(r"\\\\\s*\[\s*-?[0-9.]+\s*[a-z]{2}\s*\]")
_OVER = re.compile(r"\\(over|choose)(?![a-zA-Z])")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_ROOT_OF = re.compile(r"\\root\s*\{?([^{}\\]*?)\}?\s*\\of(?![a-zA-Z])")
_DOTS_OVER = re.compile(r"\\dot\s*\{?([0-9])\}?([0-9]*)\\dot\s*\{?([0-9])\}?")
_REPEATED = re.compile(r"([0-9]+\.[0-9]*?)([0-9])\2{2,}\s*(?:\.\.\.|…|\\l?dots(?:\s|\Z))")
_TEXT_ALONE = re.compile(r"\\(?:text|mathrm|textrm|mbox|textbf)\s*\{([^{}\\$]*)\}|([A-Za-z ]+)")
_CLOCK_IN_TEXT = re.compile(r"\\(?:text|mathrm|textrm|mbox)\s*\{\s*([0-9:]+\s*[aApP]\.?\s?[mM]\.?)\s*\}")
_ENVIRONMENT = re.compile(
    r"(?:(?:\\left\s*)?\\\{\s*)?\\begin\{(cases|aligned|gathered|array|split)\}(?:\{[lcr|@{}]*\})?(.*?)\\end\{\1\}(?:\s*\\right\s*\.)?",
    re.DOTALL,
)
_SIGN_IN_TEXT = re.compile(r"\\(?:text|mathrm|textrm|mbox)\{\s*(\\%|%|[€£¥]|\\\$\s*[0-9.,]*)\s*\}")
_PRIMES = re.compile(r"\^\s*(?:\{\s*((?:\\prime\s*)+)\}|(\\prime(?![a-zA-Z])))")
_POWER_THEN_INDEX = re.compile(
    r"((?<![a-zA-Z\\])[a-zA-Z]|\\[a-zA-Z]+)\^(\{[^{}]*\}|[0-9a-zA-Z])_(\{[^{}]*\}|[0-9a-zA-Z])"
)
_ANGLE = re.compile(
    r"([0-9]+)\s*(?:\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree|°)\s*([0-9]+)\s*['′](?!['′])"
    r"(?:\s*([0-9]+)\s*(?:''|″|\"))?"
)
_TIME = re.compile(
    r"\A([0-9]{1,2}(?:\s*(?::|\\!:\\!)\s*[0-9]{2})?)\s*(?:\\[,;: ]|~)?\s*(?:\\(?:text|mathrm)\{\s*)?"
    r"([aApP])\s*\.?\s*[mM]\b\s*\.?\s*\}?\s*\Z"
)
_CURRENCY = re.compile(
    r"\A\s*(-?)\s*(?:\\(?:text|mathrm)\{\s*)?(?:Rs\.?|₹|US\s?\\?\$|USD|EUR|GBP|INR|CNY|RMB|AUD|CAD|HK\\?\$|￥)\s*\}?"
    r"\s*(?=-?[0-9.\\])"
)
_CENTS = re.compile(r"((?:[€£]|\\\$)\s*[0-9]+),([0-9]{2})(?![0-9,])")
_REPEATING = re.compile(r"\A\s*(-?[0-9]+\.[0-9]*)\(([0-9]+)\)\s*\Z")
_FRENCH = re.compile(r"(\\left\s*)?([\[\](])([^\[\]()]*[,;][^\[\]()]*)([\[\])])")
_APPROXIMATION = re.compile(r"\A\s*(?:\\(?:approx|simeq|cong)(?![a-zA-Z])|≈)\s*(?=\S)")
_GROUPS = re.compile(
    r"\A\s*(?P<sign>(?:[-−€£]|\\?\$)?\s*)(?P<whole>[0-9]{1,3}(?:(?:\.[0-9]{3}){2,}|(?:'[0-9]{3})+|(?:\\?_[0-9]{3}){2,}|(?:\.[0-9]{3})+(?=,)))"
    r"(?:,(?P<cents>[0-9]{1,2}))?\s*\Z"
)
_LISTED_TEXT = re.compile(r"\A\s*\\(?:text|mathrm|mbox|textrm)\{([^{}A-Za-z]*[0-9][^{}A-Za-z]*,[^{}A-Za-z]*)\}\s*\Z")

# Words before a value that name it, and none that deny or doubt it.
_DENIAL = re.compile(
    r"\b(?:not|no|never|isn|aren|wrong|false|except|none|untrue|incorrect|or|maybe|perhaps|unless|if|neither|nor|than"
    r"|least|most|about|approximately|above|below|over|under|between|probably|either|cannot|twice|half|double|minus|plus)\b"
    r"|n['’]t|[0-9不非或勿否未]"
)
_NAMED = re.compile(
    r"\A\s*(?:\\(?:text|mathrm|textrm|mbox|textbf)\s*\{(?P<text>[^{}$\\]*)\}"
    r"|(?P<words>[A-Za-z一-鿿][A-Za-z一-鿿 ]*[:：]?\s))"
    r"\s*(?:\\[,;: ]|~|:|：)?\s*(?=[-+0-9\\${(\[]|[a-zA-Z]\b)"
)
_NAMING = re.compile(
    r"(?:(?:the |our |my |a )?(?:[a-z]+ ){0,6}(?:is|are|equals|equal to|be|was)(?: (?:exactly|just|only|simply))?"
    r"|(?:the |our |my )?(?:[a-z]+ ){0,3}(?:answer|total|area|volume|length|value|sum|product|number|minimum|maximum"
    r"|result|perimeter|probability|distance|average|solution|option)s?\s?[:：]"
    r"|exactly|only|just|a total of|total of|there (?:are|is)(?: exactly)?"
    r"|[一-鿿]*(?:为|是|等于|共|共有|有)[:：]?|[一-鿿]+[:：])"
)
_DOUBT = re.compile(
    r"\b(?:not|no|never|or|wrong|false|maybe|perhaps|except|less|more|than|incorrect|mod|base)\b|n['’]t|[0-9]"
)
# Words behind a value that add nothing to it.
_COMMENT = re.compile(
    r"(?:\s|\\[,;: ]|\\q?quad(?![a-zA-Z])|~)*(?:\\(?:text|mathrm|textrm|mbox)\s*\{\s*\(([^(){}$\\]*)\)\s*\}"
    r"|\(([A-Za-z][a-z ]{2,})\))\s*\Z"
)
_FOR_ALL = re.compile(
    r"[\s,;]*(?:\\[,;: ]|\\q?quad(?![a-zA-Z])|~|\s)*(?:\\(?:text|mathrm|textrm|mbox)\s*\{\s*)?"
    r"(?:(?:for|with|where)\s+(?:all|every|each|any|some|an?|arbitrary)?\s*(?:real|integers?|positive|natural|whole|constant|numbers?|values?|arbitrary|\s)*"
    r"(?:of\s+)?)\}?\s*"
    r"(?P<rest>[^=<>]{0,60})\Z"
)
_DOMAIN_NAME = r"(?:\\math(?:bb|bf|rm|cal)\s*\{?\s*[ZNRQ]\s*\}?|\\[ZNRQ](?![a-zA-Z])|[ZNRQ]|ℤ|ℕ|ℝ)"
_DOMAIN = re.compile(
    r"(?:\s*[,;，；]\s*|\s*\\q?quad(?![a-zA-Z])\s*|\s*(?:\\[,;: ])*\s*(?P<open>\()|\s+"
    r"|\s*\\(?:text|mathrm)\s*\{\s*,?\s*(?:where|for|with)?\s*\}\s*)"
    r"(?:\\[,;: ]|\\q?quad(?![a-zA-Z])|\s)*\(?\s*(?P<names>[a-zA-Z](?:\s*,\s*[a-zA-Z])*)\s*(?:\\in(?![a-zA-Z])|∈)\s*"
    + _DOMAIN_NAME
    + r"(?:\s*[\^_]\s*\{?\s*[-+*0-9]+\s*\}?)?\s*\)?\s*[.。]?\s*\Z"
)
_SETS_IN_WORDS = {
    **dict.fromkeys(("empty set", "the empty set", "no solution", "no solutions", "no real solutions"), r"\emptyset"),
    **dict.fromkeys(("all real numbers", "all reals", "the real numbers", "all real x"), r"\mathbb{R}"),
}
_INDIAN_GROUPS = re.compile(r"-?[0-9]{1,2}(?:,[0-9]{2}){1,6},[0-9]{3}")


def is_indian_number(text: str) -> bool:
    """Return whether a text is one number in groups of two and three digits, as 12,34,567, or three numbers."""
    return _INDIAN_GROUPS.fullmatch(text.strip(" $")) is not None


def common_spelling(text: str) -> str:
    """Return an answer in the spelling that the tokens are made of."""
    if not text.isascii():
        text = _SUBSCRIPT.sub(lambda run: f"_{{{run.group().translate(_SUBSCRIPTS)}}}", text)
        text = _STYLED.sub(lambda letter: unicodedata.normalize("NFKC", letter.group()), text)
        text = _SUPERSCRIPT.sub(lambda run: f"^{{{run.group().translate(_SUPERSCRIPTS)}}}", text.translate(FULL_WIDTH))
        if len(text) <= MAX_LENGTH:
            text = _ROOTS.sub(lambda root: rf"\sqrt{_DEGREES[root[1]]}{_braced(root[2])}", text)
    if "," in text and _COMMA_GROUP.search(text):
        text = _BRACKETS.sub(_listed, text)
    if len(text) > MAX_LENGTH or text.isdecimal():
        return text
    alone = _TEXT_ALONE.fullmatch(text.strip(" $."))
    if alone and (words := " ".join((alone[1] or alone[2]).lower().split())) in _SETS_IN_WORDS:
        return _SETS_IN_WORDS[words]
    return _in_words(_in_signs(text))


def _braced(argument: str) -> str:
    return argument if argument[0] in "{(" else f"{{{argument}}}"


def _listed(brackets: re.Match) -> str:
    """Put a space behind each comma in brackets that separate without any: (100,200) is a pair."""
    content = brackets.group()
    return content if re.search(r",(?:\s|\\)", content) else _COMMA_GROUP.sub(", ", content)


def _in_signs(text: str) -> str:
    if "\\" in text:
        if "\\[" in text:
            text = _LINE_SKIP.sub(r"\\\\", text)
        if "\\root" in text:
            text = _ROOT_OF.sub(r"\\sqrt[\1]", text)
        if "\\dot" in text:
            text = _DOTS_OVER.sub(r"\\overline{\1\2\3}", text)
        if "\\overline{(" in text:
            text = re.sub(r"\\overline\{\(([0-9]+)\)\}", r"\\overline{\1}", text)
        if "\\over" in text or "\\choose" in text:
            text = _without_over(text)
        if "\\begin" in text:
            text = _ENVIRONMENT.sub(_rows_as_list, text)
        if "%" in text or "\\$" in text:
            text = _SIGN_IN_TEXT.sub(r"\1", text)
        if "\\prime" in text:
            text = _PRIMES.sub(lambda primes: "'" * (primes[1] or primes[2]).count("prime"), text)
        text = _APPROXIMATION.sub("", text)
    if "_" in text and "^" in text:
        text = _POWER_THEN_INDEX.sub(r"\1_\3^\2", text)
    if "'" in text or "′" in text:
        text = _ANGLE.sub(_as_degrees, text)
    if text[-1:] in "mM.}":
        clock = _CLOCK_IN_TEXT.fullmatch(text)
        text = _TIME.sub(lambda time: rf"{time[1]} \text{{ {time[2].lower()}m}}", clock[1] if clock else text)
    if "..." in text or "…" in text or "dots" in text:
        text = _REPEATED.sub(r"\1\\overline{\2}", text)
    if "," in text:
        text = _CENTS.sub(r"\1.\2", text)
        text = _LISTED_TEXT.sub(r"\1", text)
    if text[-1:] == ")":
        text = _REPEATING.sub(r"\1\\overline{\2}", text)
    groups = _GROUPS.match(text)
    if groups:
        text = (
            groups["sign"] + re.sub("[^0-9]", "", groups["whole"]) + (f".{groups['cents']}" if groups["cents"] else "")
        )
    if "]" in text or "[" in text:
        text = _with_round_brackets(text)
    return _CURRENCY.sub(r"\1\\$", text) if text.isascii() is False or text.lstrip("- \\")[:1].isalpha() else text


def _without_over(text: str) -> str:
    r"""Write ``{1 \over 2}`` as ``\frac{1}{2}``, and ``\choose`` as ``\binom``."""
    for _ in range(8):
        over = _OVER.search(text)
        if over is None:
            break
        opened, start, end = [], 0, len(text)
        for brace in _BRACE.finditer(text):
            if brace.group() == "{":
                opened.append(brace.end())
            elif brace.group() == "}" and opened:
                last = opened.pop()
                if last <= over.start() < brace.start():
                    start, end = last, brace.start()
                    break
        name = "frac" if over[1] == "over" else "binom"
        text = rf"{text[:start]}\{name}{{{text[start : over.start()]}}}{{{text[over.end() : end]}}}{text[end:]}"
    return text


def _rows_as_list(environment: re.Match) -> str:
    """Write a system of equations as a list; an array of numbers stays one."""
    if environment[1] == "array" and "=" not in environment[2]:
        return environment.group()
    rows = [row.replace("&", " ").strip().rstrip(",;") for row in environment[2].split("\\\\")]
    if len(rows) > 1 and any("=" not in row for row in rows if row):
        return environment.group()
    return ", ".join(row for row in rows if row)


def _as_degrees(angle: re.Match) -> str:
    seconds = f"+{angle[3]}/3600" if angle[3] else ""
    return rf"({angle[1]}+{angle[2]}/60{seconds})^\circ"


def _with_round_brackets(text: str) -> str:
    r"""Write an open interval as ``(1,2)`` that is written as ``]1,2[``."""
    pieces = re.split(r"(\\cup(?![a-zA-Z])|∪)", text.replace("\\left", "").replace("\\right", ""))
    if not all(_FRENCH.fullmatch(piece.strip(" $")) for piece in pieces[::2]):
        return text
    if not any(piece.strip(" $").startswith("]") or piece.strip(" $").endswith("[") for piece in pieces[::2]):
        return text
    return "".join(piece if index % 2 else _FRENCH.sub(_round, piece) for index, piece in enumerate(pieces))


def _round(interval: re.Match) -> str:
    opening, closing = interval[2], interval[4]
    return f"{'(' if opening == ']' else opening}{interval[3]}{')' if closing == '[' else closing}"


def _in_words(text: str) -> str:
    if "in" in text or "∈" in text:
        domain = _DOMAIN.search(text)
        if (
            domain
            and text[: domain.start()].strip(" $\\,;(")
            and not re.search(r"[-+*/=^_<>(]\s*\Z", text[: domain.start()])
        ):
            names = re.findall("[a-zA-Z]", domain["names"])
            before = text[: domain.start()]
            if any(re.search(rf"(?<![a-zA-Z\\]){name}(?![a-zA-Z])|[0-9]{name}(?![a-zA-Z])", before) for name in names):
                text = before
    if "(" in text:
        comment = _COMMENT.search(text)
        if comment and text[: comment.start()].strip() and not _DOUBT.search(comment[1] or comment[2] or ""):
            text = text[: comment.start()]
    if "for" in text or "where" in text or "with" in text:
        clause = _FOR_ALL.search(text)
        before = text[: clause.start()] if clause else ""
        if before.strip(" $") and before.count("{") == before.count("}") and not _DENIAL.search(clause.group()):
            text = before
    named = _NAMED.match(text)
    if named:
        words = " ".join((named["text"] or named["words"] or "").split())
        if words and not _DENIAL.search(words.lower()) and _NAMING.fullmatch(words.lower()):
            text = text[named.end() :]
    return text
