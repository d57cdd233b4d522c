"""Builds run folders as a launcher and verl leave them."""

import json
from datetime import datetime
from pathlib import Path

import pytest

START = 1_790_000_000.0  # epoch seconds of the first attempt


class RunFolder:
    def __init__(self, path: Path):
        self.path = path
        (path / "launch").mkdir(parents=True)
        self.identity(name=path.name, model="tiny-arithmetic", task="arithmetic", backend="cpu", world_size=1)

    def identity(self, **fields):
        self._write("launch/run.json", json.dumps(fields))

    def attempt(self, number=1, started_at=START, ended_at=None, exit_code=None):
        lines = [{"attempt": number, "started_at": started_at, "pid": 123}]
        if ended_at is not None:
            lines.append({"attempt": number, "ended_at": ended_at, "exit_code": exit_code})
        with (self.path / "launch/attempts.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def metrics(self, records: dict, attempt=1, tail=""):
        """`records` maps step -> metrics; `tail` is what a killed writer left of its last line."""
        lines = [json.dumps({"step": step, "data": data}) + "\n" for step, data in records.items()]
        self._write(f"metrics.{attempt}.jsonl", "".join(lines) + tail)

    def log(self, lines: list[tuple[float, str]], attempt=1):
        stamped = [f"{datetime.fromtimestamp(at).isoformat(timespec='milliseconds')} {text}\n" for at, text in lines]
        self._write(f"log.{attempt}.txt", "".join(stamped))

    def launch_files(self, command="bash run.sh", config="a: 1\n", environment="PATH=/bin\n"):
        for name, text in (("command.sh", command), ("resolved.yaml", config), ("env.txt", environment)):
            self._write(f"launch/{name}", text)

    def dump(self, kind, step, rows):
        """`rows` are (input, output, gts, score) of kind train or validation."""
        keys = ("input", "output", "gts", "score")
        lines = [json.dumps(dict(zip(keys, row, strict=True)) | {"step": step}) for row in rows]
        self._write(f"rollouts/{kind}/{step}.jsonl", "\n".join(lines) + "\n")

    def _write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def training(reward=0.5, seconds=2.0, **more):
    """The metrics of one training step; `more` uses __ for / in the names."""
    return {
        "critic/rewards/mean": reward,
        "critic/rewards/max": 1.0,
        "critic/rewards/min": 0.0,
        "timing_s/step": seconds,
        "timing_s/gen": seconds / 2,
        "perf/total_num_tokens": 1000,
        "training/rollout_probs_diff_mean": 0.002,
        "rollout_corr/k3_kl": 0.0003,
        **{name.replace("__", "/"): value for name, value in more.items()},
    }


def validation(accuracy, data_source="arithmetic"):
    return {f"val-core/{data_source}/acc/mean@1": accuracy, f"val-aux/{data_source}/reward/mean@1": accuracy}


@pytest.fixture
def run_folder(tmp_path):
    return RunFolder(tmp_path / "run_tiny_cpu_arithmetic")


@pytest.fixture
def healthy(run_folder):
    """A finished run of three steps with everything a launcher writes."""
    run_folder.attempt(ended_at=START + 60, exit_code=0)
    run_folder.log([(START + 1, "hello"), (START + 20.5, "Training Progress:   0%"), (START + 59, "bye")])
    run_folder.metrics(
        {
            0: validation(0.25),
            1: training(0.3, seconds=9.0),
            2: training(0.4, seconds=2.0),
            3: training(0.6, seconds=4.0) | validation(0.75),
        }
    )
    run_folder.launch_files()
    run_folder.dump("validation", 0, [("1+1=", "3", "2", 0.0), ("2+2=", "4", "4", 1.0)])
    run_folder.dump("validation", 3, [("1+1=", "2", "2", 1.0), ("2+2=", "5", "4", 0.0)])
    run_folder.dump("train", 3, [("3+3=", "6", "6", 1.0), ("3+3=", "7", "6", 0.0), ("4+4=", "9", "8", 0.0)])
    return run_folder
