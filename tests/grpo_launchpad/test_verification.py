import json
import subprocess
import sys

import pytest

from grpo_launchpad import verification
from grpo_launchpad.verification import Record, code_digest, level_of, new_record, read, write

TEXT = 'set -e\n\nACTOR_LR=${ACTOR_LR:-1e-6}   # a reason\nlaunch::run "a=\'#1\'" "$@"\n'


@pytest.fixture
def launcher(tmp_path):
    path = tmp_path / "run_a_fsdp_b.sh"
    path.write_text(TEXT)
    return path


@pytest.fixture
def records(tmp_path):
    return tmp_path / "verified.jsonl"


def record(launcher="run_a_fsdp_b", level="C", **fields):
    return Record(launcher, level, **({"code": "0123456789ab", "date": "2026-11-21", "verl": "0.9.1"} | fields))


@pytest.mark.parametrize(
    "text",
    [
        "# GRPO | a | FSDP2 | b\n" + TEXT,
        TEXT.replace("a reason", "a better reason"),
        TEXT.replace("   # a reason", ""),
        TEXT.replace("set -e\n", "set -e\n    # indented\n"),
    ],
)
def test_comments_and_blank_lines_do_not_change_the_digest(launcher, text):
    before = code_digest(launcher)
    launcher.write_text(text)
    assert code_digest(launcher) == before


@pytest.mark.parametrize(("old", "new"), [("1e-6", "1e-5"), ("#1", "#2"), ("set -e", "set -eu")])
def test_code_changes_the_digest(launcher, old, new):
    before = code_digest(launcher)
    launcher.write_text(TEXT.replace(old, new))
    assert code_digest(launcher) != before


def test_no_file_is_no_records(records):
    assert read(records) == []


def test_a_record_replaces_the_one_of_its_launcher_and_level(records):
    for one in (record(level="S", seconds=70.5), record("run_z"), record(), record(date="2026-11-22")):
        write(one, records)
    assert read(records) == [record(date="2026-11-22"), record(level="S", seconds=70.5), record("run_z")]
    first = json.loads(records.read_text().splitlines()[0])
    assert first == {
        "launcher": "run_a_fsdp_b",
        "level": "C",
        "code": "0123456789ab",
        "date": "2026-11-22",
        "verl": "0.9.1",
    }
    assert list(records.parent.iterdir()) == [records]


def test_two_writers_at_once_lose_nothing(records):
    program = (
        "import pathlib, sys; from grpo_launchpad.verification import *; path, name = sys.argv[1:]\n"
        "for i in range(20): write(Record(f'run_{name}_{i}', 'C', '0', '2026-11-21', '0.9.1'), pathlib.Path(path))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, records, name]) for name in "ab"]
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0]
    assert len(read(records)) == 40


@pytest.mark.parametrize("line", ["not json", '{"launcher": "run_a"}', json.dumps(record().__dict__ | {"level": "X"})])
def test_a_broken_line_is_named(records, line):
    write(record(), records)
    records.write_text(records.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"verified\.jsonl:2: not a record"):
        read(records)


def test_a_level_holds_for_the_code_that_was_verified(launcher):
    records = [new_record(launcher, "C")]
    assert level_of(launcher, []) == ""
    assert level_of(launcher, records) == "C"
    launcher.write_text(TEXT.replace("1e-6", "1e-5"))
    assert level_of(launcher, records) == ""


@pytest.mark.parametrize(
    ("fields", "level"),
    [({"status": "completed"}, "S"), ({"status": "failed"}, "C"), ({"reason": "it needs a GPU"}, "C")],
)
def test_only_a_completed_run_reaches_a_level(launcher, fields, level):
    assert level_of(launcher, [new_record(launcher, "C"), new_record(launcher, "S", **fields)]) == level


def test_the_highest_level_counts(launcher):
    records = [new_record(launcher, level, status="completed") for level in ("G", "C", "S")]
    assert level_of(launcher, records) == "G"


def test_new_record_is_of_today_and_of_the_installed_verl(launcher):
    made = new_record(launcher, "C")
    assert (made.launcher, made.verl) == ("run_a_fsdp_b", verification.version("verl"))
    assert len(made.date) == 10
