"""Runs the scripts of data_prep: in this process where a process would add nothing but its start, else as a user."""

import contextlib
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from data_prep.pipeline import command_line

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "data_prep" / "samples"
FINISHED = ["card.md", "manifest.json", "prompt_lengths.svg", "test.parquet", "train.parquet"]


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def prepare(name: str, *arguments: object) -> Done:
    """Run data_prep/<name>.py in this process. An exception that a user would see as a traceback fails the test."""
    module = importlib.import_module(f"data_prep.{name}")
    words = list(map(str, arguments))
    code = 0
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            if hasattr(module, "main"):
                module.main(words)
            else:
                command_line.main(module.DATA_SET, module.__doc__, words)
        except SystemExit as exit:
            code = exit.code
    return Done(code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


def prepared(name: str, *arguments: object) -> Done:
    """Run data_prep/<name>.py, which must succeed."""
    done = prepare(name, *arguments)
    assert done.returncode == 0, done.stderr
    return done


def script(name: str, *arguments: object, cwd: Path, **options) -> subprocess.CompletedProcess:
    """Run data_prep/<name>.py as a user does; ``environment`` is added to the present one."""
    environment = os.environ | options.pop("environment", {})
    command = [sys.executable, ROOT / "data_prep" / f"{name}.py", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, **options)


@contextlib.contextmanager
def started(name: str, *arguments: object, cwd: Path):
    """Give a running data_prep/<name>.py, which is killed in the end if it still runs."""
    command = [sys.executable, ROOT / "data_prep" / f"{name}.py", *map(str, arguments)]

    def heed_signals() -> None:
        # A shell that starts something in the background makes it ignore Ctrl-C, nohup makes it ignore SIGHUP, and the
        # tests' own children would do the same.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=cwd, preexec_fn=heed_signals, **pipes) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


def wait_until_it_writes(process: subprocess.Popen, out: Path) -> None:
    """Wait for unfinished files with content."""
    deadline = time.monotonic() + 300
    while not any(file.stat().st_size > 1000 for file in list(out.glob(".partial-*/*"))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.005)


def refused(done: Done | subprocess.CompletedProcess, *words: str) -> str:
    """Assert that the script said in these words what the user has to change, and return all that it said."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    missing = [word for word in words if word not in done.stderr]
    assert not missing, f"{missing} not in: {done.stderr}"
    return done.stderr


def rows(out: Path, split: str = "train") -> list[dict]:
    files = sorted(out.glob(f"{split}.parquet")) or sorted(out.glob(f"{split}-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def manifest(out: Path) -> dict:
    return json.loads((out / "manifest.json").read_text())


def contents(folder: Path) -> dict[str, bytes] | None:
    """Everything in a folder, hidden files as well; None if there is no folder."""
    if not folder.exists():
        return None
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() if file.is_file() else b"a folder"
        for file in folder.rglob("*")
    }


def data_of(out: Path) -> dict[str, bytes]:
    """All files but the manifest, which tells the command and with it the folder."""
    return {name: content for name, content in contents(out).items() if name != "manifest.json"}


def problem(number: int) -> dict[str, str]:
    """A record in GSM8K's form."""
    return {"question": f"How much is {number} and {number}?", "answer": f"Add them.\n#### {2 * number}"}


def write_lines(file: Path, records: Iterable[dict | bytes]) -> Path:
    """Write JSON Lines; a record may be the line's bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = (record if isinstance(record, bytes) else json.dumps(record).encode() for record in records)
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file


def source(folder: Path, train: Iterable[dict | bytes], test: Iterable[dict | bytes] | None = None) -> Path:
    """Write a folder with both splits; the test split has its own good problem if none is given."""
    write_lines(folder / "train.jsonl", train)
    write_lines(folder / "test.jsonl", [problem(999)] if test is None else test)
    return folder
