import fcntl
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grpo_launchpad.preflight.compose import compose

ROOT = Path(__file__).resolve().parents[2]
TINY = "run_tiny_cpu_arithmetic"
QWEN = "run_qwen2-7b_megatron_gsm8k"
NAME = re.compile(r"run_[a-z0-9][a-z0-9.-]*_(fsdp|megatron|cpu)(-lora)?(-npu)?_[a-z0-9]+")
ARRAYS = ("DATA", "MODEL", "ALGORITHM", "ACTOR", "ROLLOUT", "REF", "REWARD", "TRAINER")
SECRET = "wandb-secret-3141"


def another_value(default: str) -> str:
    """A value of the default's type that differs from it."""
    if default in ("True", "False"):
        return "False" if default == "True" else "True"
    if default.isdigit():
        return str(int(default) + 3)
    try:
        return str(float(default) + 0.125)
    except ValueError:
        return "owner/another-name"


def test_name_says_model_backend_and_task(launcher):
    assert NAME.fullmatch(launcher.stem)
    assert (ROOT / "data_prep" / f"{launcher.stem.split('_')[3]}.py").exists()


def test_opens_with_what_it_is_what_it_needs_and_how_to_call_it(launcher):
    lines = launcher.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert re.fullmatch(r"# GRPO \| .+ \| .+ \| .+", lines[1])
    assert lines[2].startswith("# Hardware: ")
    header = lines[: lines.index("set -euo pipefail")]
    assert all(line.startswith("#") for line in header)
    assert any(f"examples/grpo_trainer/{launcher.name}" in line for line in header)


def test_is_a_page_of_knobs_and_arrays_and_one_call(launcher):
    text = launcher.read_text()
    assert re.findall(r"^([A-Z]+)=\($", text, re.MULTILINE) == [
        name for name in re.findall(r"\$\{([A-Z]+)\[@\]\}", text) if name in ARRAYS
    ]
    expansions = " ".join(f'"${{{name}[@]}}"' for name in re.findall(r"^([A-Z]+)=\($", text, re.MULTILINE))
    assert text.splitlines()[-1] == f'launch::run {expansions} "$@"'
    assert text.count("launch::run ") == 1


def test_quotes_every_override(launcher):
    for array in re.findall(r"^[A-Z]+=\(\n(.*?)^\)", launcher.read_text(), re.MULTILINE | re.DOTALL):
        for line in array.splitlines():
            assert re.fullmatch(r'    ("[^"]*"( +#.*)?|#.*)', line), line


def test_starts_the_trainer_exactly_once(launcher, run_once):
    _, result = run_once(launcher.stem)
    assert result.returncode == 0, result.stderr
    assert len(result.calls_of("verl.trainer.main_ppo")) == 1
    assert len(result.calls_of("grpo_launchpad.report")) == 1


def test_gives_the_trainer_a_configuration_that_verl_accepts(launcher, run_once):
    sandbox, result = run_once(launcher.stem)
    config = compose(result.trainer_arguments())
    assert config.algorithm.adv_estimator == "grpo"
    assert config.trainer.experiment_name == launcher.stem
    assert config.trainer.default_local_dir == str(sandbox.runs / launcher.stem / "checkpoints")
    assert config.actor_rollout_ref.model.path == str(sandbox.model)
    assert Path(config.data.train_files).exists()


def test_records_the_run(launcher, run_once):
    sandbox, result = run_once(launcher.stem)
    launch = sandbox.runs / launcher.stem / "launch"
    begun, ended = [json.loads(line) for line in (launch / "attempts.jsonl").read_text().splitlines()]
    assert begun["attempt"] == ended["attempt"] == 1
    assert ended["exit_code"] == 0
    run = json.loads((launch / "run.json").read_text())
    assert [run["model"], run["backend"], run["task"]] == launcher.stem.split("_")[1:]
    (call,) = result.calls_of("verl.trainer.main_ppo")
    assert call["environment"]["VERL_FILE_LOGGER_PATH"] == str(sandbox.runs / launcher.stem / "metrics.1.jsonl")


def test_keeps_secrets_out_of_sight_and_uses_them(launcher, run_once):
    sandbox, result = run_once(launcher.stem)
    (call,) = result.calls_of("verl.trainer.main_ppo")
    assert call["environment"]["WANDB_API_KEY"] == SECRET
    assert list(compose(call["arguments"]).trainer.logger) == ["console", "file", "wandb"]
    assert SECRET not in "".join(call["arguments"]) + result.stdout + result.stderr
    files = [path for path in (sandbox.runs / launcher.stem).rglob("*") if path.is_file()]
    assert {"env.txt", "command.sh", "resolved.yaml"} <= {path.name for path in files}
    assert not [path for path in files if SECRET in path.read_text()]


def test_warm_workers_serve_only_the_cpu_and_leave_nothing_behind(launcher, run_once):
    _, result = run_once(launcher.stem)
    servers = result.calls_of("grpo_launchpad.warm_workers.server")
    assert len(servers) == (launcher.stem.split("_")[2].startswith("cpu"))
    for server in servers:
        assert not Path(server["arguments"][0]).exists()


def test_dry_run_checks_prints_the_command_and_does_nothing(launcher, run_once, sandbox):
    before = sandbox.files()
    dry = sandbox.launch(launcher.stem, DRY_RUN="1", WANDB_API_KEY=SECRET)
    assert dry.returncode == 0, dry.stderr
    assert "preflight: ok" in dry.stderr
    assert dry.calls == []
    assert sandbox.files() == before

    wet_sandbox, wet = run_once(launcher.stem)
    here, there = str(sandbox.folder), str(wet_sandbox.folder)
    printed = [argument.replace(here, there) for argument in dry.printed_arguments()]
    started = [argument for argument in wet.trainer_arguments() if "py_executable" not in argument]
    assert started == [*printed, f"actor_rollout_ref.model.path='{wet_sandbox.model}'"]
    recorded = (wet_sandbox.runs / launcher.stem / "launch" / "command.sh").read_text()
    assert "py_executable" not in recorded


def test_knob_is_alive(launcher, knob, default, sandbox):
    arguments = sandbox.print_command(launcher.stem, MODEL_PATH="owner/name").printed_arguments()
    changed = sandbox.print_command(launcher.stem, **{"MODEL_PATH": "owner/name", knob: another_value(default)})
    assert changed.returncode == 0, changed.stderr
    assert changed.printed_arguments() != arguments


def test_arguments_win_over_environment_over_cluster_over_default(launcher, sandbox):
    def group_size(*overrides, **environment):
        return compose(
            sandbox.print_command(launcher.stem, *overrides, **environment).printed_arguments()
        ).actor_rollout_ref.rollout.n

    default = group_size()
    (sandbox.project / "cluster").mkdir()
    (sandbox.project / "cluster" / "env.sh").write_text(': "${ROLLOUT_N:=21}"\n')
    assert default != 21
    assert group_size() == 21
    assert group_size(ROLLOUT_N="22") == 22
    assert group_size("actor_rollout_ref.rollout.n=23", ROLLOUT_N="22") == 23


def test_arguments_may_hold_spaces_quotes_and_commas(sandbox):
    override = "trainer.experiment_name='a \"name\", with $HOME and spaces'"
    arguments = sandbox.print_command(TINY, override).printed_arguments()
    assert arguments[-1] == override
    assert compose(arguments).trainer.experiment_name == 'a "name", with $HOME and spaces'


@pytest.mark.parametrize(
    "rewards", ['correctness:1.0,length(target=200,unit="words"):-0.01,mark', "/a folder/rewards.yaml", "correctness"]
)
def test_a_composition_of_rewards_reaches_verl_as_it_was_written(sandbox, rewards):
    arguments = sandbox.print_command("run_smollm2-135m_cpu_gsm8k", REWARDS=rewards).printed_arguments()
    assert compose(arguments).reward.custom_reward_function.reward_kwargs.rewards == rewards


def test_new_run_gets_a_folder_of_its_own(launcher, sandbox):
    arguments = sandbox.print_command(launcher.stem, NEW_RUN="1").printed_arguments()
    folder = compose(arguments).trainer.default_local_dir
    assert re.fullmatch(re.escape(f"{sandbox.runs / launcher.stem}-") + r"\d{8}-\d{6}/checkpoints", folder)


def test_new_run_is_new_where_the_user_chose_the_folder_too(launcher, sandbox):
    chosen = {"RUN_DIR": str(sandbox.runs / "mine"), "CHECKPOINT_DIR": str(sandbox.runs / "saved")}
    arguments = sandbox.print_command(launcher.stem, NEW_RUN="1", **chosen).printed_arguments()
    trainer = compose(arguments).trainer
    assert re.search(r"/saved-\d{8}-\d{6}$", trainer.default_local_dir)
    assert re.search(r"/mine-\d{8}-\d{6}/rollouts/train$", trainer.rollout_data_dir)


def test_the_printed_command_brings_its_environment(sandbox):
    printed = sandbox.print_command(TINY).stdout
    assert "export VERL_PLATFORM=cpu" in printed
    assert "VERL_PLATFORM" not in sandbox.print_command(QWEN).stdout


def test_a_second_launch_of_the_same_name_is_refused(sandbox):
    launch = sandbox.runs / TINY / "launch"
    launch.mkdir(parents=True)
    with (launch / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = sandbox.launch(TINY)
    assert result.returncode == 2
    assert "NEW_RUN=1" in result.stderr
    assert result.calls == []


def test_a_run_that_is_just_ending_is_waited_for(sandbox):
    launch = sandbox.runs / QWEN / "launch"
    launch.mkdir(parents=True)
    ending = subprocess.Popen(["flock", str(launch / "lock"), "sleep", "2"])
    while subprocess.run(["flock", "--nonblock", str(launch / "lock"), "true"], check=False).returncode == 0:
        time.sleep(0.01)
    result = sandbox.launch(QWEN, PREFLIGHT="0")
    ending.wait()
    assert result.returncode == 0, result.stderr
    assert "waiting 20 s for the other run to end" in result.stderr
    assert len(result.calls_of("verl.trainer.main_ppo")) == 1


def test_failing_trainer_fails_the_launcher_and_is_recorded(sandbox):
    result = sandbox.launch(QWEN, HARNESS_TRAINER_EXIT="3", PREFLIGHT="0")
    assert result.returncode == 1
    assert "exit code 3" in result.stderr
    assert str(sandbox.runs / QWEN / "log.1.txt") in result.stderr
    last = (sandbox.runs / QWEN / "launch" / "attempts.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["exit_code"] == 3
    assert len(result.calls_of("grpo_launchpad.report")) == 1


@pytest.mark.parametrize("dry_run", ["0", "1"])
def test_a_problem_found_before_the_launch_starts_nothing(sandbox, tmp_path, dry_run):
    result = sandbox.launch(QWEN, DATA_DIR=str(tmp_path / "empty"), DRY_RUN=dry_run)
    assert result.returncode == 2
    assert "train.parquet does not exist" in result.stderr
    assert result.calls == []
    assert "main_ppo" not in result.stdout


def test_a_finished_run_is_reported_and_not_trained_again(sandbox):
    checkpoints = sandbox.runs / TINY / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("20")
    result = sandbox.launch(TINY, TRAIN_STEPS="20")
    assert result.returncode == 0, result.stderr
    assert "NEW_RUN=1" in result.stderr
    assert result.calls_of("verl.trainer.main_ppo") == []
    assert [call["arguments"] for call in result.calls_of("grpo_launchpad.report")] == [[str(sandbox.runs / TINY)]]


def test_a_python_too_old_is_refused_by_name(sandbox):
    old = sandbox.program("old-python", '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    result = sandbox.launch(TINY, PYTHON=str(old))
    assert result.returncode == 2
    assert "Python 3.9.2" in result.stderr
    assert "3.11" in result.stderr
    assert not sandbox.runs.exists()


def test_a_missing_python_is_named(sandbox):
    result = sandbox.launch(TINY, PYTHON="/no/such/python")
    assert result.returncode == 2
    assert "/no/such/python not found" in result.stderr


def shell_files() -> list[Path]:
    found = [path for folder in ("examples", "requirements", "cluster") for path in (ROOT / folder).rglob("*.sh")]
    return found + [path for path in [ROOT / ".ci" / "run"] if path.exists()]


@pytest.mark.parametrize("command", [["shellcheck"], ["shfmt", "-d", "-i", "4", "-ci"]], ids=lambda words: words[0])
def test_shell_files_are_clean(command):
    program = Path(sys.executable).parent / command[0]
    assert len(shell_files()) >= 5
    done = subprocess.run([program, *command[1:], *shell_files()], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
