r"""Where the final answer stands in a response: after the thoughts, in a box, between tags, or after "the answer is".

Each function is one linear pass over the text. The policies, which the scorers share:

- Only what follows the last ``</think>`` is the answer; a ``<think>`` that is never closed leaves no answer.
- The last box decides. A box inside a box is part of the outer one. ``\fbox`` counts only where there is no ``\boxed``.
- The last complete pair of tags decides.
"""

import re

_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_BOXES_AND_BRACES = re.compile(r"\\(?:boxed|fbox)\b[ \t]*|\\.|[{}]", re.DOTALL)
_UNBRACED = re.compile(r"\\?[^\s{}$\\]+")
# Full-width forms of ASCII, which Chinese keyboards write; their braces are those of a set.
FULL_WIDTH = str.maketrans(
    {chr(0xFF01 + offset): chr(0x21 + offset) for offset in range(94)} | {"｛": r"\{", "｝": r"\}"}
)
_ANSWER_IS = re.compile(
    r"(?:\banswer\b[*_`]*\s*(?:is|was|would be|should be|=|:|：)|答案(?:就是|应为|应该是|等于|[是为：:])"
    r"|(?<![a-zA-Z])A(?=:\s)|####)[*_`]*\s*[:：]?[*_`]*",
    re.IGNORECASE,
)
_MATH = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
# Not behind a Latin letter, a digit or a dot; a number may stand right behind a Chinese or Japanese character.
NO_WORD_BEFORE = r"(?<![^\W\u3040-\u9fff\uac00-\ud7af])(?<!\.)"
_NUMBER = re.compile(
    NO_WORD_BEFORE
    + r"(?:(?<![)\]}])[-−+])?\\?\$?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)(?:/[0-9]+)?"
    r"(?:\s?\\?%|\s?(?:dozen|hundred|thousand|million|billion|trillion)\b|[kK]\b|[百千万亿]+(?![克米瓦卡百千万亿]))?"
)
_PROSE = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{2,}(?![a-zA-Z}])|[\u0400-\u1fff\u3040-\u9fff]")
_NEGATED = re.compile(r"\b(?:not|never|isn't|cannot|can't|wrong)\b|不是|错误", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$|[*_`)\"”])|[。！？]")

_DENIED_BEFORE = re.compile(
    r"\b(?:not|never|isn't|or|neither|nor|than|unlike)\s*\Z"
    r"|(?:\b(?:cannot|never|not)|n['’]t)\s+(?:be|equal|give|get|have|become)\s*(?:to\s+)?\Z"
    r"|(?:不是|不可能是|不会是|不等于|并非|或|或者|还是)\s*\Z",
    re.IGNORECASE,
)
_DENIED_BEHIND = re.compile(
    r"\W{0,3}\s*(?:is|was|are|seems|looks)?\s*(?:not\b|n['’]t\b|(?:clearly\s+)?(?:wrong|incorrect|false|impossible|unlikely)\b"
    r"|too\s+(?:big|small|large|high|low|much|many)\b)|\s*(?:是错|不对|不正确|太大|太小)",
    re.IGNORECASE,
)
# Between a value and the one that it is contrasted with.
_NOT_THIS = re.compile(
    r"(?<=[0-9$)}%])\s*[,(]?\s+(?:(?:and|but|definitely|certainly|clearly|rather)\s+)*(?:not|rather\s+than|instead\s+of)\s+\Z",
    re.IGNORECASE,
)
# What makes the rest of a sentence no statement.
_DOUBTED = re.compile(
    r"(?:(?:\b(?:not|never)|n['’]t)\s+(?:at all\s+)?(?:sure|certain|think|believe|say|claim|true|clear|convinced"
    r"|correct|agree|the\s+case|mean|know|right|possible|likely)"
    r"|\b(?:false|doubt|doubts|doubtful|deny|wrong|untrue|incorrect|unlikely|impossible|unsure|uncertain|unclear|wonder)"
    r"|\b(?:if|suppose|supposing|assume|assuming|whether|unless|imagine|pretend|nobody)"
    r"|\b(?:perhaps|maybe|possibly|(?:might|may|could)\s+(?:well\s+)?(?:be\s*\Z|think|say|guess))"
    r"|\b(?:no\s+(?:one|way|reason|proof|evidence))|不确定|不认为|怀疑|如果|假设|假如|是否|难道|并不)"
    r"(?!\b)?(?:(?!\b(?:but|so|hence|thus|therefore|then)\b)[^.,;:!?\n。，；！？])*\Z",
    re.IGNORECASE,
)
_DENIED_NOUN = re.compile(
    r"\b(?:false|wrong|incorrect|impossible|possible|tempting|naive|obvious|expected|first|old|previous)\s*\Z",
    re.IGNORECASE,
)
# Behind a value these begin what explains it.
_CLAUSE = re.compile(
    r"[\s,;(—–-]*(?:\b(?:since|because|as|which|where|rather\s+than|instead\s+of|and\s+not|but\s+not|given|unlike"
    r"|(?<=,\s)(?:while|so))\b|;|\s\((?=[^)$\\]*[a-z]{2})|\s[—–-]\s(?=[a-z]{2})|(?<=[\s,;(])not\s+(?=\\?\$|\\|[-−(0-9])|因为|由于|而不是|而非|不是)",
    re.IGNORECASE,
)
_ADVERBS = re.compile(
    r"(?:\b(?:therefore|thus|then|hence|so|simply|just|clearly|indeed|exactly|equal\s+to|still|now|only|that|a\s+total\s+of)\b"
    r"|[\s,:*_`])*",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\s*(?:(?!and\b|or\b|to\b|by\b|over\b|times\b|plus\b|minus\b|of\b|than\b|is\b)[a-z]+\s+){0,3}?"
    r"(?:for|in|per|after|from|on|at|with|each|every|during|when|out\s+of|(?<=[a-z]\s)of)\s+(?!base\b|mod\b)\S",
    re.IGNORECASE,
)
# A number that names a step, a case or an item of a list, and no value.
_LABEL_WORD = re.compile(
    r"\b(?:step|case|part|problem|question|example|figure|fig\.|table|equation|eq\.|section|lemma|theorem|method|option|approach"
    r"|chapter|exercise|page|line|item|note|solution|stage|phase)s?\s*[#(]?\s*\Z|(?:第|步骤|情况|方法|例)\s*\Z",
    re.IGNORECASE,
)
_HEADING_WORD = re.compile(r"\b[A-Z][a-z]+\s*[#(]?\s*\Z")
_LINE_START = re.compile(r"(?:^|\n)[\s*#>_(-]*\Z")
_LIST_MARK = re.compile(r"\s*[.)、](?!\d)\**[ \t]*(?P<item>\S?)")
_CUT_OFF = re.compile(
    r"\s*(?:[+=×÷^(<>]|\b(?:and|or|to|by|plus|minus|times|from|with|of|is|the)\b|\\(?:times|cdot|div|frac|sqrt|approx|leq?|geq?)\b)\s*\Z"
)

# A final statement is short; a bounded tail bounds the time whatever the model writes.
TAIL = 2000


def answer_region(response: str) -> str | None:
    """Return what follows the last ``</think>``, the whole response without thoughts, or None if a thought never
    ends."""
    end = response.rfind("</think>")
    if response.find("<think>", max(end, 0)) >= 0:
        return None
    return response[end + len("</think>") :] if end >= 0 else response


def tagged(text: str, tag: str) -> str | None:
    """Return the stripped text between the last ``<tag>`` that is closed and its ``</tag>``, or None."""
    end = text.rfind(f"</{tag}>")
    start = text.rfind(f"<{tag}>", 0, max(end, 0))
    return None if end < 0 or start < 0 else text[start + len(tag) + 2 : end].strip()


def last_boxed(text: str) -> str | None:
    r"""Return the content of the last outermost ``\boxed``, else of the last ``\fbox``, or None.

    ``\boxed 42`` without braces is read up to the next space. A box that is never closed is no box.
    """
    start = text.rfind("\\boxed{")
    if start >= 0 and text.find("\\boxed") == start:  # the common case: exactly one
        end = _closing_brace(text, start + len("\\boxed"))
        if end is not None:
            return text[start + len("\\boxed{") : end]
    found = _boxes(text)
    return text[slice(*found[-1])] if found else None


def last_boxes(text: str) -> list[str]:
    r"""Return the contents of the boxes that make up the last statement: ``\boxed{1} and \boxed{2}`` are two.

    Boxes belong together if nothing but commas, "and", "or", dollar signs and spaces stands between them.
    """
    found = _boxes(text)
    if not found:
        return []
    first = len(found) - 1
    while first > 0 and _only_joins(text[found[first - 1][1] : found[first][0]]):
        first -= 1
    return [text[slice(*box)] for box in found[first:]]


def answer_in_tags(text: str) -> str | None:
    r"""Return what stands in the last ``<answer>`` that is closed, None if it is empty or a box follows its opening."""
    if "</answer>" not in text:
        return None
    content = tagged(text, "answer")
    start = text.rfind("<answer>", 0, text.rfind("</answer>"))
    if not content or text.find("\\boxed", start) >= 0 or text.find("\\fbox", start) >= 0:
        return None
    return content


def has_open_box(text: str) -> bool:
    r"""Return whether the last ``\boxed{`` is never closed, as where a response is cut off."""
    start = text.rfind("\\boxed{")
    return start >= 0 and _closing_brace(text, start + len("\\boxed")) is None


def stated_answer(text: str) -> str | None:
    """Return what an unboxed response states as its answer: after the last "answer is", "answer:" or "####", else the
    whole of a response without prose, else the last formula or number of the text, whichever stands later. None if
    there is none, or if the statement is a negation, a question, a doubt or a condition; None, too, if the last number
    names a step or stands where the text was cut off.

    Looks at the last 2,000 characters.
    """
    tail = _tail(text)
    statements = list(_ANSWER_IS.finditer(tail))
    if not statements:
        return tail if len(tail) <= 200 and not _PROSE.search(tail) and not _is_cut_off(tail) else _last_value(tail)
    statement = tail[statements[-1].end() :].strip()
    end = _SENTENCE_END.search(statement)
    if (
        _is_doubted(tail, statements[-1].start())
        or end
        and end.group() in "?？"
        and "\n" not in statement[: end.start()]
    ):
        return _last_value(statement[end.end() :]) if end else None
    if not statement.startswith(("\\[", "$$")):
        statement = statement.partition("\n")[0]
    return value_stated(statement)


def value_stated(statement: str) -> str | None:
    """Return the value of a statement such as "18 dollars for 2 weeks", "therefore 7, not 8" or "$1$ and $2$"."""
    formulas = []
    end = 0
    while formula := _MATH.match(statement, end):
        formulas.append(_content(formula))
        end = formula.end()
        joined = _FORMULAS_JOINED.match(statement, end)
        if not joined or not _MATH.match(statement, joined.end()):
            break
        end = joined.end()
    if formulas:
        return None if _DENIED_BEHIND.match(statement, end) else ", ".join(formulas)
    end = _SENTENCE_END.search(statement)
    if end and end.group() in "?？":
        return None
    statement = (statement[: end.start()] if end else statement).strip("*_`. ")
    first = _first_value(statement)
    if first:
        clause = _CLAUSE.search(statement, first.end())
        statement = statement[: clause.start()] if clause else statement
    if _NEGATED.search(statement) or _is_cut_off(statement):
        return None
    if first and _ADVERBS.match(statement).end() >= first.start() and _GOES_ON.match(statement, first.end()):
        return _text_of_value(first)
    if len(_PROSE.findall(statement)) <= 2:
        return _ADVERBS.sub("", statement, count=1) if first else statement or None
    return _last_value(statement)


_FORMULAS_JOINED = re.compile(r"\s*(?:,|;|or|and|,\s*(?:or|and)|或|和)\s*", re.IGNORECASE)


def _tail(text: str) -> str:
    """Return the last characters of a text, without the word that the cut would leave as a piece."""
    tail = text if len(text) <= TAIL else re.sub(r"\A\S+", "", text[-TAIL:])
    return (tail if tail.isascii() else tail.translate(FULL_WIDTH)).strip()


def _first_value(text: str) -> re.Match | None:
    formula, number = _MATH.search(text), _NUMBER.search(text)
    return formula if formula and (number is None or formula.start() <= number.start()) else number


def _text_of_value(value: re.Match) -> str:
    return _content(value) if value.re is _MATH else value.group()


def _last_value(text: str) -> str | None:
    """Return the last formula or number, unless the words beside it deny it, ask for it or offer it as one of several,
    or it is no value: the number of a step, or what a cut left."""
    formulas = list(_MATH.finditer(text))
    numbers = list(_NUMBER.finditer(text))
    while numbers and not (formulas and numbers[-1].start() < formulas[-1].end()):
        label = _label(text, numbers[-1], numbers)
        if label == "line":
            return None
        if not label:
            break
        numbers.pop()
    is_formula = formulas and (not numbers or numbers[-1].start() < formulas[-1].end())
    if not is_formula and not numbers:
        return None
    last = formulas[-1] if is_formula else numbers[-1]
    instead = _NOT_THIS.search(text, max(0, last.start() - 40), last.start())
    if instead:  # x = 7, not 8
        return _last_value(text[: instead.start()]) if instead.start() < last.start() else None
    if _DENIED_BEFORE.search(text, max(0, last.start() - 30), last.start()) or _DENIED_BEHIND.match(text, last.end()):
        return None
    end = _SENTENCE_END.search(text, last.end())
    if end and end.group() in "?？" and "\n" not in text[last.end() : end.start()]:
        return None
    if _is_doubted(text, last.start()) or not is_formula and _is_cut_off(text, last.end()):
        return None
    return _text_of_value(last)


def _is_doubted(text: str, position: int) -> bool:
    before = text[max(0, position - 80) : position]
    before = before[:-4].rstrip() if before.lower().endswith(" the") else before
    return _DOUBTED.search(before) is not None or _DENIED_NOUN.search(before) is not None


def _is_cut_off(text: str, position: int = 0) -> bool:
    """Return whether a text ends behind an operator or within braces."""
    if _CUT_OFF.search(text, max(position, len(text) - 20)):
        return True
    line = text[text.rfind("\n") + 1 :]
    return line.count("{") > line.count("}")


def _label(text: str, value: re.Match, numbers: list[re.Match]) -> str:
    """Return "line" if a number heads a line as the label of a step or an item, "word" if it names one elsewhere."""
    before = text[max(0, value.start() - 30) : value.start()]
    word = _LABEL_WORD.search(before)
    if not word and text[value.end() : value.end() + 1] in (":", "："):
        word = _HEADING_WORD.search(before)  # Round 7:
        if word and not _LINE_START.search(before[: word.start()]):
            word = None
    heads = _LINE_START.search(before[: word.start()] if word else before)
    if heads and (len(before) < 30 or "\n" in before):
        if word:
            return "line"
        mark = _LIST_MARK.match(text, value.end())
        if mark and value.group().isdecimal() and len(value.group()) <= 2:
            previous = str(int(value.group()) - 1)
            listed = any(other.group() == previous and _LIST_MARK.match(text, other.end()) for other in numbers)
            if mark["item"] or listed:
                return "line"
    return "word" if word else ""


def _content(formula: re.Match) -> str:
    return next(group for group in formula.groups() if group is not None).strip()


def _closing_brace(text: str, opening: int) -> int | None:
    depth = 0
    for match in _BRACES.finditer(text, opening):
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            depth -= 1
            if depth == 0:
                return match.start()
    return None


def _boxes(text: str) -> list[tuple[int, int]]:
    """Return start and end of the content of each outermost closed box, ``\\boxed`` before ``\\fbox``."""
    found: dict[str, list[tuple[int, int]]] = {"\\boxed": [], "\\fbox": []}
    open_braces: list[tuple[str | None, int]] = []
    pending: tuple[str, int] | None = None  # a \boxed whose brace must come next
    for match in _BOXES_AND_BRACES.finditer(text):
        token = match.group().rstrip()
        if token in found:
            pending = (token, match.end())
            if not text.startswith("{", match.end()):
                unbraced = _UNBRACED.match(text, match.end())
                if unbraced:
                    found[token].append((unbraced.start(), match.end() + len(unbraced.group().rstrip(".,;"))))
                pending = None
        elif token == "{":
            name = pending[0] if pending and pending[1] == match.start() else None
            open_braces.append((name, match.end()))
        elif token == "}" and open_braces:
            name, start = open_braces.pop()
            if name:
                inside = found[name]
                while inside and inside[-1][0] > start:
                    inside.pop()
                inside.append((start, match.start()))
    boxes = found["\\boxed"] or found["\\fbox"] or _box_with_escaped_end(text)
    return [box for box in boxes if text[slice(*box)].strip()] or boxes


def _box_with_escaped_end(text: str) -> list[tuple[int, int]]:
    r"""Return the last box if only a stray backslash keeps it open: ``\boxed{185\}``."""
    start = text.rfind("\\boxed{")
    end = text.find("\\}", start)
    if start < 0 or end < 0 or "{" in text[start + len("\\boxed{") : end]:
        return []
    return [(start + len("\\boxed{"), end)]


_JOIN = re.compile(r"(?:[\s,;$.&}\\]|\\[()\[\],;!]|\\q?quad|\\text\{\s*(?:and|or)\s*|and|or|\\boxed\{?|\{)*")


def _only_joins(between: str) -> bool:
    return len(between) <= 80 and _JOIN.fullmatch(between) is not None
