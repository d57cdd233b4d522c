"""The attempts at a run: ``launch/attempts.jsonl``.

    {"attempt", "started_at", "pid"}           when it starts
    {"attempt", "phase", "began_at"}           when a phase of its start begins, such as "loading the model"
    {"attempt", "total_steps"}                 when the trainer knows of how many
    {"attempt", "hung_step", "waited"}         when a step takes far too long; seconds so far
    {"attempt", "ended_at", "exit_code"}       when it ends; missing if the launcher was killed

Times are seconds since the epoch.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from grpo_launchpad.runs.folder import RunFolder


def read_json_lines(path: Path, unreadable: list[str] | None = None) -> Iterator[dict]:
    """Yield the JSON objects of a JSON Lines file; a line that is none, as a killed writer leaves, is passed over.

    Args:
        path: the file.
        unreadable: a list to which "file, line N" is added for each line that is no object.
    """
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if isinstance(record, dict):
                yield record
            elif unreadable is not None:
                unreadable.append(f"{path.name}, line {number}")


def next_attempt(run: RunFolder) -> int:
    """Return the number of the next attempt: one more than the highest that left a record, metrics or a log."""
    recorded = []
    if run.attempts.exists():
        recorded = [record.get("attempt") for record in read_json_lines(run.attempts)]
    numbers = [number for number in recorded if isinstance(number, int)]
    return 1 + max([0, *numbers, *run.numbers_of_attempts()])


def record_start(run: RunFolder, attempt: int, started_at: float, pid: int) -> None:
    """Add the record of an attempt that starts."""
    _append(run, {"attempt": attempt, "started_at": started_at, "pid": pid})


def record_end(run: RunFolder, attempt: int, exit_code: int) -> None:
    """Add the record of an attempt that ended now."""
    _append(run, {"attempt": attempt, "ended_at": time.time(), "exit_code": exit_code})


def record(run: RunFolder, attempt: int, facts: dict[str, str | float]) -> None:
    """Add one of the records of a running attempt."""
    _append(run, {"attempt": attempt, **facts})


@dataclass
class Progress:
    """What is recorded of an attempt; times are seconds since the epoch.

    Attributes:
        phases: phase -> when it began, in order.
        hangs: step that took far too long -> seconds that it had run when that was noticed.
    """

    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    pid: int | None = None
    total_steps: int | None = None
    phases: dict[str, float] = field(default_factory=dict)
    hangs: dict[int, float] = field(default_factory=dict)

    def durations(self) -> dict[str, float]:
        """Return the seconds of each phase that was followed by another."""
        begins = list(self.phases.items())
        return {phase: later - began for (phase, began), (_, later) in zip(begins, begins[1:], strict=False)}


def progress_of(records: Iterable[dict], into: dict[int, Progress] | None = None) -> dict[int, Progress]:
    """Return attempt -> what its records say; ``into`` is added to."""
    found = {} if into is None else into
    for record in records:
        number = record.get("attempt")
        if not isinstance(number, int):
            continue
        progress = found.setdefault(number, Progress())
        for name in ("started_at", "ended_at", "exit_code", "pid", "total_steps"):
            if isinstance(record.get(name), int | float):
                setattr(progress, name, record[name])
        if isinstance(record.get("phase"), str) and isinstance(record.get("began_at"), int | float):
            progress.phases[record["phase"]] = record["began_at"]
        if isinstance(record.get("hung_step"), int) and isinstance(record.get("waited"), int | float):
            progress.hangs[record["hung_step"]] = record["waited"]
    return found


def _append(run: RunFolder, record: dict) -> None:
    """Add a line in a single write, on a line of its own even if the one before was torn."""
    with run.attempts.open("a+b") as stream:
        torn = False
        if stream.seek(0, 2):
            stream.seek(-1, 2)
            torn = stream.read(1) != b"\n"
        stream.write(b"\n" * torn + json.dumps(record).encode() + b"\n")
