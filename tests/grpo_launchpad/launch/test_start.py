"""A planned launch is checked, started, recorded, reported. Its trainer is a program that writes down what it got."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
from omegaconf import OmegaConf

from data_prep.pipeline.verl_parquet import make_row
from grpo_launchpad.launch import start as module
from grpo_launchpad.launch.plan import ROOT, plan_of_page
from grpo_launchpad.launch.resume import digests_of
from grpo_launchpad.launch.start import SECRET, finished_step, problems_of
from grpo_launchpad.runs.checkpoints import LAST_STEP
from grpo_launchpad.runs.versions import installed
from tests.verl_files import write_split

LAUNCHER = """\
#!/usr/bin/env bash
set -euo pipefail
CLUSTER=(
    "trainer.nnodes=${NNODES:=1}"
    "trainer.n_gpus_per_node=${NGPUS_PER_NODE:=1}"
    "actor_rollout_ref.model.path=${MODEL_PATH:=gone}"
    "data.train_files=${TRAIN_FILES:=${DATA_DIR}/arithmetic/train.parquet}"
    "data.val_files=${VAL_FILES:=${DATA_DIR}/arithmetic/test.parquet}"
)
RECIPE=(
    "data.train_batch_size=${TRAIN_BATCH_SIZE:=8}"
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=16}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=8}"
    "algorithm.adv_estimator=grpo"
    "actor_rollout_ref.rollout.n=${ROLLOUT_N:=4}"
    "actor_rollout_ref.rollout.name=${ROLLOUT_ENGINE:=vllm}"
    "actor_rollout_ref.rollout.tensor_model_parallel_size=${ROLLOUT_TP:=1}"
    "actor_rollout_ref.actor.ppo_mini_batch_size=${PPO_MINI_BATCH_SIZE:=8}"
    "actor_rollout_ref.actor.use_dynamic_bsz=True"
    "reward.custom_reward_function.path=pkg://reward_score"
    "trainer.total_training_steps=${TRAIN_STEPS:=2}"
)
launch::run "${CLUSTER[@]}" "${RECIPE[@]}" "$@"
"""
# Stands for Python: only the trainer is another program.
PYTHON = """\
#!/bin/sh
case "$*" in
"-P -m verl.trainer.main_ppo "*) exec {python} -I {trainer} "$@" ;;
esac
exec {python} "$@"
"""
TRAINER = """\
import json, os, sys, time
from pathlib import Path
folder = Path(os.environ["TEST_FOLDER"])
call = {"arguments": sys.argv[4:], "environment": dict(os.environ), "pid": os.getpid()}
(folder / "call.partial").write_text(json.dumps(call))
os.rename(folder / "call.partial", folder / "call.json")
print("step:1 - critic/rewards/mean:0.5", flush=True)
exec((folder / "rest.py").read_text())
"""


# A launch ends with its process, which lets go of the lock.
STARTING = """
import json, sys
from pathlib import Path
from grpo_launchpad.launch.plan import ROOT, plan_of_page
from grpo_launchpad.launch import start
launcher, variables, arguments, wait = json.loads(sys.argv[1])
if wait is not None:
    take_lock = start.take_lock
    start.take_lock = lambda run, on_wait: take_lock(run, wait, on_wait)
try:
    code = start.start(plan_of_page(Path(launcher), variables, ROOT, arguments), 12.5)
except start.Refused as refused:
    print(refused, file=sys.stderr)
    code = refused.exit_code
sys.exit(code)
"""
SLEEPING = "(folder / 'up').touch(); time.sleep(3600)"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A launcher with all that it needs, and an environment without a GPU but for one that nvidia-smi lists."""
    for split in ("train", "test"):
        rows = [
            make_row(
                data_source="arithmetic",
                messages=[{"role": "user", "content": f"{index}+1="}],
                ability="math",
                ground_truth=str(index + 1),
                extra_info={"split": split, "index": index},
            )
            for index in range(16)
        ]
        write_split(tmp_path / "data" / "arithmetic", split, rows)
    (tmp_path / "run_x_fsdp_arithmetic.sh").write_text(LAUNCHER)
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "rest.py").write_text("")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "bin").mkdir()
    python = PYTHON.format(python=shlex.quote(sys.executable), trainer=shlex.quote(str(tmp_path / "trainer.py")))
    for name, text in (("python", python), ("nvidia-smi", "#!/bin/sh\necho 'GPU 0: a GPU'\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("TEST_FOLDER", str(tmp_path))
    for name in ("RAY_ADDRESS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def given(folder):
    """What a user of the launcher sets."""
    return {
        "PYTHON": str(folder / "bin" / "python"),
        "MODEL_PATH": str(folder / "model"),
        "DATA_DIR": str(folder / "data"),
        "RUN_DIR": str(folder / "runs" / "x"),
    }


@pytest.fixture
def plan(folder, given):
    """Plans the launch with these arguments and this environment."""
    launcher = folder / "run_x_fsdp_arithmetic.sh"
    return lambda *arguments, **variables: plan_of_page(launcher, given | variables, ROOT, arguments)


@pytest.fixture
def begin(folder, given):
    """Starts the launch in a process of its own."""

    def begin(*arguments, wait=None, **variables):
        words = [str(folder / "run_x_fsdp_arithmetic.sh"), given | variables, arguments, wait]
        command = [sys.executable, "-c", STARTING, json.dumps(words)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return begin


@pytest.fixture
def start(begin):
    """Starts the launch and returns its exit code and what it said of it."""

    def start(*arguments, **variables):
        process = begin(*arguments, **variables)
        _, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        return process.returncode, err

    return start


def begins_and_ends(run):
    """The records of a run's attempts without those of their phases."""
    records = map(json.loads, run.attempts.read_text().splitlines())
    return [record for record in records if record.keys() & {"started_at", "ended_at"}]


def call(folder):
    return json.loads((folder / "call.json").read_text())


def config(folder, total=10, resume_mode="auto"):
    trainer = {"default_local_dir": str(folder), "resume_mode": resume_mode, "total_training_steps": total}
    return OmegaConf.create({"trainer": trainer})


@pytest.mark.parametrize(
    ("saved", "total", "resume_mode", "finished"),
    [
        (None, 10, "auto", None),
        ("4", 10, "auto", None),
        ("10", 10, "auto", 10),
        ("12\n", 10, "auto", 12),
        ("10", None, "auto", None),
        ("10", 10, "disable", None),
        ("", 10, "auto", None),
        ("\n", 10, "auto", None),
        ("\0\0", 10, "auto", None),
        ("-1", 10, "auto", None),
        ("1e2", 10, "auto", None),
        ("global_step_10", 10, "auto", None),
    ],
)
def test_a_run_is_finished_when_its_last_step_is_saved(tmp_path, saved, total, resume_mode, finished):
    if saved is not None:
        (tmp_path / "latest_checkpointed_iteration.txt").write_text(saved)
    assert finished_step(config(tmp_path, total, resume_mode)) == finished


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD", "http_auth"])
def test_names_of_secrets_are_known(name):
    assert SECRET.search(name)


@pytest.mark.parametrize("name", ["VERL_PLATFORM", "PATH", "RUN_DIR", "OMP_NUM_THREADS"])
def test_ordinary_names_are_kept(name):
    assert not SECRET.search(name)


def test_a_launch_gives_the_trainer_what_was_planned_and_ends_with_its_code(start, plan, folder):
    planned = plan("trainer.experiment_name='a b'")
    assert start("trainer.experiment_name='a b'")[0] == 0
    given = call(folder)
    model = "actor_rollout_ref.model.path"
    assert given["arguments"] == planned.overrides
    assert f"{model}='{folder / 'model'}'" in given["arguments"]
    assert given["environment"]["VERL_FILE_LOGGER_PATH"] == str(planned.run.metrics(1))
    assert planned.variables.items() <= given["environment"].items()


def test_a_launch_is_recorded_and_reported(start, plan):
    start()
    run = plan().run
    assert json.loads(run.identity.read_text()) == {
        "name": "run_x_fsdp_arithmetic",
        "model": "x",
        "task": "arithmetic",
        "backend": "fsdp",
        "world_size": 1,
        "train_files": digests_of(problems_of(plan())[0]),
        "versions": installed(),
    }
    begun, ended = begins_and_ends(run)
    assert (begun["attempt"], begun["started_at"], begun["pid"] > 0) == (1, 12.5, True)
    assert (ended["attempt"], ended["exit_code"]) == (1, 0)
    assert run.command.read_text() == plan().command()
    assert OmegaConf.load(run.configuration).trainer.total_training_steps == 2
    assert "step:1" in run.log(1).read_text()
    assert run.summary.exists()
    assert run.report.exists()


def test_the_recorded_command_is_the_one_that_ran(start, plan, folder):
    start("trainer.experiment_name='it is a $HOME'")
    first = call(folder)["arguments"]
    (folder / "call.json").unlink()
    subprocess.run(["sh", plan().run.command], check=True, timeout=300, stdout=subprocess.DEVNULL)
    assert call(folder)["arguments"] == first


def test_a_second_launch_is_the_next_attempt(start, plan, folder):
    for _ in range(2):
        assert start()[0] == 0
    assert [record["attempt"] for record in begins_and_ends(plan().run)] == [1, 1, 2, 2]
    assert call(folder)["environment"]["VERL_FILE_LOGGER_PATH"].endswith("metrics.2.jsonl")


def test_a_checkpoint_of_another_training_is_refused_and_nothing_is_started(start, plan, folder):
    assert start()[0] == 0
    checkpoints = plan().run.checkpoints
    checkpoints.mkdir()
    (checkpoints / LAST_STEP).write_text("1")
    (folder / "call.json").unlink()
    code, said = start(REWARDS="correctness:1.0,format:0.2")
    assert code == 2
    assert "reward  environment REWARDS" in said
    assert not (folder / "call.json").exists()
    begun = [json.loads(line)["attempt"] for line in plan().run.attempts.read_text().splitlines()]
    assert set(begun) == {1}, "no attempt was begun"
    assert start()[0] == 0


def test_a_finished_run_is_made_longer_and_says_so(start, plan, folder):
    assert start()[0] == 0
    plan().run.checkpoints.mkdir()
    (plan().run.checkpoints / LAST_STEP).write_text("2")
    (folder / "call.json").unlink()
    assert "NEW_RUN=1 starts afresh" in start()[1]
    assert not (folder / "call.json").exists()
    code, said = start(TRAIN_STEPS="4")
    assert code == 0
    assert "it ended with step 2; going on from step 2 to 4" in said
    assert (folder / "call.json").exists()


@pytest.mark.parametrize(("ending", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 11)", 139), ("1/0", 1)])
def test_a_trainer_that_fails_is_recorded_and_its_log_named(start, plan, folder, ending, code):
    (folder / "rest.py").write_text(ending)
    returned, said = start()
    assert returned == 1
    assert said.splitlines()[-1] == f"the trainer ended with exit code {code}; its log: {plan().run.log(1)}"
    assert begins_and_ends(plan().run)[1]["exit_code"] == code
    assert json.loads(plan().run.summary.read_text())["status"] == "failed"


def test_a_hanging_trainer_is_ended_with_the_code_for_another_try(start, plan, folder):
    step = "print(f'step:{n} - critic/rewards/mean:0.5 - timing_s/step:0.2', flush=True)"
    (folder / "rest.py").write_text(f"for n in range(2, 6): {step}\ntime.sleep(300)")
    returned, said = start(END_IF_HUNG="3", TRAIN_STEPS="9")
    assert returned == 75
    assert said.splitlines()[-1] == f"the trainer was ended, because its step hung; its log: {plan().run.log(1)}"
    assert begins_and_ends(plan().run)[1]["exit_code"] == 75


def test_secrets_stay_out_of_the_run_folder(start, plan, folder, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "s3cret-1")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret-2@proxy:80")
    monkeypatch.setenv("ORDINARY_NAME", "kept")
    tracking = "https://me:s3cret-3@host"
    assert start(MLFLOW_TRACKING_URI=tracking, PREFLIGHT="0")[0] == 0  # whether its package is installed or not
    environment = call(folder)["environment"]
    assert (environment["MY_API_KEY"], environment["HTTPS_PROXY"]) == ("s3cret-1", "http://me:s3cret-2@proxy:80")
    assert environment["MLFLOW_TRACKING_URI"] == tracking
    assert "ORDINARY_NAME=kept\n" in plan().run.environment.read_text()
    for path in plan().run.path.rglob("*"):
        assert path.is_dir() or b"s3cret" not in path.read_bytes(), path


def test_problems_start_nothing_and_leave_no_folder(start, folder):
    code, said = start("actor_rollout_ref.rollout.n=1")
    assert code == 2
    assert said.splitlines() == [
        "preflight: 1 problem, nothing was started",
        "  argument actor_rollout_ref.rollout.n=1: a group of 1 sample has no advantage",
        "    fix: set the argument actor_rollout_ref.rollout.n to 2 or more",
    ]
    assert not (folder / "call.json").exists()
    assert not (folder / "runs" / "x").exists()


def test_a_refused_launch_leaves_an_earlier_run_as_it_was(start, plan, folder):
    start()
    before = {path: path.read_bytes() for path in plan().run.path.rglob("*") if path.is_file()}
    assert start("actor_rollout_ref.rollout.n=1")[0] == 2
    assert {path: path.read_bytes() for path in plan().run.path.rglob("*") if path.is_file()} == before


def test_devices_are_asked_for_once_all_else_is_right(start):
    assert "2 asked for, 1 NVIDIA GPU to be used" in start(NGPUS_PER_NODE="2")[1]
    code, said = start("actor_rollout_ref.rollout.n=1", NGPUS_PER_NODE="2")
    assert (code, "NVIDIA" in said) == (2, False)


def test_problems_of_a_plan_name_who_set_the_value(plan):
    planned = plan(PPO_MINI_BATCH_SIZE="3")
    _, problems = problems_of(planned)
    assert module.complaint(planned, problems).splitlines() == [
        "preflight: 1 problem, nothing was started",
        "  environment PPO_MINI_BATCH_SIZE (actor_rollout_ref.actor.ppo_mini_batch_size): 3 does not divide the train "
        "batch of 8 prompts; verl would pad with empty rows",
        "    fix: set PPO_MINI_BATCH_SIZE=2",
    ]


def test_checks_can_be_skipped_but_not_what_cannot_be_composed(start, folder):
    assert start("actor_rollout_ref.rollout.n=1", PREFLIGHT="0", NGPUS_PER_NODE="16")[0] == 0
    assert "actor_rollout_ref.rollout.n=1" in call(folder)["arguments"]
    (folder / "call.json").unlink()
    code, said = start("trainer.no_such_key=1", PREFLIGHT="0")
    assert (code, "verl 0.9.1 has no such key" in said) == (2, True)
    assert not (folder / "call.json").exists()


def test_a_finished_run_is_reported_and_not_trained_again(start, plan, folder):
    start()
    (folder / "call.json").unlink()
    checkpoints = plan().run.checkpoints
    checkpoints.mkdir()
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("2")
    code, said = start()
    assert (code, (folder / "call.json").exists()) == (0, False)
    assert "step 2 is its last and its checkpoint is saved; a higher TRAIN_STEPS goes on, NEW_RUN=1 starts" in said
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("")  # torn: verl decides what to make of it
    assert start()[0] == 0
    assert (folder / "call.json").exists()


def test_a_run_folder_that_cannot_be_made_is_refused_with_its_name(start, folder):
    (folder / "file").touch()
    code, said = start(RUN_DIR=str(folder / "file" / "run"))
    assert code == 2
    assert f"cannot write {folder}/file/run" in said
    assert "(Not a directory); set RUN_DIR to a folder that can be written" in said


@pytest.fixture
def endless(begin, folder):
    """A launch whose trainer does not end by itself."""
    (folder / "rest.py").write_text(SLEEPING)
    process = begin()
    deadline = time.monotonic() + 300
    while not (folder / "up").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    trainer = call(folder)["pid"]
    yield process
    process.kill()
    with contextlib.suppress(ProcessLookupError):
        os.kill(trainer, signal.SIGKILL)
    process.communicate()


def test_a_sigterm_is_passed_on_and_recorded(endless, plan):
    endless.terminate()
    _, said = endless.communicate(timeout=300)
    assert (endless.returncode, "exit code 143" in said) == (1, True)
    assert begins_and_ends(plan().run)[1]["exit_code"] == 143


def test_a_run_in_use_is_refused_with_what_to_do(endless, start, folder):
    code, said = start(wait=0)
    assert code == 2
    assert f"{folder}/runs/x is in use by another run of the same name" in said
    assert "NEW_RUN=1 or RUN_NAME=" in said


def test_a_trainer_whose_launcher_was_killed_keeps_the_run_until_it_ends(endless, start, plan, folder):
    endless.kill()
    endless.wait()
    assert start(wait=0)[0] == 2
    os.kill(call(folder)["pid"], signal.SIGKILL)
    (folder / "rest.py").write_text("")
    assert start(wait=300)[0] == 0
    numbers = [record["attempt"] for record in begins_and_ends(plan().run)]
    assert numbers == [1, 2, 2]
