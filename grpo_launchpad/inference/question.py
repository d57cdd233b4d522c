"""How a run's prompts ask: what stands around each question of its data, so that another can be asked like them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from reward_score.rows import RowsError, read_rows

ROWS = 64
# So many different questions share by chance neither an instruction nor a sentence.
FEWEST = 8
SHORTEST_PREFIX = 20


@dataclass(frozen=True)
class QuestionForm:
    """What a prompt has beside the question: a system message, and text before and after it, each "" for none."""

    system: str = ""
    before: str = ""
    after: str = ""

    def messages(self, question: str) -> list[dict[str, str]]:
        """Return a question as the chat that asks it."""
        before = "" if question.startswith(self.before) else self.before
        after = "" if question.endswith(self.after) else self.after
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": f"{before}{question}{after}"}]

    def __str__(self) -> str:
        return f"{self.before}<question>{self.after}" + (f" (system: {self.system})" if self.system else "")


def form_of_files(files: Sequence[str]) -> QuestionForm:
    """Return the form of the questions in a run's data, the bare question where no file can be read."""
    for file in files:
        try:
            return form_of([row.get("prompt") for _, row in islice(read_rows(Path(file).expanduser()), ROWS)])
        except RowsError:
            continue
    return QuestionForm()


def form_of(prompts: Iterable[object]) -> QuestionForm:
    """Return what all prompts have in common, the bare question if they are too few, or no single questions."""
    lists = [prompt for prompt in prompts if isinstance(prompt, list) and prompt]
    chats = [chat for chat in lists if all(isinstance(message, Mapping) for message in chat)]
    questions = {str(chat[-1].get("content")) for chat in chats}
    systems = {str(chat[0].get("content")) if chat[0].get("role") == "system" else "" for chat in chats}
    if len(questions) < FEWEST or len(systems) != 1 or {len(chat) for chat in chats} - {1 + bool(max(systems))}:
        return QuestionForm()
    before = os.path.commonprefix(sorted(questions))
    after = os.path.commonprefix([question[::-1] for question in questions])[::-1]
    return QuestionForm(systems.pop(), _instruction_before(before), _instruction_after(after))


def _instruction_before(text: str) -> str:
    """Return the part of a common beginning that is no question's own: up to its last line break, or last space."""
    end = text.rfind("\n") + 1 or text.rfind(" ") + 1
    return text[:end] if end >= SHORTEST_PREFIX else ""


def _instruction_after(text: str) -> str:
    """Return the part of a common end that is no question's own: from its first space, without a sentence's mark."""
    space = next((place for place, character in enumerate(text) if character.isspace()), None)
    return text[space:] if space is not None else text.strip(".?!。？！")
