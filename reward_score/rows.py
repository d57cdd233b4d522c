"""Rows to score, from a JSON Lines or parquet file: verl's data, its rollout dumps, and labelled answers."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reward_score.completions import text_of
from reward_score.data_sources import task_of, truth_in, unknown_source

# Where the values stand if the user does not say so: verl's data and dumps, and the usual names.
RESPONSE_COLUMNS = ("response", "output", "responses", "completion", "pred")
TRUTH_COLUMNS = ("ground_truth", "gts", "gold")
LABEL_COLUMN = "label"
# Together they mark a labelled answer, whose columns "kind" and "soft" then have a meaning.
LABELLED_ANSWER = {"pred", "gold", "label"}
LABELS = {"1": True, "0": False, "1.0": True, "0.0": False, "true": True, "false": False}


class RowsError(Exception):
    """A file cannot be used: the text says where, what is wrong, and how to mend it."""

    def __init__(self, where: object, what: str, fix: str):
        super().__init__(f"{where}: {what}\n    fix: {fix}")


@dataclass(frozen=True)
class Columns:
    """Which columns to read; None means the usual ones. ``data_source`` is that of rows that name none."""

    data_source: str | None = None
    response: str | None = None
    truth: str | None = None
    label: str | None = None


def count_rows(path: Path) -> int:
    """Return how many rows a file has, for a progress bar: of JSON Lines the lines.

    Raises:
        RowsError: if the file cannot be read.
    """
    _check(path)
    try:
        if path.suffix == ".parquet":
            return _parquet(path).metadata.num_rows
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        raise _unreadable(path, error) from error


def read_rows(path: Path) -> Iterator[tuple[int, dict]]:
    """Yield (number, row) for each row, numbers counted from 1; of JSON Lines they are the lines' numbers.

    Raises:
        RowsError: if the file or one of its lines cannot be read.
    """
    _check(path)
    try:
        yield from (_read_parquet if path.suffix == ".parquet" else _read_jsonl)(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def data_source_of(row: Mapping, place: str, columns: Columns) -> str:
    """Return the row's own data source, else the one for rows that name none.

    Raises:
        RowsError: if neither is known.
    """
    source = row.get("data_source") or columns.data_source
    if task_of(source) is not None:
        return source
    all_stand_in = "all that there are stand in docs/en/rewards.md"
    if source is None:
        raise RowsError(place, "has no column 'data_source'", f"name it with --data-source; {all_stand_in}")
    raise RowsError(place, f"no scorer for data_source {unknown_source(source)}", f"correct it; {all_stand_in}")


def truth_of(row: Mapping, place: str, columns: Columns, data_source: str) -> object:
    """Return the row's ground truth, from ``reward_model`` in verl's data.

    Raises:
        RowsError: if the row has no column for it.
    """
    reward_model = row.get("reward_model")
    if columns.truth is None and isinstance(reward_model, Mapping) and "ground_truth" in reward_model:
        return reward_model["ground_truth"]
    return truth_in(data_source, row[_column(row, place, columns.truth, TRUTH_COLUMNS, "ground truth", "truth")])


def responses_of(row: Mapping, place: str, columns: Columns) -> list[str | None]:
    """Return the row's response, or all of them where the column holds several texts.

    Raises:
        RowsError: if the row has no column for it.
    """
    value = row[_column(row, place, columns.response, RESPONSE_COLUMNS, "response", "response")]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return value
    return [text_of(value)]


def label_of(row: Mapping, place: str, columns: Columns) -> bool | None:
    """Return whether the row is labelled right, None if it has no label.

    Raises:
        RowsError: if the label is neither, or the column that the user named is missing.
    """
    name = columns.label or LABEL_COLUMN
    if columns.label is not None and name not in row:
        raise RowsError(place, f"has no column '{name}', only {_names(row)}", "name another with --label-column")
    value = row.get(name)
    if value is None:
        return None
    label = LABELS.get(str(value).strip().lower())
    if label is None:
        raise RowsError(
            f"{place}, column '{name}'", f"{value!r} is no label", "write 1 or true, 0 or false, or nothing"
        )
    return label


def is_labelled_answer(row: Mapping) -> bool:
    """Say whether the row is a labelled answer, with ``pred``, ``gold`` and ``label``."""
    return row.keys() >= LABELLED_ANSWER


def _column(row: Mapping, place: str, named: str | None, usual: Iterable[str], meaning: str, option: str) -> str:
    found = next((name for name in ([named] if named else usual) if name in row), None)
    if found is None:
        looked_for = f"'{named}'" if named else f"for the {meaning} ({', '.join(usual)})"
        raise RowsError(place, f"has no column {looked_for}, only {_names(row)}", f"name it with --{option}-column")
    return found


def _names(row: Mapping) -> str:
    return ", ".join(map(repr, row)) or "none"


def _check(path: Path) -> None:
    if path.is_dir():
        raise RowsError(path, "is a folder", "name a .jsonl or .parquet file in it")
    if path.suffix not in (".parquet", ".jsonl"):
        raise RowsError(path, f"a {path.suffix or 'file without suffix'} is not read here", "give .jsonl or .parquet")


def _read_jsonl(path: Path) -> Iterator[tuple[int, dict]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                fix = "copy the file again if it is truncated, or remove the line"
                raise RowsError(place, f"not valid JSON ({error})", fix) from error
            if not isinstance(row, dict):
                raise RowsError(place, f"{type(row).__name__} instead of an object", 'write {"response": "..."}')
            yield number, row


def _read_parquet(path: Path) -> Iterator[tuple[int, dict]]:
    import pyarrow as pa

    number = 0
    try:
        for batch in _parquet(path).iter_batches(1024):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except pa.ArrowException as error:
        raise RowsError(f"{path}, row {number + 1}", f"not readable as parquet ({error})", "copy it again") from error


def _parquet(path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.open("rb").close()  # raises what is wrong in fewer words than pyarrow
    try:
        return pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise RowsError(path, f"not readable as parquet ({error})", "copy it again") from error


def _unreadable(path: Path, error: OSError) -> RowsError:
    return RowsError(path, f"cannot be read ({error.strerror or error})", "correct the path or its permissions")
