"""Every file name under ``runs/<name>/``, and how a file there is written: as a whole or not at all.

launch/run.json            name, model, backend, task, world size, digests of the data, versions; smoke, if it was one
launch/attempts.jsonl      see attempts.py
launch/command.sh          the command of the last attempt
launch/resolved.yaml       its whole configuration
launch/env.txt             its environment, secrets left out
launch/warm_workers.log    what the process that forks Ray's workers said
launch/lock                held while somebody works on the run
metrics.<attempt>.jsonl    {"step", "data"} of each step
log.<attempt>.txt          the trainer's log, each line with its time
rollouts/{train,validation}/<step>.jsonl
checkpoints/               verl's
data/                      of a smoke run: the sample that it trains on
export/step_<step>/        the model of a checkpoint, as Hugging Face has it
export/step_<step>.adapter/     its adapter alone
summary.json, report.html, learning_curve.svg      the report
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_OF_ATTEMPT = re.compile(r"(?:metrics\.(\d+)\.jsonl|log\.(\d+)\.txt)")


@dataclass(frozen=True)
class RunFolder:
    """The places in one run's folder."""

    path: Path

    @property
    def launch(self) -> Path:
        return self.path / "launch"

    @property
    def identity(self) -> Path:
        return self.launch / "run.json"

    @property
    def attempts(self) -> Path:
        return self.launch / "attempts.jsonl"

    @property
    def command(self) -> Path:
        return self.launch / "command.sh"

    @property
    def configuration(self) -> Path:
        return self.launch / "resolved.yaml"

    @property
    def environment(self) -> Path:
        return self.launch / "env.txt"

    @property
    def warm_workers_log(self) -> Path:
        return self.launch / "warm_workers.log"

    @property
    def lock(self) -> Path:
        return self.launch / "lock"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def learning_curve(self) -> Path:
        return self.path / "learning_curve.svg"

    def metrics(self, attempt: int) -> Path:
        return self.path / f"metrics.{attempt}.jsonl"

    def log(self, attempt: int) -> Path:
        return self.path / f"log.{attempt}.txt"

    def export(self, step: int, adapter: bool = False) -> Path:
        return self.path / "export" / f"step_{step}{'.adapter' * adapter}"

    def rollouts(self, kind: str) -> Path:
        """Return the folder of the samples of a kind, "train" or "validation"."""
        return self.path / "rollouts" / kind

    def rollouts_by_step(self, kind: str) -> dict[int, Path]:
        """Return step -> file of the samples of a kind, ascending."""
        files = {int(file.stem): file for file in self.rollouts(kind).glob("*.jsonl") if file.stem.isdecimal()}
        return dict(sorted(files.items()))

    def numbers_of_attempts(self) -> Iterator[int]:
        """Yield the attempts that left metrics or a log, each once."""
        names = (_OF_ATTEMPT.fullmatch(file.name) for file in self.path.glob("*.*.*"))
        yield from sorted({int(found[1] or found[2]) for found in names if found})


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once, so that no reader sees half of it, whoever is interrupted.

    Raises:
        OSError: if it cannot be written; then the old file is still there.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(text.encode("utf-8", errors="replace"))  # a model may write half a surrogate pair
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
