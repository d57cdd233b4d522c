"""Whenever a run ends, there are its finished files or those of the run before, and never a mixture."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.pipeline import prepare as preparation
from tests.data_prep.scripts import (
    FINISHED,
    ROOT,
    contents,
    data_of,
    manifest,
    prepare,
    prepared,
    problem,
    refused,
    rows,
    source,
    started,
    wait_until_it_writes,
    write_lines,
)

MANY = 200_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A source that takes long enough to be interrupted."""
    folder = tmp_path_factory.mktemp("large")
    lines = (b'{"question": "How much is %d and 1?", "answer": "#### %d"}' % (n, n + 1) for n in range(MANY))
    write_lines(folder / "train.jsonl", lines)
    write_lines(folder / "test.jsonl", [problem(MANY + 1)])
    return folder


@pytest.fixture
def small(tmp_path):
    return source(tmp_path / "small", map(problem, range(5)))


@pytest.fixture
def old(tmp_path, small):
    """Finished output of an earlier run, in a folder that has a file of the user's own as well."""
    out = tmp_path / "out"
    prepared("gsm8k", "--source", small, "--out", out)
    (out / "notes.txt").write_text("mine")
    return out


def partial(out):
    return list(out.glob(".partial-*"))


def test_a_killed_run_leaves_the_old_files_and_the_next_one_cleans_up(tmp_path, large, small, old):
    before = contents(old)
    with started("gsm8k", "--source", large, "--out", old, cwd=tmp_path) as run:
        wait_until_it_writes(run, old)
        run.send_signal(signal.SIGKILL)
        assert run.wait(300) == -signal.SIGKILL
    assert partial(old)
    after = contents(old)
    assert {name: content for name, content in after.items() if not name.startswith(".partial-")} == before

    write_lines(small / "train.jsonl", map(problem, range(7)))
    prepared("gsm8k", "--source", small, "--out", old)
    assert not partial(old)
    assert sorted(contents(old)) == sorted([*FINISHED, "notes.txt"])
    assert len(rows(old)) == 7


def test_a_run_that_is_killed_before_anything_is_finished_leaves_nothing_that_counts_as_finished(tmp_path, large):
    out = tmp_path / "new"
    with started("gsm8k", "--source", large, "--out", out, cwd=tmp_path) as run:
        wait_until_it_writes(run, out)
        run.send_signal(signal.SIGKILL)
        run.wait(300)
    assert not [name for name in contents(out) if not name.startswith(".partial-")]


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_asked_to_end_leaves_nothing_behind(tmp_path, large, old, number, exists):
    out = old if exists else tmp_path / "new"
    before = contents(out)
    with started("gsm8k", "--source", large, "--out", out, cwd=tmp_path) as run:
        wait_until_it_writes(run, out)
        run.send_signal(number)
        stdout, stderr = run.communicate(timeout=300)
    assert run.returncode in (-number, 128 + number)
    assert contents(out) == before
    assert stdout == ""
    assert "Traceback" not in stderr
    assert number != signal.SIGINT or f"interrupted; run it again to finish {out}" in stderr


def test_a_run_under_nohup_does_not_end_with_its_terminal(tmp_path, small):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        prepared("gsm8k", "--source", small, "--out", tmp_path / "out")
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_two_runs_at_once_do_not_disturb_each_other(tmp_path, large, small, old):
    before = contents(old)
    with started("gsm8k", "--source", large, "--out", old, cwd=tmp_path) as first:
        wait_until_it_writes(first, old)
        during = partial(old)
        refused(prepare("gsm8k", "--source", small, "--force", "--out", old), str(old), "another run", "--out")
        assert partial(old) == during
        assert first.poll() is None
        prepared("gsm8k", "--source", small, "--out", tmp_path / "elsewhere")
    assert {name: content for name, content in contents(old).items() if not name.startswith(".partial-")} == before


def test_two_runs_started_at_the_same_moment_both_end_well(tmp_path, small):
    """On a folder that is not there yet: one makes it, and the other is refused or finds it finished."""
    write_lines(small / "train.jsonl", map(problem, range(1000, 2000)))
    out = tmp_path / "new"
    command = [sys.executable, ROOT / "data_prep" / "gsm8k.py", "--source", small, "--out", out]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen(command, cwd=tmp_path, **pipes) for _ in range(2)]
    told = [run.communicate(timeout=300)[1] for run in runs]
    codes = sorted(run.returncode for run in runs)
    assert codes in ([0, 0], [0, 2]), told
    assert all("another run" in text for run, text in zip(runs, told, strict=True) if run.returncode)
    assert sorted(contents(out)) == FINISHED
    assert len(rows(out)) == 1000


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def end_at(monkeypatch, name, call):
    """Let the process end at one of the calls of a function that changes what is in the output folder."""
    real, calls = getattr(os, name), []

    def counted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == call:
            raise Killed
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, counted)


@pytest.mark.parametrize("call", range(1, 10))
def test_a_run_that_ends_between_two_renames_is_done_again(tmp_path, monkeypatch, small, old, call):
    """Whichever files were already in their place, no later run takes the mixture for finished."""
    write_lines(small / "train.jsonl", map(problem, range(7)))
    prepared("gsm8k", "--source", small, "--out", tmp_path / "expected")
    (old / "notes.txt").unlink()
    monkeypatch.setattr(preparation, "SHARD_ROWS", 3)  # three files take the place of one
    prepared("gsm8k", "--source", small, "--out", tmp_path / "expected in parts")
    with monkeypatch.context() as patch:
        end_at(patch, "replace", call)
        try:
            prepare("gsm8k", "--source", small, "--out", old)
        except Killed:
            assert not partial(old)
            assert call == 1 or manifest(old)["splits"] == {}
    done = prepared("gsm8k", "--source", small, "--out", old)
    assert ("up to date" in done.stdout) == (call > 8)  # 4 files of rows, 3 others, and the unfinished manifest
    assert data_of(old) == data_of(tmp_path / "expected in parts")
    monkeypatch.setattr(preparation, "SHARD_ROWS", 500_000)
    prepared("gsm8k", "--source", small, "--out", old, "--force")
    assert data_of(old) == data_of(tmp_path / "expected")


def test_an_old_manifest_never_stands_beside_new_rows(tmp_path, monkeypatch, small, old):
    """At every rename, what the folder says of itself is true: its files are those of its manifest, or it has none."""
    write_lines(small / "train.jsonl", map(problem, range(7)))
    real, seen = os.replace, []

    def look(begin, end, **options):
        real(begin, end, **options)
        if manifest(old)["splits"]:
            assert [len(rows(old, name)) for name in ("train", "test")] == [
                manifest(old)["splits"][name]["rows_out"] for name in ("train", "test")
            ]
        seen.append(end)

    monkeypatch.setattr(os, "replace", look)
    prepared("gsm8k", "--source", small, "--out", old)
    assert len(seen) == len(FINISHED) + 1


def test_ctrl_c_between_two_renames_does_not_say_that_all_is_as_it_was(tmp_path, monkeypatch, small):
    real = os.replace

    def interrupted(begin, end, **options):
        if Path(end).name == "train.parquet":
            raise KeyboardInterrupt
        real(begin, end, **options)

    monkeypatch.setattr(os, "replace", interrupted)
    done = prepare("gsm8k", "--source", small, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == f"data_prep/gsm8k.py: interrupted; run it again to finish {tmp_path / 'out'}\n"
    monkeypatch.undo()
    prepared("gsm8k", "--source", small, "--out", tmp_path / "out")
    assert sorted(contents(tmp_path / "out")) == FINISHED


def test_leftovers_of_a_killed_run_do_not_count_as_the_users_files(tmp_path, small):
    out = tmp_path / "new"
    (out / ".partial-abc").mkdir(parents=True)
    (out / ".partial-abc" / "train-00000").write_bytes(b"PAR1")
    prepared("gsm8k", "--source", small, "--out", out)
    assert sorted(contents(out)) == FINISHED


def test_an_up_to_date_folder_is_left_alone_while_it_is_read(tmp_path, small, old):
    """A training may read it: no lock and no right to write is needed to say that it is up to date."""
    copy = shutil.copytree(old, tmp_path / "copy")
    before = {path.name: path.stat().st_mtime_ns for path in [copy, *copy.iterdir()]}
    assert "up to date" in prepared("gsm8k", "--source", small, "--out", copy).stdout
    assert {path.name: path.stat().st_mtime_ns for path in [copy, *copy.iterdir()]} == before
