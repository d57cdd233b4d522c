"""What the cells of a foreign record may hold: prompts as messages, choices, lists, values within values."""

import ast
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence

from data_prep.pipeline.data_set import Fault
from reward_score.multiple_choice import LETTERS, right_letter

USER, SYSTEM, ASSISTANT = ("user", "human"), ("system", "developer"), ("assistant", "gpt", "model")
# Columns that elsewhere hold a part of the question, and those that hold choices.
PARTS = frozenset(
    ["passage", "context", "body", "input", "background", "premise", "story", "paragraph", "article", "document"]
    + ["scenario", "table", "facts", "material", "text1", "材料", "背景", "文章", "短文"]
)
CHOICES = frozenset(
    ["options", "choices", "option", "choice", "endings", "candidates", "answer_choices", "answerchoices"]
    + ["mc_choices", "options_text", "选项"]
)
LETTER_COLUMN = re.compile(r"(?:option|choice|opt|answer|op|选项)?[ _-]?([A-H1-8])", re.IGNORECASE)
LABELLED = re.compile(r"\s*[(（\[]?([A-Z])[)）\].:：、．]\s*\S?")


def cell_of(record: Mapping[str, object], name: str) -> object:
    """Return the cell of a column, or of a value within one: "item.question".

    Raises:
        KeyError: if there is none.
    """
    if name in record:
        return record[name]
    value: object = record
    for part in name.split("."):
        if not isinstance(value, Mapping):
            raise KeyError(name)
        value = value[part]
    return value


def as_messages(cell: object) -> list | None:
    """Return the messages that a cell holds, also as JSON or Python text; None if it holds none."""
    if isinstance(cell, str) and cell.lstrip().startswith(("[{", "{")) and re.search(r"['\"](?:role|from)['\"]", cell):
        cell = _parsed(cell)
    if isinstance(cell, Mapping):
        cell = cell["messages"] if isinstance(cell.get("messages"), list) else [cell]
    if not (isinstance(cell, list) and cell and all(isinstance(item, Mapping) for item in cell)):
        return None
    return cell if all("role" in item or "from" in item for item in cell) else None


def question_of(messages: Sequence[Mapping], name: str) -> tuple[str, str]:
    """Return (question, system message) of a prompt of one user message; an answer behind it is not taken.

    Raises:
        Fault: if the messages are not one question.
    """
    said: dict[tuple[str, ...], list[str]] = {USER: [], SYSTEM: [], ASSISTANT: []}
    for number, message in enumerate(messages):
        role = str(message.get("role") or message.get("from")).lower()
        roles = next((roles for roles in said if role in roles), None)
        content = _content(message.get("content", message.get("value")))
        if roles is None or content is None:
            raise Fault("prompt", f"column '{name}', message {number + 1}: no role or text that is known. Correct it.")
        if roles is ASSISTANT and number < len(messages) - 1 or roles is not SYSTEM and said[ASSISTANT]:
            raise Fault("prompt", f"column '{name}': a conversation of {len(messages)} messages, not one question.")
        said[roles].append(content)
    if len(said[USER]) != 1 or not said[USER][0].strip():
        what = f"column '{name}': {len(said[USER])} user messages with text, and one is the question."
        raise Fault("prompt", f"{what} Write the question as one.")
    return said[USER][0], "\n\n".join(said[SYSTEM])


def _content(content: object) -> str | None:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(texts) if parts and len(texts) == len(parts) and all(isinstance(t, str) for t in texts) else None


def _parsed(text: str) -> object:
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text


def choices_of(cells: Sequence[object], names: Sequence[str]) -> dict[str, str]:
    """Return letter -> text of the choices in a column, or in a column each.

    Raises:
        Fault: if the cells hold no choices.
    """
    cell = cells[0] if len(cells) == 1 else list(cells)
    if isinstance(cell, str):
        cell = _parsed(cell) if cell.lstrip().startswith(("[", "{")) else _lines(cell)
    if isinstance(cell, Mapping) and len(cell) == 2 and all(isinstance(value, list) for value in cell.values()):
        labels, texts = sorted(cell.values(), key=lambda value: max((len(str(item)) for item in value), default=0))
        named = next((cell[name] for name in ("text", "texts", "choices") if name in cell), None)
        texts, labels = (
            (named, next(v for v in cell.values() if v is not named)) if named is not None else (texts, labels)
        )
        cell = [{"label": label, "text": text} for label, text in zip(labels, texts, strict=False)]
    if isinstance(cell, Mapping):
        cell = [text for _, text in sorted(cell.items()) if text is not None]
    if isinstance(cell, list) and cell and all(isinstance(item, Mapping) for item in cell):
        cell = [next((item[name] for name in ("text", "content", "value") if name in item), None) for item in cell]
    if not isinstance(cell, list) or len(cell) < 2:
        raise Fault("gold", f"column {' '.join(map(repr, names))}: no list of two or more choices. Write one.")
    texts = [str(item).strip() for item in cell if item is not None and str(item).strip()]
    if len(texts) < 2:
        raise Fault("gold", f"column {' '.join(map(repr, names))}: fewer than two choices. Fill them in.")
    found = [LABELLED.match(text) for text in texts]
    if all(match and match.group(1) == letter for match, letter in zip(found, LETTERS, strict=False)):
        texts = [text[match.end(1) :].lstrip(")）].:：、． ") for text, match in zip(texts, found, strict=True)]
    return dict(zip(LETTERS, texts, strict=False))


def _lines(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines if len(lines) > 1 else re.split(r"\s+(?=[(（]?[B-H][)）.:：、．])", text)


def letter_of(answer: str, choices: Mapping[str, str], first: int | None) -> str:
    """Return the letter of the right choice, from its letter, its text, or its number.

    Args:
        answer: what the answer's cell holds.
        choices: letter -> text.
        first: the number of the first choice, if the answer is a number.

    Raises:
        Fault: if it is none of them.
    """
    letters = list(choices)
    if first is not None:
        at = int(answer) - first if re.fullmatch(r"[0-9]{1,2}", answer) else -1
        if not 0 <= at < len(letters):
            raise Fault("gold", f"the answer {answer[:40]!r} is no number of a choice from {first}.")
        return letters[at]
    same = [letter for letter, text in choices.items() if _plain(text) == _plain(answer)]
    if len(same) == 1:
        return same[0]
    if re.fullmatch(r"[0-9]{1,2}", answer) and not same:
        how = "If it is the number of a choice: --answer-in index counts from 0, --answer-in number from 1."
        raise Fault("gold", f"the answer {answer!r} is no choice. {how}")
    try:
        letter, _ = right_letter(answer)
    except ValueError:
        letter = ""
    if letter not in choices:
        raise Fault("gold", f"the answer {answer[:40]!r} is no letter and no text of one of {len(choices)} choices.")
    return letter


def _plain(text: str) -> str:
    return " ".join(text.split()).strip("$. ").casefold()


def with_choices(question: str, choices: Mapping[str, str]) -> str:
    """Return a question with its choices, a line each."""
    return "\n".join([question, *(f"{letter}. {text}" for letter, text in choices.items())])


def has_choices(question: str, letter: str) -> bool:
    """Say whether choices with letters, from A to this one, stand in a question."""
    text = unicodedata.normalize("NFKC", question)
    last = max(LETTERS.find(letter), 1)
    labelled = set(re.findall(r"(?:^|(?<![A-Za-z0-9]))[(\[]?\**([A-Z])\**[)\].:、]", text, re.MULTILINE))
    alone = set(re.findall(r"(?<![A-Za-z0-9'’])([A-Z])(?=\s+\S)", text))
    if set(LETTERS[: last + 1]) <= labelled:
        return True
    return set(LETTERS[: max(last, 2) + 1]) <= labelled | alone


def untaken(record: Mapping[str, object], taken: Sequence[str], question: str, is_choice: bool) -> str | None:
    """Name the first column that is not taken and seems to belong to the question; None if there is none."""
    for name, value in record.items():
        if name in taken or value is None:
            continue
        plain = name.strip().casefold()
        text = value.strip() if isinstance(value, str) else ""
        if plain in PARTS and text and text not in question:
            return name
        filled = bool(text) or isinstance(value, list | dict | int | float)
        if is_choice and filled and (plain in CHOICES or (LETTER_COLUMN.fullmatch(name.strip()))):
            return name
    return None
