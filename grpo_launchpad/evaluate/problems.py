"""The problems to evaluate on: rows of verl's data, with what the tables are split by."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from reward_score.rows import Columns, RowsError, data_source_of, read_rows, truth_of

# Names under which data sets keep how hard a problem is and of which kind.
GROUPS = ("level", "type", "subject")
MOST_GROUPS = 24


@dataclass(frozen=True)
class Problem:
    """One row.

    Attributes:
        key: of its prompt; rows with equal prompts are told apart by their order.
        data: the file's name in tables.
        number: of the row in its file, from 1.
        messages: the prompt.
        data_source: decides the scorer.
        ground_truth: what the scorer compares with.
        extra_info: for a reward function that looks at it.
        groups: column -> the row's value there.
    """

    key: str
    data: str
    number: int
    messages: list[dict[str, str]]
    data_source: str
    ground_truth: object
    extra_info: Mapping
    groups: Mapping[str, str]


def read_problems(files: Sequence[Path], rows: int | None = None, *, any_scorer: bool = False) -> list[Problem]:
    """Read problems from verl's parquet or JSON Lines files.

    Args:
        files: to read, in this order.
        rows: of each file, the first so many; None for all.
        any_scorer: a reward function of the user's scores them, so that any data source will do.

    Raises:
        RowsError: for a file or row that cannot be used, a row with images, and a file without rows.
    """
    problems, seen, labels = [], Counter(), _labels(files)
    for path in files:
        before = len(problems)
        for number, row in islice(read_rows(path), rows):
            problems.append(_problem(row, path, labels[path], number, seen, any_scorer))
        if len(problems) == before:
            raise RowsError(path, "has no rows", "prepare the data again, or name another file")
    return problems


def groups_in(problems: Iterable[Problem]) -> list[str]:
    """Return the columns by which tables can split these problems: they differ there, and not from row to row."""
    problems = list(problems)
    found = []
    for column in ("data_source", *GROUPS):
        values = {problem.groups[column] for problem in problems if column in problem.groups}
        if 2 <= len(values) <= min(MOST_GROUPS, len(problems) // 2):
            found.append(column)
    return found


def _problem(row: Mapping, path: Path, label: str, number: int, seen: Counter, any_scorer: bool) -> Problem:
    place = f"{path}, row {number}"
    messages = _messages(row, place)
    if row.get("images") or row.get("videos"):
        raise RowsError(place, "has images, which evaluate does not show to a model yet", "evaluate on text alone")
    source = str(row.get("data_source")) if any_scorer else data_source_of(row, place, Columns())
    extra = row.get("extra_info") if isinstance(row.get("extra_info"), Mapping) else {}
    values = {column: row.get(column, extra.get(column)) for column in GROUPS} | {"data_source": source}
    content = json.dumps(messages, sort_keys=True, ensure_ascii=True)
    seen[content] += 1
    return Problem(
        key=hashlib.sha256(f"{seen[content]} {content}".encode()).hexdigest()[:16],
        data=label,
        number=number,
        messages=messages,
        data_source=source,
        ground_truth=truth_of(row, place, Columns(), source),
        extra_info=extra,
        groups={column: str(value) for column, value in values.items() if value not in (None, "")},
    )


def _messages(row: Mapping, place: str) -> list[dict[str, str]]:
    prompt = row.get("prompt")
    if isinstance(prompt, str) and prompt:
        return [{"role": "user", "content": prompt}]
    if isinstance(prompt, list) and prompt and all(isinstance(message, Mapping) for message in prompt):
        return [{"role": str(message.get("role")), "content": str(message.get("content"))} for message in prompt]
    columns = ", ".join(map(repr, row)) or "none"
    what = "has no prompt in 'prompt'" if "prompt" in row else f"has no column 'prompt', only {columns}"
    raise RowsError(place, what, "prepare it with a script of data_prep, custom.py for your own files")


def _labels(files: Sequence[Path]) -> dict[Path, str]:
    """Return a name for each file in tables: data/math500/test.parquet is math500/test."""
    short = {path: f"{path.resolve().parent.name}/{path.stem}" for path in files}
    count = Counter(short.values())
    return {path: name if count[name] == 1 else str(path) for path, name in short.items()}
