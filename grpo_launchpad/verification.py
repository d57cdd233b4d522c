"""How far each launcher has been verified: records of what ran, and the level that follows from them.

    C   composes with verl's configuration tree, and preflight's static checks find nothing
    S   ran end to end on a CPU with a shrunken model of the same architecture (SMOKE=1)
    G   ran on accelerators at full size

A record holds for the command that verl was given and for the engines that read it: once a launcher gives verl other
values, or verl, vLLM or Megatron-Core is another version, it no longer counts.
"""

import fcntl
import functools
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from grpo_launchpad.launch.environment import UserError
from grpo_launchpad.launch.plan import plan_of_page
from grpo_launchpad.runs.folder import write_whole

RECORDS = Path(__file__).resolve().parents[1] / "examples" / "grpo_trainer" / "verified.jsonl"
LEVELS = ("C", "S", "G")  # each is worth more than the one before
ENGINES = {"fsdp": ("verl", "vllm"), "megatron": ("verl", "vllm", "megatron-core")}
# Where a digest puts the project: a command's paths below it are the same on every machine.
ANYWHERE = Path("/grpo-launchpad")


@dataclass(frozen=True)
class Record:
    """What one verification of one launcher found; None is left out of the file.

    Attributes:
        launcher: its name, without ``.sh``.
        level: C, S or G.
        digest: ``digest_of`` the launcher that was verified.
        date: day of the verification, YYYY-MM-DD.
        verl, vllm, megatron_core: versions of the engines that the launcher uses.
        hardware: what it ran on.
        status: how the run ended, as in its summary.json, or "disagree" if the rollout engine and the trainer did not
            compute the same policy; only "completed" reaches a level.
        steps, world_size, rollout_probs_diff_mean: from the run's summary.json.
        rollout_divergence_max: the same: the largest k3 estimate of the divergence between rollout engine and trainer
            of a step, in nats a token; runs before 2026-11-27 did not keep it.
        divergence_limit: the limit that it was judged by.
        seconds: wall time of the whole command.
        reason: why the level cannot be reached, in one line.
    """

    launcher: str
    level: str
    digest: str
    date: str
    verl: str
    vllm: str | None = None
    megatron_core: str | None = None
    hardware: str | None = None
    status: str | None = None
    steps: int | None = None
    world_size: int | None = None
    rollout_probs_diff_mean: float | None = None
    rollout_divergence_max: float | None = None
    divergence_limit: float | None = None
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
    """Return a record of today for a launcher as it is now, with the installed engines."""
    today = datetime.now(UTC).date().isoformat()
    versions = {package.replace("-", "_"): found for package, found in versions_of(launcher).items()}
    return Record(launcher.stem, level, digest_of(launcher, level), today, **versions, **found)


def digest_of(launcher: Path, level: str, versions: dict[str, str] | None = None) -> str:
    """Return a digest of what a launcher gives verl at a level, and of the engines that read it (default: those here).

    Comments do not count, nor does anything that a user could set. At level S it is the command of the smoke run; of a
    launcher that refuses one, the plain command.
    """
    try:
        plan = plan_of_page(launcher, {"SMOKE": "1"} if level == "S" else {}, ANYWHERE)
    except UserError:
        plan = plan_of_page(launcher, {}, ANYWHERE)
    return plan.digest(versions or versions_of(launcher))


def versions_of(launcher: Path) -> dict[str, str]:
    """Return the engines that a launcher uses with their installed versions, "none" for one that is not there."""
    engine = plan_of_page(launcher, {}, ANYWHERE).name.engine
    return {package: _version(package) for package in ENGINES[engine]}


@functools.cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


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
        write_whole(path, "".join(f"{_line(each)}\n" for each in sorted([*others, record], key=_order)))
    finally:
        os.close(folder)


def current(launcher: Path, records: list[Record]) -> dict[str, Record]:
    """Return, by level, the records that hold for the launcher and the installed engines as they are now.

    A run on accelerators (G) had vLLM and Megatron-Core as they are built for those; of it, only verl must be the same.
    """
    here = versions_of(launcher)
    found = {}
    for record in (each for each in records if each.launcher == launcher.stem):
        there = {package: getattr(record, package.replace("-", "_")) for package in here}
        versions = there if record.level == "G" and there["verl"] == here["verl"] else here
        if record.digest == digest_of(launcher, record.level, versions):
            found[record.level] = record
    return found


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
