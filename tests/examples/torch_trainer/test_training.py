"""Whole runs of torch_trainer's scripts, as a user starts them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "examples" / "torch_trainer"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
STEPS = 10


def script(name: str, cwd: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, FOLDER / name, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def start(cwd: Path, processes: int, *arguments: str) -> subprocess.Popen:
    command = [*TORCHRUN, f"--nproc_per_node={processes}", FOLDER / "train.py", "--max_steps", str(STEPS), *arguments]
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def train(cwd: Path, processes: int, *arguments: str) -> str:
    run = start(cwd, processes, *arguments)
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output
    return output


def metrics(folder: Path) -> list[dict]:
    """Return the logged metrics but for the clock's."""
    lines = [json.loads(line) for line in (folder / "output" / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def wait_for_step(step: int, run: subprocess.Popen, folder: Path) -> None:
    log = folder / "output" / "metrics.jsonl"
    deadline = time.monotonic() + 300
    while not (log.exists() and f'"step": {step},' in log.read_text()):
        assert run.poll() is None, run.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A whole run with one process, in a folder whose name has a space."""
    folder = tmp_path_factory.mktemp("a run")
    train(folder, 1)
    return folder


def test_it_learns(trained):
    first, *_, last = metrics(trained)
    assert first["accuracy"] < 0.75
    assert last["step"] == STEPS
    assert last["accuracy"] >= 0.85


def test_two_processes_learn_as_well(tmp_path):
    train(tmp_path, 2, "--batch_size", "16")
    assert metrics(tmp_path)[-1]["accuracy"] >= 0.85


def test_killed_and_resumed_it_has_the_same_curve(trained, tmp_path):
    run = start(tmp_path, 1)
    wait_for_step(7, run, tmp_path)
    os.kill(run.pid, signal.SIGKILL)  # torchrun alone; its worker follows
    run.wait()
    assert "resuming from output/checkpoint_5" in train(tmp_path, 1)
    assert metrics(tmp_path) == metrics(trained)


def test_the_reference_of_a_resumed_run_is_the_model_it_began_with(tmp_path):
    options = ("--beta", "0.04", "--save_steps", "1", "--eval_rows", "1", "--num_iterations", "2", "--save_total_limit")
    for folder, steps in (("whole", "3"), ("parts", "2"), ("parts", "3")):
        (tmp_path / folder).mkdir(exist_ok=True)
        train(tmp_path / folder, 1, *options, "2", "--max_steps", steps)
    whole, parts = metrics(tmp_path / "whole"), metrics(tmp_path / "parts")
    assert whole[-1]["kl"] > 0
    assert parts[-1]["kl"] == whole[-1]["kl"]
    kept = sorted(folder.name for folder in (tmp_path / "parts" / "output").glob("checkpoint_*"))
    assert kept == ["checkpoint_2", "checkpoint_3"]


def test_a_resumed_run_goes_on_in_weights_and_biases(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    for steps in ("1", "2"):
        train(tmp_path, 1, "--wandb_project", "tests", "--save_steps", "1", "--eval_rows", "1", "--max_steps", steps)
    ids = [folder.name.rpartition("-")[2] for folder in (tmp_path / "wandb").glob("offline-run-*")]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_a_full_disk_is_named_and_leaves_the_older_checkpoints(trained, tmp_path):
    shutil.copytree(trained / "output", tmp_path / "output")
    (tmp_path / "output" / ".checkpoint_11.left-over").mkdir()
    limit = 'ulimit -f 1000; exec "$@"'  # KiB; the model has 1.9 MB
    command = ["bash", "-c", limit, "bash", sys.executable, FOLDER / "train.py", "--max_steps", "11"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "train.py: output: checkpoint_11 could not be saved: " in done.stderr
    assert sorted(path.name for path in (tmp_path / "output").glob("*checkpoint_*")) == [
        "checkpoint_10",
        "checkpoint_5",
    ]


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    run = start(tmp_path, 1, "--max_steps", "1000")
    wait_for_step(1, run, tmp_path)
    assert "train.py: output is in use by another run" in script("train.py", tmp_path).stderr
    workers = psutil.Process(run.pid).children(recursive=True)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert psutil.wait_procs(workers, timeout=300)[1] == [], "torchrun's processes end with it"


def test_it_leaves_checkpoints_and_a_log_for_tensorboard(trained):
    names = sorted(folder.name for folder in (trained / "output").glob("checkpoint_*"))
    assert names == ["checkpoint_10", "checkpoint_5"]
    assert list((trained / "runs").rglob("events.out.tfevents.*"))


def test_a_finished_run_is_not_trained_again(trained):
    before = metrics(trained)
    train(trained, 1)
    assert metrics(trained) == before


def test_other_settings_are_another_run(trained):
    done = script("train.py", trained, "--lr", "0.5")
    assert done.returncode == 1
    last_line = done.stderr.splitlines()[-1]
    assert last_line.startswith("train.py: output/checkpoint_10 was trained with other settings (lr 0.0001 -> 0.5)")


def test_a_model_is_asked_before_and_after(trained):
    before = script("evaluate.py", trained, "--checkpoint", "0")
    after = script("evaluate.py", trained)
    shares = [float(done.stdout.split()[1].rstrip("%")) for done in (before, after)]
    assert shares[1] >= 85 > 75 > shares[0]
    assert "on 256 test problems" in after.stdout

    assert script("inference.py", trained, "17+25=", "--checkpoint", "10").stdout == "17+25=\n42\n\n"
    assert script("predict.py", trained).stdout.count("=") == 3


def test_a_checkpoint_that_is_not_there_is_named(trained):
    done = script("inference.py", trained, "1+1=", "--checkpoint", "20")
    assert done.returncode == 1
    assert "no checkpoint 20; there are: 5, 10" in done.stderr


def test_data_that_is_not_there_is_named(tmp_path):
    done = script("train.py", tmp_path, "--data", "nowhere")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("train.py: --data nowhere: no train.parquet there")
