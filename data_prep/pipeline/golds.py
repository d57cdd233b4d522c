r"""Ground truths of mathematics that a right answer would not equal: whole solutions, prose, remarks, labels.

Any text equals itself in a box, so that scoring a ground truth against itself shows none of these.
"""

import ast
import re
from collections.abc import Callable

from data_prep.pipeline.data_set import Fault
from reward_score.extraction import last_boxed, last_boxes
from reward_score.math_equivalence import UndecidedError, equivalent
from reward_score.multiple_choice import right_letter

MATHEMATICS = ("math", "geometry3k")
# Beyond this, words are prose: the wordiest golds of MATH have five.
MOST_WORDS = 6
MOST_CHARACTERS = 400

_ASKS_FOR_ONE = re.compile(r"\b(?:only one|(?:either|any|any one|one) of (?:the|them)|not both)\b", re.IGNORECASE)
_ASKS_FOR_ALL = re.compile(
    r"\b(?:all|both|values|solutions|roots|zeros|zeroes|points|pairs|integers|angles|separated)\b|所有|全部",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[-+]?[0-9]*\.?[0-9]+|\\d?frac\{-?[0-9]+\}\{-?[0-9]+\}")
_VALUE = r"[-+]?(?:\\?\$)?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)(?:/[0-9]+|:[0-9]+)?\s?(?:\\?%)?"
_UNITS = r"[mshgltLNJWVKA]"
_REMARK = re.compile(
    rf"({_VALUE})(?:\s+[(\[]|\s*（|\s*\((?=[\u4e00-\u9fff]))"
    rf"(?:[\u4e00-\u9fff]{{1,8}}|[^\W\d_][^\W\d_ .,/²³°-]+[^\\(){{}}=+*^]*|{_UNITS})[)\]）]\s*\.?"
)
_REMARK_BEHIND = re.compile(r".*\S\s*[(\[（][^\W\d_]{2,}[\s,;]+[^\W\d_]{2,}[^()]*[)\]）]\s*\.?", re.DOTALL)
_STATEMENT = re.compile(
    r"(?:(?:so|thus|hence|therefore),?\s+)?(?:the\s+|our\s+)?(?:final\s+|correct\s+)?(?:answer|result)\s*(?:is|are|:|=|：)+"
    r"\s*:?\s*(?P<said>[^\n]{1,80})"
    r"|(?:所以|因此|故)?(?:最终|正确)?(?:答案|结果)(?:是|为|:|：)+\s*(?P<gesagt>[^\n]{1,80})",
    re.IGNORECASE,
)
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*|\$\$?([^$\n]+)\$\$?")
_CONNECTIVE = re.compile(
    r"\b(?:therefore|hence|thus|because|since|we|let|so that|which|follows|implies)\b|因为|所以|因此|可得|解得",
    re.IGNORECASE,
)
_CALCULATION = re.compile(r"[^=a-zA-Z\\]*\d[^=a-zA-Z\\]*(?:=[^=a-zA-Z\\]+)*=\s*(?P<result>[^=]+)")
# What ends a sentence, or makes a box a step of a calculation, between two boxes.
_APART = re.compile(
    r"[.!?]\$?\s|[。！？；\n&]|\\\\|=\s*\\[a-z]|[=+*/<>-]\s*\Z|,\s*(?:and\s+)?(?:then|so|thus|hence|which)\b"
)
_EUROPEAN = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+")
_HEDGE = re.compile(
    r"(?:about|approximately|approx\.?|around|roughly|nearly|almost|only|exactly|circa|ca\.|c\.|大?约为?|≈|~|\$?\\approx"
    r"|\$?\\sim)\s*"
    rf"({_VALUE}).*",
    re.IGNORECASE | re.DOTALL,
)
_WITH_WORDS = re.compile(rf"({_VALUE})(?:\s+(?=[^\W\d_]{{2}})|\s*(?=[^\W\d_]{{3}}|[\u4e00-\u9fff]))([^\d\\=+*^(),]*)")
_MONTHS = re.compile(r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b|[ap]\.?m\.?\b", re.IGNORECASE)
_FEW_WORDS = re.compile(r"(?:[^\W\d_]+[ .,'’-]*){1,6}")
_TIME = re.compile(r"[0-9]:[0-9]{2}\s*[ap]\.?m", re.IGNORECASE)
_LABEL = re.compile(
    r"(?:(?:the\s+)?(?:correct\s+)?(?:answer|option|choice)\s*(?:is|:)?\s*|选项?|答案[是为:：]?\s*)?"
    r"(?:[(（](?P<inside>[A-J])[)）]|(?P<letter>[A-J])\s*(?:[.:](?![0-9])|[)：、．）]))\s*(?P<text>[^\s,;].*)?[,;]?",
    re.DOTALL,
)
_LETTER_IN_WORDS = re.compile(
    r"(?:(?:the\s+)?(?:correct\s+)?(?:answer|option|choice)\s*(?:is|:)?\s*|选项?|答案[是为:：]?\s*)+(?P<letter>[A-J])\s*[.。]?",
    re.IGNORECASE,
)
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt)?|mbox|mathrm|mathbf|operatorname)\s*\{([^{}]*)\}")
_COMMAND = re.compile(r"\\[a-zA-Z]+|\\.")
_WORD = re.compile(r"(?<![\w^_])[a-zA-Z]{2,}(?![\w(])")
_FUNCTIONS = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "sqrt", "pi", "or", "and", "frac", "mod"}
_CHINESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_VERB = re.compile(
    r"\b(?:is|are|was|were|equals?|gives?|makes?|has|have|get|gets|costs?|will|can|there)\b", re.IGNORECASE
)
_SENTENCES = re.compile(r"[^\W\d_]{2,}[.!?]\s+[A-Z]|[。！？；].*\S", re.DOTALL)
_PROGRAM = re.compile(
    r"\bdef\s+\w+\(|\breturn\b\s|\bprint\(|\bimport\s+\w+|\blambda\s|#include|\bfunction\s+\w+\(|```|=>|==|!=|\{\s*\n"
)
_LINES_ARE_PART = re.compile(r"\\begin\{|\\\\")
_QUOTED_LIST = re.compile(r"\[\s*(?:'[^']*'|\"[^\"]*\")\s*(?:,\s*(?:'[^']*'|\"[^\"]*\")\s*)*,?\s*\]")


def bare_answer(cell: str) -> str:
    """Return the answer of a cell without what was only said about it: "9 (apples)", "The answer is 9.", "['9']".

    Only forms that can mean nothing else are read; any other cell is returned as it is.
    """
    text = cell.strip()
    if _QUOTED_LIST.fullmatch(text):
        try:
            items = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return cell
        return bare_answer(items[0]) if len(items) == 1 else cell
    if found := _REMARK.fullmatch(text):
        return found.group(1).strip()
    if found := _STATEMENT.fullmatch(text):
        said = (found["said"] or found["gesagt"]).strip().rstrip("。").removesuffix(".")
        return bare_answer(said) if not _words(said) else cell
    if found := _BOLD.fullmatch(text):
        inside = (found.group(1) or found.group(2)).strip()
        return bare_answer(inside) if found.group(1) and not _words(inside) else cell
    return cell


def boxed_answer(cell: str, question: str) -> str | None:
    r"""Return what the last box of a cell holds, or all of several side by side; None if there is none.

    Boxes that are equal to each other are one answer.

    Raises:
        Fault: if the answers are different, and either may do, or it is not clear whether all are asked for.
    """
    last = last_boxed(cell)
    if last is None or cell.count("\\boxed") < 2:
        return last
    boxes = last_boxes(cell)
    joined = len(boxes) > 1
    boxes = [box.strip() for box in (boxes if joined else _boxes_of_last_sentence(cell))]
    if all(_same(box, boxes[-1]) for box in boxes[:-1]):
        return last.strip()  # earlier boxes mark steps
    told = "; ".join(boxes)[:80]
    between_or = re.search(r"\bor\b|或", cell[max(cell.rfind("\\boxed{" + boxes[0]), 0) :])
    asks_for_one = _ASKS_FOR_ONE.search(question)
    if not asks_for_one and (_ASKS_FOR_ALL.search(question) or (joined and not between_or)):
        return ", ".join(boxes)
    if asks_for_one or between_or:
        raise Fault("gold", f"different answers, either of which may do: {told}. Write the one that is meant.")
    raise Fault("gold", f"boxes with different answers in one sentence: {told}. Write all that is asked for into one.")


def _boxes_of_last_sentence(cell: str) -> list[str]:
    """Return the contents of the last box and of those before it within the same sentence."""
    found: list[tuple[int, int, str]] = []
    for opening in re.finditer(r"\\boxed\s*\{", cell):
        if found and opening.start() < found[-1][1]:
            continue  # inside the one before
        depth, end = 1, opening.end()
        while end < len(cell) and depth:
            depth += {"{": 1, "}": -1}.get(cell[end], 0) if cell[end - 1] != "\\" else 0
            end += 1
        found.append((opening.start(), end, cell[opening.end() : end - 1]))
    first = len(found) - 1
    while first > 0:
        between = cell[found[first - 1][1] : found[first][0]]
        if len(between) > 100 or _APART.search(re.sub(r"[$(\s]*[A-Za-z]\s*=\s*\Z", "", between)):
            break
        first -= 1
    return [content for _, _, content in found[first:]] or [last_boxed(cell) or ""]


def _same(one: str, other: str) -> bool:
    try:
        return equivalent(one, other)
    except UndecidedError:
        return False


def gold_fault(truth: str, is_right: Callable[[str], bool]) -> str | None:
    r"""Say why no response would equal a ground truth of mathematics, None if nothing speaks against it.

    Args:
        truth: the ground truth.
        is_right: whether the scorer takes an answer, without its box, for this ground truth.
    """
    text = truth.strip()
    if _PLAIN.fullmatch(text):
        return None
    if "\\boxed" in text and (boxes := last_boxes(text)):
        text = ", ".join(boxes).strip()  # all that the scorer reads of it
    return _as_solution(text) or _as_label(text, is_right) or _as_remark(text, is_right) or _as_spelling(text)


def choice_fault(truth: str) -> str | None:
    """Say why a ground truth of a multiple choice names no single letter, None if it does."""
    letters = re.sub(r"[\s,;/&、和]|and", "", truth.strip())
    if re.fullmatch(r"(?=(.))(?!\1+\Z)[A-J]{2,10}", letters):
        return "several letters, and this scorer knows one right choice"
    try:
        right_letter(truth)
    except ValueError:
        return "no letter of a choice, such as B, (B) or B. Paris"
    return None


def _as_solution(text: str) -> str | None:
    if "####" in text:
        return "a whole solution (it holds ####), and no answer that a response can equal"
    if _PROGRAM.search(text):
        return "a program, and no answer that a response can equal"
    if "\n" in _TEXT.sub("", text) and not _LINES_ARE_PART.search(text):
        return f"{len(text.splitlines())} lines, and no answer that a response can equal"
    plain = _COMMAND.sub(" ", _TEXT.sub(r" \1 ", text))
    words = _words(text)
    if _CONNECTIVE.search(plain):
        return "prose, and no answer that a response can equal"
    sentence = len(words) >= 2 and _VERB.search(plain) and (any(map(str.isdigit, plain)) or len(words) > 3)
    characters = len(_CHINESE.findall(plain))
    if len(words) > MOST_WORDS or sentence or (len(words) > 2 and _SENTENCES.search(plain)) or characters > 12:
        return "prose, and no answer that a response can equal"
    if characters > 3 and any(map(str.isdigit, plain)):
        return "prose, and no answer that a response can equal"
    if len(text) > MOST_CHARACTERS and len(words) > 2:
        return f"{len(text):,} characters, and no answer that a response can equal"
    return None


def _words(text: str) -> list[str]:
    plain = _COMMAND.sub(" ", _TEXT.sub(r" \1 ", text))
    return [word for word in _WORD.findall(plain) if word.lower() not in _FUNCTIONS]


def _as_label(text: str, is_right: Callable[[str], bool]) -> str | None:
    found = _LABEL.fullmatch(_TEXT.sub(r"\1", text).strip("$ "))
    if found is None or (found["inside"] and not found["text"]):
        found = _LETTER_IN_WORDS.fullmatch(text)
        if found is None:
            return None
        answers = [found["letter"]]
    else:
        answers = [found["inside"] or found["letter"], *([found["text"].strip()] if found["text"] else [])]
    wrong = [answer for answer in answers if not is_right(answer)]
    return _not_right(wrong[0], "a choice's letter with words or text") if wrong else None


def _as_remark(text: str, is_right: Callable[[str], bool]) -> str | None:
    if _QUOTED_LIST.fullmatch(text):
        return "a list of texts, written as text. Write the answer alone, or several with commas."
    plain = _TEXT.sub(r" \1 ", text)
    if _EUROPEAN.fullmatch(text):
        return "a comma before the decimals, which is read as two numbers. Write a point."
    for form in (_REMARK, _HEDGE, _WITH_WORDS, _STATEMENT, _CALCULATION):
        found = form.fullmatch(plain.strip())
        if found and not (form is _WITH_WORDS and _MONTHS.match(found.group(2))):
            value = next(group for group in found.groups() if group is not None).strip()
            return None if is_right(value) else _not_right(value, "a value with words")
    if _REMARK_BEHIND.fullmatch(text) and "\\" not in text:
        return "a remark in brackets stands behind the answer, which a response would not repeat"
    return None


def _as_spelling(text: str) -> str | None:
    from reward_score.math_equivalence.structure import Opaque, read

    if _FEW_WORDS.fullmatch(_TEXT.sub(r"\1", text)):
        return None  # compared as words
    if isinstance(read(text), Opaque) and not _TIME.search(text):
        return "the scorer does not understand it, so that only the same spelling would be right"
    return None


def _not_right(answer: str, what: str) -> str:
    return f"{what}, for which the scorer takes {answer!r} for wrong"
