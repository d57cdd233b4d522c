r"""Multiple choice: which letter does the response give as its answer?

Read after the thoughts; the first of these places that names a letter decides:

1. the last closed ``<answer>...</answer>``;
2. the last box: ``\boxed{B}``, ``\boxed{\text{(B)}}``;
3. the last statement of the answer: "the answer is B", "Answer: (B)", "the correct option is **B**", "B is the correct
   answer", also in Chinese and five European languages;
4. the last weaker statement: "I think it's B", "I choose B", "B is correct";
5. the form of the text: a last line that is a letter alone ("B.", "**B**"), or a first line that begins with one ("D.
   it can't be A or B").

Where the choices are given, the text of one does for its letter in a box, in the tags and as the whole response.

Policies:

- Several different letters are a hedge and wrong: "A or B", "B, C", "B, maybe A", ``\boxed{A}, \boxed{B}``, "Answer: A.
  Answer: B.", the list of choices repeated. A letter stated later, with other text between, corrects an earlier one.
- A negated letter ("not A", "it can't be A") and one that is asked ("is the answer A?") are no answer.
- A small letter counts only alone: "(b)", ``\boxed{b}``, "Answer: b". "A" as an article and "I" as a pronoun are no
  letters.
"""

import re
from collections.abc import Mapping

from reward_score.extraction import answer_region, last_boxes, tagged
from reward_score.ground_truth import opened

# Statements are looked for at the end only, which bounds the time. Boxes and tags may stand anywhere.
TAIL = 4000

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_MARKUP = re.compile(r"\\(?:text(?:bf|it|rm|sf)?|math(?:rm|bf|sf|it)|bf|rm)(?![A-Za-z])|[*_`${}\\]|</?b>")
_TEXT_COMMAND = re.compile(r"\\text(?:bf|it|rm)?\{([^{}]*)\}")

# "A" before a small word is an article, unless it is a word that can follow an answer.
_GOES_ON = (
    r"(?:and|as|because|based|but|by|can|cannot|could|does|due|for|from|given|if|in|is|isn|it|non|not|on|or|since|so|that"
    r"|the|to|was|which|will|with|would)\b"
)
_LETTER = rf"(?<![A-Za-z0-9'’])(?!A\s+(?!{_GOES_ON})[a-z])(?!I(?:\s+[a-z]|['’]))[A-Z](?![A-Za-z0-9'’^=+])"
_SMALL = r"\([a-z]\)|[a-z](?=[.\s]*(?:\n|\Z))"
_CHOSEN = rf"\(?\s?(?P<letter>{_LETTER})\s?\)?|(?P<small>{_SMALL})"

_ANSWER = (
    r"(?:\b(?:answers?|réponse|respuesta|resposta|risposta|antwort)\b|答案"
    r"|\b(?:correct|right|best|final)\s+(?:option|choice|letter|statement|one)\b)"
)
_IS = r"(?:\s*[:：=是为]|\s+(?:is|was|(?:would|will|must|should|has\s+to)\s+be|est|es|è|ist|é)\b)"
_FILLER = (
    r"(?:\s*[:：]|\s+(?:for\s+sure|definitely|clearly|certainly|probably|most|likely|therefore|thus|indeed|simply|actually"
    r"|the|that|option|choice|letter|statement|answer|not\s+\(?[A-Z]\)?\s*,?\s+but)\b|\s*选项?)"
)
_RIGHT = r"(?:most\s+)?(?:correct|right|best|accurate|appropriate)"
_STATEMENTS = (
    re.compile(
        rf"(?i:{_ANSWER}(?:\s*[-–—]|[^.\n?!。]{{0,40}}?{_IS})?{_FILLER}{{0,3}})\s{{0,4}}(?:{_CHOSEN})"
        rf"|(?P<subject>{_LETTER})\s?\)?\s+(?i:(?:is\s+|as\s+)?the\s+{_RIGHT}\s+(?:answer|option|choice|one|statement))"
    ),
    re.compile(
        rf"(?i:\b(?:it(?:['’]s|\s+is|\s+must\s+be|\s+should\s+be)|choose|chose|pick|select|go(?:ing)?\s+with){_FILLER}{{0,3}})"
        rf"\s{{0,4}}(?:{_CHOSEN})"
        rf"|(?P<subject>{_LETTER})\s?\)?\s+(?i:is\s+(?:clearly\s+|definitely\s+)?{_RIGHT})\b"
    ),
)
_DENIED = re.compile(
    r"(?:n['’]t|\bnot|\bnever)\s+(?:think|believe|say|mean|true|certain|sure|clear)\b[^.,;\n]*\Z", re.IGNORECASE
)

# Letters joined to a letter: by a word of doubt in any case, else only if no sentence about the second letter begins.
_DOUBT = r"(?:(?i:and/or|or|maybe|perhaps|possibly|probably|alternatively|otherwise)\b|或)"
_BESIDE_DOUBT = (
    r"(?i:and|but|also|even|rather|else|well|just|either|it|is|may|might|could|be|the|answer|option|choice|letter)\b"
)
_GAP = r"[\s,;:.()/|–—-]*"
_DOUBTED = (
    rf"{_GAP}(?:{_BESIDE_DOUBT}{_GAP}){{0,3}}{_DOUBT}{_GAP}"
    rf"(?:(?:{_DOUBT}|{_BESIDE_DOUBT}){_GAP}){{0,4}}(?P<either>{_LETTER})"
)
_ALTERNATIVE = re.compile(_DOUBTED)
_JOINED = re.compile(
    rf"{_DOUBTED}"
    rf"|[ \t,;/&().|+、和-]+(?i:and\b[ \t(]*)?(?P<other>{_LETTER})"
    rf"(?=[ \t]*(?:[.,;/&)|+、。!?-]|(?i:or|and)\b|\n|\Z|{_LETTER}))"
)
_BETWEEN = re.compile(
    r"(?:[\s.,;:()-]|\b(?:and|or|also|maybe|perhaps|the|my|final|correct|so|i|think)\b)*", re.IGNORECASE
)

_ALONE = re.compile(r"\W*(?P<letter>[A-Za-z])\W*")
# A text that begins with a letter: "D. it", "(B) Paris", and with nothing but a space between, "B Paris", "B because".
_BEGINS = re.compile(
    rf"[\s(]*(?P<letter>{_LETTER})(?:(?P<mark>\s*[.):,：。，]|(?=[\u4e00-\u9fff]))|(?P<space>\s+(?=[A-Z0-9(]|(?:because|since|due)\b)))?"
)
_LISTED = re.compile(rf"^[ \t(-]*({_LETTER})[ \t]*[.):]", re.MULTILINE)
# The same at the head of any line of a ground truth: "The answer is\n(C) Paris".
_GOLD_LINE = re.compile(rf"^[ \t(]*({_LETTER})[).:\s]", re.MULTILINE)


def score(solution_str: str, ground_truth: object) -> dict[str, float | str]:
    """Score one response.

    Args:
        solution_str: the decoded response.
        ground_truth: the right letter ("B", "(B)", "B. Paris"), or ``{"answer": the letter or the choice's text,
            "choices": texts in order, or a mapping from letter to text}``, also as JSON text.

    Returns:
        ``score`` and ``acc``: 1.0 if the response's letter is the right one, else 0.0.
        ``format``: 1.0 if exactly one letter stands in the tags, in a box or in a statement of the answer (places 1 to
        3), else 0.0.
        ``pred``: the letter, or all of a hedge, "" if there is none.

    Raises:
        ValueError: if the ground truth names no letter.
    """
    gold, choices = right_letter(ground_truth)
    letters, well_formed = _answer(solution_str, choices)
    acc = float(letters == {gold})
    well_formed = well_formed and len(letters) == 1
    return {"score": acc, "acc": acc, "format": float(well_formed), "pred": ",".join(sorted(letters))}


def chosen_letter(response: str, choices: Mapping[str, str] | None = None) -> str | None:
    """Return the letter that a response gives as its answer; None if it gives none, or several.

    Args:
        response: the decoded response.
        choices: the text of each choice by its letter.
    """
    letters, _ = _answer(response, choices or {})
    return letters.pop() if len(letters) == 1 else None


def right_letter(ground_truth: object) -> tuple[str, dict[str, str]]:
    """Return the right letter, and the choices by letter (empty if the ground truth has none).

    Raises:
        ValueError: if the ground truth names no letter.
    """
    try:
        truth = opened(ground_truth)
        if not isinstance(truth, Mapping):
            truth = {"answer": ground_truth}
        answer, choices = truth["answer"], choices_by_letter(truth.get("choices"))
        letters = _in_short_text(answer, choices) or set(_GOLD_LINE.findall(answer))
    except (LookupError, TypeError, AttributeError, ValueError):
        letters = set()
    if len(letters) != 1 or (choices and not letters <= choices.keys()):
        raise ValueError(
            f"ground truth {str(ground_truth)[:200]!r}: multiple choice needs a letter ('B', '(B)', 'B. Paris') or "
            "{'answer': 'B', 'choices': ['London', 'Paris']}"
        )
    return letters.pop(), choices


def choices_by_letter(choices: object) -> dict[str, str]:
    """Return the text of each choice by its letter, from texts in order or a mapping; empty if there are none."""
    if choices is None:
        return {}
    by_letter = choices if isinstance(choices, Mapping) else dict(zip(LETTERS, choices, strict=False))
    return {letter.strip("(). ").upper(): str(text) for letter, text in by_letter.items() if text is not None}


def _answer(response: str, choices: Mapping[str, str]) -> tuple[set[str], bool]:
    """Return the letters in the first place that names any, and whether it is a place that the task asks for."""
    region = answer_region(response)
    if region is None:
        return set(), False
    inside = tagged(region, "answer")
    if inside:
        letters = _in_short_text(inside, choices) or _in_text(inside, choices)[0]
        if letters:
            return letters, True
    return _in_text(region, choices)


def _in_text(text: str, choices: Mapping[str, str]) -> tuple[set[str], bool]:
    letters = {letter for box in last_boxes(text) for letter in _in_short_text(box, choices)}
    if letters:
        return letters, True
    tail = _MARKUP.sub("", text[-TAIL:])
    for pattern, asked_for in zip(_STATEMENTS, (True, False), strict=True):
        letters = _last_stated(tail, pattern)
        if letters:
            return letters, asked_for
    return _in_form(text, choices), False


def _in_short_text(text: str, choices: Mapping[str, str]) -> set[str]:
    """Return the letters that a box, a pair of tags or a ground truth consists of or begins with."""
    cleaned = _MARKUP.sub("", text).strip()
    alone = _ALONE.fullmatch(cleaned)
    if alone:
        return {alone["letter"].upper()}
    letters = _by_text(text, choices)
    first = _BEGINS.match(cleaned)
    if not letters and first:
        joined, _ = _joined(cleaned, first.end("letter"))
        if joined or first["mark"] is not None or first["space"]:
            letters = {first["letter"]} | joined
    return letters


def _by_text(text: str, choices: Mapping[str, str]) -> set[str]:
    return {letter for letter, choice in choices.items() if _plain(text) == _plain(choice)} if choices else set()


def _last_stated(text: str, pattern: re.Pattern) -> set[str]:
    """Return the letters of the last statement, and of those that stand right before it."""
    found = [statement for match in pattern.finditer(text) if (statement := _statement(text, match))]
    if not found:
        return set()
    letters, start, _ = found.pop()
    while found and start - found[-1][2] <= 60 and _BETWEEN.fullmatch(text, found[-1][2], start):
        earlier, start, _ = found.pop()
        letters = letters | earlier
    return letters


def _statement(text: str, match: re.Match) -> tuple[set[str], int, int] | None:
    """Return a statement's letters, start and end; None if it is a question or denied."""
    letters, end = {(match["letter"] or match["small"] or match["subject"]).strip("()").upper()}, match.end()
    if match["letter"]:
        joined, end = _joined(text, match.end("letter"))
        letters |= joined
    elif match["subject"] and (alternative := _ALTERNATIVE.match(text, end)):
        letters, end = letters | {alternative["either"]}, alternative.end()
    asked = text[end : end + 10].lstrip(" )").startswith("?")
    if asked or _DENIED.search(text[max(0, match.start() - 40) : match.start()]):
        return None
    return letters, match.start(), max(end, match.end())


def _joined(text: str, end: int) -> tuple[set[str], int]:
    """Return the letters joined to the one that ends here, and where the last of them ends."""
    letters = set()
    while match := _JOINED.match(text, end):
        letters.add(match["either"] or match["other"])
        end = match.end()
    return letters, end


def _in_form(text: str, choices: Mapping[str, str]) -> set[str]:
    letters = _by_text(text, choices)
    text = _MARKUP.sub("", text)
    for line in reversed(text.splitlines()):
        alone = _ALONE.fullmatch(line)
        if alone:
            letters.add(alone["letter"].upper())
        elif line.strip():
            break
    first = _BEGINS.match(text)
    if not letters and first and first["mark"] is not None:
        letters = {first["letter"]} | _joined(text, first.end("letter"))[0] | set(_LISTED.findall(text))
    return letters


def _plain(text: str) -> str:
    """Return a choice's text for comparison. Braces stay, for \\frac{11}{2} is not \\frac{1}{12}."""
    return " ".join(_TEXT_COMMAND.sub(r"\1", text).split()).strip("$*. ").casefold()
