"""Records of verification: what they cover, and when they stop to count."""

import json
import subprocess
import sys

import pytest

from grpo_launchpad import verification
from grpo_launchpad.launch.launchers import FOLDER, all_files
from grpo_launchpad.verification import Record, current, digest_of, level_of, new_record, read, versions_of, write

TEXT = """\
#!/usr/bin/env bash
# GRPO | A | FSDP2 | B
set -euo pipefail

RECIPE=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=8}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2-7B-Instruct}"
    "actor_rollout_ref.actor.optim.lr=${ACTOR_LR:=1e-6}" # a reason
    "algorithm.adv_estimator=grpo"
)

launch::run "${RECIPE[@]}" "$@"
"""
MEGATRON = FOLDER / "run_qwen2-7b_megatron_gsm8k.sh"


@pytest.fixture
def launcher(tmp_path):
    path = tmp_path / "run_a_fsdp_gsm8k.sh"
    path.write_text(TEXT)
    return path


@pytest.fixture
def records(tmp_path):
    return tmp_path / "verified.jsonl"


@pytest.fixture
def installed(monkeypatch):
    """Pretends that the engines are installed in these versions."""

    def install(**versions):
        found = {package.replace("_", "-"): version for package, version in versions.items()}
        monkeypatch.setattr(verification, "_version", lambda package: found.get(package, "none"))

    install(verl="0.9.1", vllm="0.28.0+cpu", megatron_core="0.18.0")
    return install


def record(launcher="run_a_fsdp_gsm8k", level="C", **fields):
    return Record(launcher, level, **({"digest": "0123456789ab", "date": "2026-11-21", "verl": "0.9.1"} | fields))


@pytest.mark.parametrize(
    "text",
    [
        "# a longer header\n" + TEXT,
        TEXT.replace("a reason", "a better reason"),
        TEXT.replace(" # a reason", ""),
        TEXT.replace("set -euo pipefail\n", "set -euo pipefail\n    # indented\n\n"),
        TEXT.replace("RECIPE", "ANOTHER"),
        TEXT.replace('"trainer.nnodes=${NNODES:=1}"\n    "trainer.n_gpus', '"trainer.nnodes=1"\n    "trainer.n_gpus'),
    ],
)
@pytest.mark.parametrize("level", ["C", "S", "G"])
def test_comments_and_form_do_not_change_the_digest(launcher, text, level):
    before = digest_of(launcher, level)
    assert text != TEXT
    launcher.write_text(text)
    assert digest_of(launcher, level) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1e-6", "1e-5"),
        ("=grpo", "=rloo"),
        ("Qwen2-7B-Instruct", "Qwen2-7B"),
        ('    "algorithm.adv_estimator=grpo"\n', ""),
        ('    "algorithm', '    "data.seed=1"\n    "algorithm'),
    ],
)
def test_a_changed_value_changes_the_digest(launcher, old, new):
    before = digest_of(launcher, "C")
    launcher.write_text(TEXT.replace(old, new))
    assert digest_of(launcher, "C") != before


def test_each_launcher_and_level_has_a_digest_of_its_own():
    digests = {(file.stem, digest_of(file, "C")) for file in all_files()}
    assert len({digest for _, digest in digests}) == len(all_files())
    assert digest_of(MEGATRON, "S") != digest_of(MEGATRON, "C") == digest_of(MEGATRON, "G")


def test_what_only_a_real_run_has_does_not_change_the_digest_of_a_smoke_run(launcher):
    before = digest_of(launcher, "S"), digest_of(launcher, "C")
    launcher.write_text(TEXT.replace("=8}", "=4}"))  # two workers either way
    assert digest_of(launcher, "S") == before[0]
    assert digest_of(launcher, "C") != before[1]


def test_nothing_of_this_machine_is_in_the_digest(launcher, monkeypatch, tmp_path):
    before = digest_of(launcher, "C")
    for name, value in (("ACTOR_LR", "1"), ("DATA_DIR", "/x"), ("RUN_DIR", "/y"), ("WANDB_API_KEY", "z")):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert digest_of(launcher, "C") == before
    (tmp_path / "elsewhere").mkdir()
    assert digest_of(launcher.rename(tmp_path / "elsewhere" / launcher.name), "C") == before


@pytest.mark.parametrize(
    ("launcher_file", "packages"),
    [(FOLDER / "run_qwen2-7b_fsdp_gsm8k.sh", ["verl", "vllm"]), (MEGATRON, ["verl", "vllm", "megatron-core"])],
)
def test_the_versions_of_the_engines_that_a_launcher_uses_are_in_the_digest(installed, launcher_file, packages):
    assert list(versions_of(launcher_file)) == packages
    before = digest_of(launcher_file, "C")
    for package in ("verl", "vllm", "megatron-core"):
        versions = {"verl": "0.9.1", "vllm": "0.28.0+cpu", "megatron-core": "0.18.0"} | {package: "99"}
        installed(**{name.replace("-", "_"): version for name, version in versions.items()})
        assert (digest_of(launcher_file, "C") != before) == (package in packages)


def test_an_engine_that_is_not_installed_has_no_version(monkeypatch):
    assert verification._version("no-such-package") == "none"


@pytest.mark.parametrize(("level", "holds"), [("C", False), ("S", False), ("G", True)])
def test_a_run_on_accelerators_holds_with_another_build_of_vllm(launcher, installed, level, holds):
    installed(verl="0.9.1", vllm="0.24.0")
    there = [new_record(launcher, level, status="completed")]
    assert (there[0].verl, there[0].vllm, there[0].megatron_core) == ("0.9.1", "0.24.0", None)
    assert level_of(launcher, there) == level
    installed(verl="0.9.1", vllm="0.28.0+cpu")
    assert level_of(launcher, there) == (level if holds else "")


@pytest.mark.parametrize("level", ["C", "S", "G"])
def test_no_record_holds_with_another_verl(launcher, installed, level):
    there = [new_record(launcher, level, status="completed")]
    installed(verl="0.9.2", vllm="0.28.0+cpu")
    assert level_of(launcher, there) == ""


def test_a_run_on_accelerators_does_not_hold_for_another_command(launcher, installed):
    there = [new_record(launcher, "G", status="completed")]
    installed(verl="0.9.1", vllm="0.28.0+cpu")
    launcher.write_text(TEXT.replace("1e-6", "1e-5"))
    assert current(launcher, there) == {}


def test_a_megatron_run_on_accelerators_holds_with_another_build_of_megatron(installed):
    installed(verl="0.9.1", vllm="0.24.0", megatron_core="0.19.0")
    there = [new_record(MEGATRON, "G", status="completed")]
    installed(verl="0.9.1", vllm="0.28.0+cpu", megatron_core="0.18.0")
    assert level_of(MEGATRON, there) == "G"


def test_no_file_is_no_records(records):
    assert read(records) == []


def test_a_record_replaces_the_one_of_its_launcher_and_level(records):
    for one in (record(level="S", seconds=70.5), record("run_z"), record(), record(date="2026-11-22")):
        write(one, records)
    assert read(records) == [record(date="2026-11-22"), record(level="S", seconds=70.5), record("run_z")]
    first = json.loads(records.read_text().splitlines()[0])
    assert first == {
        "launcher": "run_a_fsdp_gsm8k",
        "level": "C",
        "digest": "0123456789ab",
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


OLD = {"launcher": "run_a", "level": "C", "code": "0123456789ab", "date": "2026-11-21", "verl": "0.9.1"}


@pytest.mark.parametrize(
    "line",
    ["not json", "[]", "7", json.dumps(OLD), '{"launcher": "run_a"}', json.dumps(record().__dict__ | {"level": "X"})],
)
def test_a_broken_line_is_named(records, line):
    write(record(), records)
    records.write_text(records.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"verified\.jsonl:2: not a record"):
        read(records)


def test_a_level_holds_for_the_command_that_was_verified(launcher):
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
    assert (made.launcher, made.verl) == ("run_a_fsdp_gsm8k", verification.version("verl"))
    assert made.vllm == verification.version("vllm")
    assert len(made.date) == 10
