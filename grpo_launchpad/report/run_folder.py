"""Reads a run folder: who ran, the attempts, and the metrics of all attempts merged into one history."""

import json
import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from grpo_launchpad.runs.attempts import read_json_lines
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.metrics import correct_clip_ratio, is_training, merge, metric_records
from grpo_launchpad.runs.settings import Settings, read_settings

FIRST_TRAINING_STEP = b"Training Progress:"  # verl's progress bar appears when the first training step starts
LOG_TAIL_BYTES = 64 * 1024
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)\s")


class RunFolderError(Exception):
    """The folder is not a run that can be reported on; the message says what to do."""


@dataclass
class Attempt:
    """One start of the trainer. Times are epoch seconds, None when not recorded."""

    number: int
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    first_step_at: float | None = None
    last_log_at: float | None = None
    steps: list[int] = field(default_factory=list)  # training steps this attempt finished


@dataclass
class Run:
    """Everything the report is made of. `metrics` maps step -> metric -> number, ascending; NaN stays NaN."""

    folder: Path
    identity: dict
    attempts: list[Attempt]
    metrics: dict[int, dict[str, float]]
    train_dumps: dict[int, Path]
    validation_dumps: dict[int, Path]
    command: str | None
    config: str | None
    settings: Settings
    environment: str | None
    missing: list[str]  # paths relative to the folder
    unreadable: list[str]  # "file, line N"
    abandoned_steps: list[int]  # trained, then lost because a later attempt resumed before them

    def training_steps(self) -> list[int]:
        """Steps that trained, ascending; step 0 and a resume's first record hold validation only."""
        return [step for step, values in self.metrics.items() if is_training(values)]

    def series(self, metric: str) -> tuple[list[int], list[float]]:
        """Steps and finite values of one metric, in order of the steps."""
        points = [(s, v[metric]) for s, v in self.metrics.items() if math.isfinite(v.get(metric, math.nan))]
        return [step for step, _ in points], [value for _, value in points]


def read_run(folder: Path) -> Run:
    """Read `folder`; only launch/run.json has to exist.

    Raises RunFolderError when the folder or launch/run.json is missing or is not JSON.
    """
    identity = _read_identity(folder)
    missing: list[str] = []
    unreadable: list[str] = []

    files = RunFolder(folder)

    def text(path: Path) -> str | None:
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")
        missing.append(str(path.relative_to(folder)))
        return None

    attempts = _read_attempts(files, missing, unreadable)
    metrics: dict[int, dict[str, float]] = {}
    abandoned: list[int] = []
    for attempt in attempts:
        path = files.metrics(attempt.number)
        if not path.is_file():
            missing.append(path.name)
            continue
        attempt.steps, discarded = merge(metrics, metric_records(path, unreadable))
        abandoned += discarded
    if not attempts:
        missing.append(files.metrics(1).name)

    dumps = {kind: files.rollouts_by_step(kind) for kind in ("train", "validation")}
    missing += [f"rollouts/{kind}/<step>.jsonl" for kind, found in dumps.items() if not found]

    command, config = text(files.command), text(files.configuration)
    settings = read_settings(config)
    for values in metrics.values():
        correct_clip_ratio(values, settings.response_limit)

    return Run(
        folder=folder,
        identity=identity,
        attempts=attempts,
        metrics=dict(sorted(metrics.items())),
        train_dumps=dumps["train"],
        validation_dumps=dumps["validation"],
        command=command,
        config=config,
        settings=settings,
        environment=text(files.environment),
        missing=list(dict.fromkeys(missing)),
        unreadable=unreadable,
        abandoned_steps=sorted(set(abandoned) - metrics.keys()),
    )


def _read_identity(folder: Path) -> dict:
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: no such run folder. Give the folder a launcher wrote, such as runs/<name>.")
    path = RunFolder(folder).identity
    try:
        identity = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(
            f"{path}: missing, so {folder} is no run folder. A launcher writes it when it starts; launch the run first."
        ) from None
    except ValueError as error:
        raise RunFolderError(f"{path}: not valid JSON ({error}). Repair it or launch the run again.") from None
    if not isinstance(identity, dict):
        raise RunFolderError(f'{path}: must hold a JSON object such as {{"name": "{folder.name}"}}.')
    return identity


def _read_attempts(files: RunFolder, missing: list[str], unreadable: list[str]) -> list[Attempt]:
    attempts: dict[int, Attempt] = {}
    path = files.attempts
    if path.is_file():
        for record in read_json_lines(path, unreadable):
            number = record.get("attempt")
            if not isinstance(number, int):
                unreadable.append(f"{path.name}, a line without an attempt number")
                continue
            attempt = attempts.setdefault(number, Attempt(number))
            attempt.started_at = record.get("started_at", attempt.started_at)
            attempt.ended_at = record.get("ended_at", attempt.ended_at)
            attempt.exit_code = record.get("exit_code", attempt.exit_code)
    else:
        missing.append(str(path.relative_to(files.path)))
    for number in files.numbers_of_attempts():
        attempts.setdefault(number, Attempt(number))
    for attempt in attempts.values():
        log = files.log(attempt.number)
        if log.is_file():
            attempt.first_step_at, attempt.last_log_at = _first_step_time(log), _last_time(log)
        else:
            missing.append(log.name)
    return [attempts[number] for number in sorted(attempts)]


def _first_step_time(log: Path) -> float | None:
    with log.open("rb") as lines:
        for line in lines:
            if FIRST_TRAINING_STEP in line:
                return _line_time(line)
    return None


def _last_time(log: Path) -> float | None:
    with log.open("rb") as lines:
        lines.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        tail = lines.read().split(b"\n")
    return next((time for time in map(_line_time, reversed(tail)) if time is not None), None)


def _line_time(line: bytes) -> float | None:
    stamp = _TIMESTAMP.match(line[:64].decode("ascii", errors="replace"))
    if stamp is None:
        return None
    try:
        return datetime.fromisoformat(stamp[1]).timestamp()  # without an offset: local time
    except ValueError:
        return None
