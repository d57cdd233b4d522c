"""Where the time of the quickstart's run goes: its start by phase, a step by part, the whole beside torch_trainer's.

    python -m benchmarks.loop                      # five runs, medians
    python -m benchmarks.loop --before FOLDER      # another checkout of the project in turns with this one

Run it from the repository root, on a machine that does nothing else. README.md has the results.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from benchmarks.trainers.__main__ import measure
from grpo_launchpad import models
from grpo_launchpad.console import MILESTONES, STEP
from grpo_launchpad.runs.attempts import read_json_lines
from grpo_launchpad.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = "run_tiny_cpu_arithmetic"
STEPS, PROMPTS = 20, 32
PARTS = ("gen", "old_log_prob", "adv", "update_actor", "update_weights", "save_checkpoint", "step", "testing")
POLL_SECONDS = 0.2


@dataclass
class LeastMemory:
    """How much less memory the machine has available than at the beginning, at the worst moment; in GiB."""

    used: float = 0.0

    def __enter__(self) -> "LeastMemory":
        self.before, self.ended = psutil.virtual_memory().available, threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.ended.wait(POLL_SECONDS):
            self.used = max(self.used, (self.before - psutil.virtual_memory().available) / 2**30)

    def __exit__(self, *_) -> None:
        self.ended.set()
        self.thread.join()


def quickstart(project: Path, scratch: Path) -> dict[str, float]:
    """Run the quickstart's launcher of a checkout once; return what was measured: seconds, GiB.

    Raises:
        RuntimeError: if it fails, with the end of what it said.
    """
    folder = Path(tempfile.mkdtemp(dir=scratch)) / LAUNCHER
    knobs = {"RUN_DIR": folder, "DATA_DIR": scratch / "data", "TRAIN_STEPS": STEPS, "PYTHON": sys.executable}
    before, started = processor_seconds(), time.time()
    with LeastMemory() as memory:
        done = subprocess.run(
            ["bash", project / "examples" / "grpo_trainer" / f"{LAUNCHER}.sh"],
            env=os.environ | {name: str(value) for name, value in knobs.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    ended = time.time()
    if done.returncode:
        raise RuntimeError(f"{project}: the run failed:\n{done.stdout[-3000:]}")
    found = phases(RunFolder(folder).log(1), started, ended)
    found |= parts_of_a_step(RunFolder(folder).metrics(1))
    return found | {
        "whole command": ended - started,
        "processor seconds": processor_seconds() - before,
        "memory, GiB": memory.used,
    }


def processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def phases(log: Path, started: float, ended: float) -> dict[str, float]:
    """Return what was reached -> seconds since what was reached before, from the times in the trainer's log."""
    reached = {}
    last_step = started
    for line in log.read_text(errors="replace").splitlines():
        stamp, _, text = line.partition(" ")
        try:
            moment = datetime.fromisoformat(stamp).astimezone().timestamp()
        except ValueError:
            continue
        reached.setdefault("the trainer's first word", moment)
        for milestone, (meaning, _) in MILESTONES.items():
            if milestone in text:
                reached.setdefault(meaning, moment)
        if step := STEP.search(text):
            last_step = moment
            if step[1] == "1":
                reached.setdefault("the end of step 1", moment)
    ordered = sorted(reached.items(), key=lambda item: item[1])
    times = [started, *(moment for _, moment in ordered)]
    gaps = {name: moment - before for (name, moment), before in zip(ordered, times, strict=False)}
    return gaps | {
        "command to the end of step 1": reached["the end of step 1"] - started,
        "last step to the end of the command": ended - last_step,
    }


def parts_of_a_step(metrics: Path) -> dict[str, float]:
    """Return the medians of verl's own times of a step, the first left out."""
    rows = [record["data"] for record in read_json_lines(metrics) if record["step"] > 1]
    medians = {}
    for part in PARTS:
        seconds = [row[f"timing_s/{part}"] for row in rows if f"timing_s/{part}" in row]
        if seconds:
            medians[f"a step: {part}"] = statistics.median(seconds)
    return medians


def torch_trainer(scratch: Path) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    (folder / "data").symlink_to(scratch / "data")
    (folder / "run").mkdir()
    return {"whole command": measure("torch", STEPS, PROMPTS, models.resolve(models.TINY), folder / "run").wall}


def table(results: dict[str, list[dict[str, float]]]) -> str:
    """Return medians side by side, with the lowest and the highest of the whole command."""
    names = list(dict.fromkeys(name for runs in results.values() for run in runs for name in run))
    lines = [f"| seconds | {' | '.join(results)} |", f"|---|{'---:|' * len(results)}"]
    for name in names:
        cells = [[run[name] for run in runs if name in run] for runs in results.values()]
        lines.append(f"| {name} | {' | '.join(f'{statistics.median(c):.1f}' if c else '–' for c in cells)} |")
    whole = {who: [run["whole command"] for run in runs] for who, runs in results.items()}
    lines.append(f"| whole command, range | {' | '.join(f'{min(w):.0f} to {max(w):.0f}' for w in whole.values())} |")
    base = statistics.median(whole["torch_trainer"])
    ratios = (f"{statistics.median(seconds) / base:.1f}" for seconds in whole.values())
    return "\n".join([*lines, f"| times torch_trainer's | {' | '.join(ratios)} |"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="of each (default: 5)")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another checkout of the project")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loop.") as folder:
        scratch = Path(folder)
        prepare = [sys.executable, ROOT / "data_prep" / "arithmetic.py", "--out", scratch / "data" / "arithmetic"]
        subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL)
        measured: dict[str, Callable[[], dict[str, float]]] = {}
        if args.before:
            measured["before"] = lambda: quickstart(args.before.resolve(), scratch)
        measured["this checkout"] = lambda: quickstart(ROOT, scratch)
        measured["torch_trainer"] = lambda: torch_trainer(scratch)
        results: dict[str, list[dict[str, float]]] = {who: [] for who in measured}
        for number in range(args.runs):
            for who, run in measured.items():
                print(f"run {number + 1} of {args.runs}: {who}", file=sys.stderr, flush=True)
                results[who].append(run())
    print(f"{len(os.sched_getaffinity(0))} CPU cores, medians of {args.runs}: {STEPS} steps of {PROMPTS} x 8 samples\n")
    print(table(results))


if __name__ == "__main__":
    main()
