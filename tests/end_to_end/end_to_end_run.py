"""Real runs: the launcher, Ray, FSDP2, vLLM, checkpoints. Nothing here is replaced."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from grpo_launchpad.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "examples" / "grpo_trainer" / "run_tiny_cpu_arithmetic.sh"
RUN_SECONDS = 1800  # a run takes a minute or two; this is for one that hangs


class Run:
    """One run folder, and the launcher that works on it."""

    def __init__(self, folder: Path, data: Path, **knobs):
        self.folder = folder
        self.environment = os.environ | {
            "PYTHON": sys.executable,
            "RUN_DIR": str(folder),
            "DATA_DIR": str(data),
            **{name: str(value) for name, value in knobs.items()},
        }

    def start(self, *overrides: str, **knobs) -> subprocess.Popen:
        """Start the launcher in a process group of its own."""
        return subprocess.Popen(
            ["bash", str(LAUNCHER), *overrides],
            env=self.environment | {name: str(value) for name, value in knobs.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, launcher: subprocess.Popen) -> str:
        """Wait for the launcher and return what it printed; fail with that if it did not succeed."""
        output, _ = launcher.communicate(timeout=RUN_SECONDS)
        assert launcher.returncode == 0, output
        return output

    def train(self, *overrides: str, **knobs) -> str:
        return self.finish(self.start(*overrides, **knobs))

    def metrics(self, attempt: int) -> dict[int, dict]:
        """Return step -> metrics of one attempt, complete lines only."""
        path = RunFolder(self.folder).metrics(attempt)
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        merged: dict[int, dict] = {}
        for line in lines:
            if line.endswith("\n"):
                record = json.loads(line)
                merged.setdefault(record["step"], {}).update(record["data"])
        return merged

    def summary(self) -> dict:
        return json.loads(RunFolder(self.folder).summary.read_text())

    def wait_for_step(self, attempt: int, step: int, launcher: subprocess.Popen) -> None:
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            if step in self.metrics(attempt):
                return
            assert launcher.poll() is None, launcher.stdout.read()
            time.sleep(0.2)
        raise AssertionError(f"step {step} was not reached in {RUN_SECONDS} s")


def export(folder: Path, *options: str) -> str:
    """Export a run's model and return what was found of it; fail if it did not prove itself."""
    command = [sys.executable, "-m", "grpo_launchpad", "export", str(folder), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_dir()
    return done.stderr


def kill_everything(launcher: subprocess.Popen) -> None:
    """What a reboot or an out-of-memory killer does: SIGKILL to every process of the launcher's group."""
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the living processes whose command or environment names the run folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.cmdline()) or process.environ().get("RUN_DIR") == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]
