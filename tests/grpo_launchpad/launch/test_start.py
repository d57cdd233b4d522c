"""What an attempt records, and when a run counts as finished."""

import json
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from grpo_launchpad import attempt
from grpo_launchpad.preflight.compose import ComposeError
from grpo_launchpad.preflight.problem import Problem


def config(folder, total=10, resume_mode="auto"):
    trainer = {"default_local_dir": str(folder), "resume_mode": resume_mode, "total_training_steps": total}
    return OmegaConf.create({"trainer": trainer})


@pytest.mark.parametrize(
    ("saved", "total", "resume_mode", "finished"),
    [
        (None, 10, "auto", None),
        ("4", 10, "auto", None),
        ("10", 10, "auto", 10),
        ("12", 10, "auto", 12),
        ("10", None, "auto", None),
        ("10", 10, "disable", None),
    ],
)
def test_a_run_is_finished_when_its_last_step_is_saved(tmp_path, saved, total, resume_mode, finished):
    if saved is not None:
        (tmp_path / "latest_checkpointed_iteration.txt").write_text(saved)
    assert attempt.finished_step(config(tmp_path, total, resume_mode)) == finished


def test_records_are_appended_and_read_back(tmp_path):
    for record in ({"attempt": 1, "started_at": 1.0}, {"attempt": 1, "ended_at": 2.0, "exit_code": 0}):
        attempt.append_attempt(tmp_path, record)
    assert [record["attempt"] for record in attempt.read_attempts(tmp_path)] == [1, 1]


def test_an_end_is_recorded_beside_its_start(tmp_path):
    (tmp_path / "launch").mkdir()
    attempt.append_attempt(tmp_path / "launch", {"attempt": 3, "started_at": 1.0, "pid": 1})
    attempt.end(SimpleNamespace(run_dir=tmp_path, attempt=3, exit_code=137))
    start, end = map(json.loads, (tmp_path / "launch" / "attempts.jsonl").read_text().splitlines())
    assert (end["attempt"], end["exit_code"]) == (3, 137)
    assert end["ended_at"] > start["started_at"]


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD", "http_auth"])
def test_names_of_secrets_are_known(name):
    assert attempt.SECRET.search(name)


@pytest.mark.parametrize("name", ["VERL_PLATFORM", "PATH", "RUN_DIR", "OMP_NUM_THREADS"])
def test_ordinary_names_are_kept(name):
    assert not attempt.SECRET.search(name)


@pytest.fixture
def begin(tmp_path, monkeypatch, capsys):
    """Begin an attempt whose checks find what is given; return exit code, what was asked, and what was said."""
    launcher = tmp_path / "run_x_fsdp_gsm8k.sh"
    launcher.write_text("#!/usr/bin/env bash\nMODEL_PATH=${MODEL_PATH:-m}\nNNODES=${NNODES:-2}\n")
    (tmp_path / "launch").mkdir()
    given = SimpleNamespace(
        run_dir=tmp_path,
        name="run",
        model="x",
        backend="fsdp",
        task="gsm8k",
        device="cuda",
        launcher=launcher,
        started_at=1.0,
        overrides=["actor_rollout_ref.model.path=m", "trainer.nnodes=2"],
    )
    trainer = {"nnodes": 2, "n_gpus_per_node": 8, "resume_mode": "disable", "default_local_dir": str(tmp_path)}

    def begin(checks=(), devices=(), refused=None):
        asked = []

        def compose(overrides):
            if refused:
                raise ComposeError([refused])
            return OmegaConf.create({"trainer": trainer})

        monkeypatch.setattr(attempt, "compose", compose)
        monkeypatch.setattr(attempt, "check", lambda *_: asked.append("checks") or list(checks))
        monkeypatch.setattr(attempt, "check_devices", lambda _, device: asked.append(device) or list(devices))
        return attempt.begin(given), asked, capsys.readouterr().err

    return begin


NODES = Problem("trainer.nnodes", "too many", "set NNODES=1")


def test_devices_are_asked_for_once_all_else_is_right(begin):
    assert begin() == (0, ["checks", "cuda"], "")
    code, asked, said = begin(checks=[NODES], devices=[NODES])
    assert (code, asked) == (2, ["checks"])


def test_problems_name_the_line_of_the_launcher_and_nothing_is_recorded(begin, tmp_path):
    for found in ({"checks": [NODES]}, {"devices": [NODES]}, {"refused": NODES}):
        code, _, said = begin(**found)
        assert code == 2
        assert "  run_x_fsdp_gsm8k.sh:3 NNODES (trainer.nnodes): too many\n    fix: set NNODES=1" in said
    assert list((tmp_path / "launch").iterdir()) == []


def test_checks_can_be_skipped_but_not_what_cannot_be_composed(begin, monkeypatch):
    monkeypatch.setenv("PREFLIGHT", "0")
    code, asked, _ = begin(checks=[NODES], devices=[NODES])
    assert (code, asked) == (0, [])
    assert begin(refused=NODES)[0] == 2
