"""The names in a run folder, and files that are written as a whole or not at all."""

import errno
import inspect
import os
import re
import subprocess
import sys

import pytest

from grpo_launchpad.runs import folder
from grpo_launchpad.runs.folder import RunFolder, write_whole

# Writes one of two texts for ever, as two launches of one run never should.
WRITER = """
import sys
from pathlib import Path
from grpo_launchpad.runs.folder import write_whole
print("up", flush=True)
while True:
    write_whole(Path(sys.argv[1]), sys.argv[2] * 100_000)
"""
# Writes a text that is longer than the files this process may write.
TOO_LONG = """
import resource, sys
from pathlib import Path
from grpo_launchpad.runs.folder import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path(sys.argv[1]), "n" * 100_000)
except OSError as error:
    print(error.strerror)
"""


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


def test_every_file_of_the_modules_list_has_a_name_in_the_class():
    table = inspect.getdoc(folder).partition("\n\n")[2]
    listed = set(re.findall(r"^(\S+?)/?(?:, (\S+?), (\S+))?(?=\s|$)", table, re.MULTILINE))
    listed = {name.replace("<attempt>", "7").replace("<step>", "9") for names in listed for name in names if name}
    run = RunFolder(folder.Path("/run"))
    named = {getattr(run, name) for name, value in vars(RunFolder).items() if isinstance(value, property)}
    named |= {run.metrics(7), run.log(7), run.export(9), run.export(9, adapter=True)}
    named = {str(path.relative_to("/run")) for path in named} - {"launch"}
    assert named | {"rollouts/{train,validation}/9.jsonl"} == listed


def test_attempts_are_those_that_left_metrics_or_a_log(run):
    for name in ("metrics.10.jsonl", "log.10.txt", "log.2.txt", "metrics.1.jsonl"):
        (run.path / name).touch()
    for name in ("metrics.x.jsonl", "log.3.txt.old", "log.4.jsonl", "old.metrics.5.jsonl", "metrics..jsonl"):
        (run.path / name).touch()
    assert list(run.numbers_of_attempts()) == [1, 2, 10]


def test_samples_are_sorted_by_step_and_foreign_files_left_out(run):
    run.rollouts("train").mkdir(parents=True)
    for name in ("10.jsonl", "2.jsonl", "last.jsonl", "3.txt"):
        (run.rollouts("train") / name).touch()
    assert list(run.rollouts_by_step("train")) == [2, 10]
    assert run.rollouts_by_step("validation") == {}


def test_what_is_written_replaces_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a file.json"
    for text in ("old", "new: größer\n"):
        write_whole(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_half_a_surrogate_pair_can_be_written(tmp_path):
    write_whole(tmp_path / "report", "a\ud83db")
    assert (tmp_path / "report").read_bytes() == b"a?b"


def test_a_full_disk_keeps_the_old_file(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("old")
    (tmp_path / f".run.json.{os.getpid()}").symlink_to("/dev/full")  # where the new one is begun
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, "new")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fills_up_in_the_middle_keeps_the_old_file(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", TOO_LONG, path], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("File too large\n", "")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_reader_sees_half_of_a_file_or_two_writers_mixed(tmp_path):
    path = tmp_path / "summary.json"
    write_whole(path, "a" * 100_000)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, letter], stdout=subprocess.PIPE) for letter in "ab"
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == b"up\n"
        seen = {path.read_text() for _ in range(300)}
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()
    assert seen <= {"a" * 100_000, "b" * 100_000}
