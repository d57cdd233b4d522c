"""How far each launcher has been verified: records of what ran, and the level that follows from them.

    C   composes with verl's configuration tree, and preflight's static checks find nothing
    S   ran end to end on a CPU with a shrunken model of the same architecture (SMOKE=1)
    G   ran on accelerators at full size

A record holds for the code that it was made with: once a launcher changes, its old records no longer count.
"""

import fcntl
import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RECORDS = Path(__file__).resolve().parents[1] / "examples" / "grpo_trainer" / "verified.jsonl"
LEVELS = ("C", "S", "G")  # each is worth more than the one before
QUOTED_OR_COMMENT = re.compile(r'(?P<quoted>"[^"]*")|(^|\s+)#.*')


@dataclass(frozen=True)
class Record:
    """What one verification of one launcher found; None is left out of the file.

    Attributes:
        launcher: its name, without ``.sh``.
        level: C, S or G.
        code: ``code_digest`` of the launcher that was verified.
        date: day of the verification, YYYY-MM-DD.
        verl: version of verl.
        hardware: what it ran on.
        status: how the run ended, as in its summary.json, or "disagree" if the rollout engine and the trainer did not
            compute the same policy; only "completed" reaches a level.
        steps, world_size, rollout_probs_diff_mean: from the run's summary.json.
        seconds: wall time of the whole command.
        reason: why the level cannot be reached, in one line.
    """

    launcher: str
    level: str
    code: str
    date: str
    verl: str
    hardware: str | None = None
    status: str | None = None
    steps: int | None = None
    world_size: int | None = None
    rollout_probs_diff_mean: float | None = None
    seconds: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level {self.level!r} is none of {', '.join(LEVELS)}")

    @property
    def reaches_level(self) -> bool:
        """Whether it shows that the launcher works at its level."""
        return self.reason is None and self.status in (None, "completed")


def new_record(launcher: Path, level: str, **found: str | int | float | None) -> Record:
    """Return a record of today for a launcher as it is now, with the installed verl."""
    today = datetime.now(UTC).date().isoformat()
    return Record(launcher.stem, level, code_digest(launcher), today, version("verl"), **found)


def code_digest(launcher: Path) -> str:
    """Return a digest of the launcher's text without comments and blank lines."""
    lines = [without_comment(line).rstrip() for line in launcher.read_text(encoding="utf-8").splitlines()]
    return hashlib.sha256("\n".join(filter(None, lines)).encode()).hexdigest()[:12]


def without_comment(line: str) -> str:
    """Return a line of a launcher without its comment; a # between double quotes begins none."""
    return QUOTED_OR_COMMENT.sub(lambda found: found["quoted"] or "", line)


def read(path: Path = RECORDS) -> list[Record]:
    """Return all records, sorted by launcher and level; none if there is no file yet.

    Raises:
        ValueError: for a line that is not a record; the message names file and line.
    """
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            records.append(Record(**json.loads(line)))
        except (ValueError, TypeError) as error:
            message = f"{path}:{number}: not a record of verification: {error}; delete the line and verify again"
            raise ValueError(message) from error
    return sorted(records, key=_order)


def write(record: Record, path: Path = RECORDS) -> None:
    """Put a record in the place of the one of the same launcher and level; the file is replaced as a whole."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # one writer at a time, and no lock file to leave behind
        others = [old for old in read(path) if (old.launcher, old.level) != (record.launcher, record.level)]
        partial = path.with_suffix(".partial")
        partial.write_text("".join(f"{_line(each)}\n" for each in sorted([*others, record], key=_order)))
        partial.replace(path)
    finally:
        os.close(folder)


def current(launcher: Path, records: list[Record]) -> dict[str, Record]:
    """Return, by level, the records that were made with the launcher as it is now."""
    code = code_digest(launcher)
    return {record.level: record for record in records if (record.launcher, record.code) == (launcher.stem, code)}


def level_of(launcher: Path, records: list[Record] | None = None) -> str:
    """Return the highest level that the launcher, as it is now, has reached: "", "C", "S" or "G".

    Args:
        launcher: the launcher's file.
        records: what ``read`` returned; read here if not given.
    """
    found = current(launcher, read() if records is None else records)
    return next((level for level in reversed(LEVELS) if level in found and found[level].reaches_level), "")


def _order(record: Record) -> tuple[str, int]:
    return record.launcher, LEVELS.index(record.level)


def _line(record: Record) -> str:
    return json.dumps({name: value for name, value in asdict(record).items() if value is not None})
