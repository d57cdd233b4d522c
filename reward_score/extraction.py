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
_ANSWER_IS = re.compile(
    r"(?:\banswer\b[*_`]*\s*(?:is|was|would be|should be|=|:|：)|答案[是为：:]|(?<![a-zA-Z])A(?=:\s)|####)"
    r"[*_`]*\s*[:：]?[*_`]*",
    re.IGNORECASE,
)
_MATH = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_NUMBER = re.compile(
    r"(?<![\w.])(?:(?<![)\]}])[-−+])?\\?\$?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)(?:/[0-9]+)?(?:\s?\\?%)?"
)
_PROSE = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{2,}(?![a-zA-Z}])|[\u0400-\u1fff\u3040-\u9fff]")
_NEGATED = re.compile(r"\b(?:not|never|isn't|cannot|can't|wrong)\b", re.IGNORECASE)

_DENIED_BEFORE = re.compile(r"\b(?:not|never|isn't|or|neither|nor)\s*$", re.IGNORECASE)
_DENIED_BEHIND = re.compile(r"\W{0,3}\s*(?:is|was|are)?\s*(?:not|n't|wrong|incorrect)\b", re.IGNORECASE)

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


def stated_answer(text: str) -> str | None:
    """Return what an unboxed response states as its answer: after the last "answer is", "answer:" or "####", else the
    whole of a response without prose, else the last formula or number of the text, whichever stands later. None if
    there is none, or if the statement is a negation.

    Looks at the last 2,000 characters.
    """
    tail = text[-TAIL:].strip()
    statements = list(_ANSWER_IS.finditer(tail))
    if not statements:
        return tail if len(tail) <= 200 and not _PROSE.search(tail) else _last_value(tail)
    statement = tail[statements[-1].end() :].strip()
    if not statement.startswith(("\\[", "$$")):
        statement = statement.partition("\n")[0]
    formula = _MATH.match(statement)
    if formula:
        return _content(formula)
    statement = re.split(r"[.!?。！？](?:\s|$)", statement, maxsplit=1)[0].strip("*_`. ")
    if _NEGATED.search(statement):
        return None
    return (_last_value(statement) if len(_PROSE.findall(statement)) > 2 else statement) or None


def _last_value(text: str) -> str | None:
    """Return the last formula or number, unless the words beside it deny it or offer it as one of several."""
    formulas = list(_MATH.finditer(text))
    numbers = list(_NUMBER.finditer(text))
    is_formula = formulas and (not numbers or numbers[-1].start() < formulas[-1].end())
    if not is_formula and not numbers:
        return None
    last = formulas[-1] if is_formula else numbers[-1]
    if _DENIED_BEFORE.search(text, max(0, last.start() - 20), last.start()) or _DENIED_BEHIND.match(text, last.end()):
        return None
    return _content(last) if is_formula else last.group()


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
