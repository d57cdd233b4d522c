"""Whole launches, up to a trainer that is only recorded: what is started, written, refused, resumed and told."""

import json
import os
import signal
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from grpo_launchpad.preflight.compose import compose
from tests.examples.launcher_file import BY_NAME, REPRESENTATIVES
from tests.examples.sandbox import REPORT, SERVER, TRAINER, Result, Sandbox

TINY = "run_tiny_cpu_arithmetic"
MEGATRON = "run_qwen2-7b_megatron_gsm8k"
SLEEPING_TRAINER = """#!/bin/sh
case "$*" in
"-P -m verl.trainer.main_ppo "*) echo $$ >"${{HARNESS_RECORDS}}/sleeping"; exec sleep 60 ;;
esac
exec {python} "$@"
"""
SECRETS = {
    "WANDB_API_KEY": "secret-1",
    "HF_TOKEN": "secret-2",
    "https_proxy": "http://me:secret-3@proxy.example:3128",
}


@pytest.fixture(scope="module")
def wet(tmp_path_factory, data) -> Sandbox:
    return Sandbox(tmp_path_factory.mktemp("wet"), data)


@pytest.fixture(scope="module")
def dry(tmp_path_factory, data) -> Sandbox:
    return Sandbox(tmp_path_factory.mktemp("dry"), data)


@pytest.fixture(scope="module")
def launches(request, wet, dry):
    """Each representative once for real and once dry, two at a time; several tests look at the same run."""
    wanted = {item.callspec.params.get("representative") for item in request.session.items if hasattr(item, "callspec")}
    names = [name for name in REPRESENTATIVES if name in wanted]
    untouched = dry.files()
    with ThreadPoolExecutor(2) as two_cores:
        started: dict[tuple[str, str], Future[Result]] = {}
        for name in names:
            started["wet", name] = two_cores.submit(wet.launch, name, **SECRETS)
            started["dry", name] = two_cores.submit(dry.launch, name, DRY_RUN="1", **SECRETS)
        done = {key: future.result() for key, future in started.items()}
    assert dry.files() == untouched, "a dry run left something behind"
    return lambda kind, name: done[kind, name]


def test_starts_the_trainer_exactly_once(representative, launches):
    result = launches("wet", representative)
    assert result.returncode == 0, result.stderr
    assert len(result.calls_of(TRAINER)) == 1
    assert len(result.calls_of(REPORT)) == 1


def test_gives_the_trainer_what_the_user_sees(representative, launches, wet):
    config = compose(launches("wet", representative).trainer_call()["arguments"])
    assert config.actor_rollout_ref.model.path == str(wet.model)
    assert Path(config.data.train_files).exists()
    assert config.trainer.default_local_dir == str(wet.runs / representative / "checkpoints")


def test_records_the_run(representative, launches, wet):
    result = launches("wet", representative)
    launch = wet.runs / representative / "launch"
    begun, *_, ended = [json.loads(line) for line in (launch / "attempts.jsonl").read_text().splitlines()]
    assert begun["attempt"] == ended["attempt"] == 1
    assert ended["exit_code"] == 0
    run = json.loads((launch / "run.json").read_text())
    assert [run["model"], run["backend"], run["task"]] == representative.split("_")[1:]
    environment = result.trainer_call()["environment"]
    assert environment["VERL_FILE_LOGGER_PATH"] == str(wet.runs / representative / "metrics.1.jsonl")


def test_keeps_secrets_out_of_sight_and_uses_them(representative, launches, wet):
    result = launches("wet", representative)
    call = result.trainer_call()
    assert {name: call["environment"][name] for name in SECRETS} == SECRETS
    assert list(compose(call["arguments"]).trainer.logger) == ["console", "file", "wandb"]
    assert "secret-" not in "".join(call["arguments"]) + result.stdout + result.stderr
    files = [path for path in (wet.runs / representative).rglob("*") if path.is_file()]
    assert {"env.txt", "command.sh", "resolved.yaml"} <= {path.name for path in files}
    assert not [path for path in files if "secret-" in path.read_text()]


def test_warm_workers_serve_only_the_cpu_and_leave_nothing_behind(representative, launches):
    servers = launches("wet", representative).calls_of(SERVER)
    assert len(servers) == (BY_NAME[representative].device == "cpu")
    for server in servers:
        assert not Path(server["arguments"][0]).exists()


def test_dry_run_checks_prints_the_command_and_does_nothing(representative, launches, wet, dry):
    result = launches("dry", representative)
    assert result.returncode == 0, result.stderr
    assert "preflight: ok" in result.stderr
    assert result.calls == []
    assert "secret-" not in result.stdout + result.stderr

    printed = [argument.replace(str(dry.folder), str(wet.folder)) for argument in result.printed_arguments()]
    trainer = launches("wet", representative).trainer_call()
    started = [argument for argument in trainer["arguments"] if "py_executable" not in argument]
    assert started == printed
    exports = {
        name: value.replace(str(dry.folder), str(wet.folder)) for name, value in result.printed_exports().items()
    }
    assert {name: trainer["environment"][name] for name in exports} == exports
    recorded = (wet.runs / representative / "launch" / "command.sh").read_text()
    assert "py_executable" not in recorded


def test_a_running_cluster_is_told_where_the_metrics_go(sandbox):
    result = sandbox.launch(MEGATRON, RAY_ADDRESS="127.0.0.1:6379", PREFLIGHT="0")
    arguments = result.trainer_call()["arguments"]
    path = f"'{sandbox.runs / MEGATRON / 'metrics.1.jsonl'}'"
    assert f"++ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH={path}" in arguments


def test_a_run_that_is_just_ending_is_waited_for(sandbox):
    launch = sandbox.runs / MEGATRON / "launch"
    launch.mkdir(parents=True)
    ending = subprocess.Popen(["flock", str(launch / "lock"), "sleep", "2"])
    while subprocess.run(["flock", "--nonblock", str(launch / "lock"), "true"], check=False).returncode == 0:
        time.sleep(0.01)
    result = sandbox.launch(MEGATRON, PREFLIGHT="0")
    ending.wait()
    assert result.returncode == 0, result.stderr
    assert len(result.calls_of(TRAINER)) == 1


def test_failing_trainer_fails_the_launcher_and_is_recorded(sandbox):
    result = sandbox.launch(MEGATRON, HARNESS_TRAINER_EXIT="3", PREFLIGHT="0")
    assert result.returncode == 1
    assert "exit code 3" in result.stderr
    assert str(sandbox.runs / MEGATRON / "log.1.txt") in result.stderr
    last = (sandbox.runs / MEGATRON / "launch" / "attempts.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["exit_code"] == 3
    assert len(result.calls_of(REPORT)) == 1


def test_a_finished_run_is_reported_and_not_trained_again(sandbox):
    checkpoints = sandbox.runs / TINY / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("20")
    result = sandbox.launch(TINY, TRAIN_STEPS="20", PREFLIGHT="0")
    assert result.returncode == 0, result.stderr
    assert "NEW_RUN=1" in result.stderr
    assert result.calls_of(TRAINER) == []
    assert [call["arguments"] for call in result.calls_of(REPORT)] == [[str(sandbox.runs / TINY)]]


@pytest.mark.parametrize("torn", ['{"attempt": 1, "started_at": 1.0, "pid": 2}\n{"attempt": 1, "ende', "\0\0\0", ""])
def test_a_torn_record_of_an_earlier_attempt_does_not_stop_the_next_one(sandbox, torn):
    launch = sandbox.runs / MEGATRON / "launch"
    launch.mkdir(parents=True)
    (launch / "attempts.jsonl").write_text(torn)
    result = sandbox.launch(MEGATRON, PREFLIGHT="0")
    assert result.returncode == 0, result.stderr
    lines = (launch / "attempts.jsonl").read_text().splitlines()
    assert [json.loads(line)["attempt"] for line in lines[-2:]] == [2 if "pid" in torn else 1] * 2


def test_a_model_path_with_an_apostrophe_and_a_space_reaches_verl(sandbox):
    model = sandbox.model.rename(sandbox.folder / "it's a model")
    result = sandbox.launch(MEGATRON, MODEL_PATH=str(model), PREFLIGHT="0")
    assert result.returncode == 0, result.stderr
    assert compose(result.trainer_call()["arguments"]).actor_rollout_ref.model.path == str(model)


def test_a_hub_that_prints_does_not_disturb_the_launch(sandbox):
    """Hub clients print to standard output; nothing of a launch is read from there."""
    site = sandbox.folder / "noisy"
    site.mkdir()
    (site / "sitecustomize.py").write_text("print('Downloading: 100%')\n")
    result = sandbox.launch(MEGATRON, PYTHONPATH=str(site), PREFLIGHT="0")
    assert result.returncode == 0, result.stderr
    assert compose(result.trainer_call()["arguments"]).actor_rollout_ref.model.path == str(sandbox.model)


@pytest.mark.parametrize("nodes", [{"NNODES": "2"}, {"RAY_ADDRESS": "10.0.0.1:6379"}])
def test_a_hubs_name_is_left_to_the_workers_of_other_machines(sandbox, nodes):
    result = sandbox.launch(MEGATRON, MODEL_PATH="Qwen/Qwen2-7B-Instruct", PREFLIGHT="0", **nodes)
    assert result.returncode == 0, result.stderr
    path = compose(result.trainer_call()["arguments"]).actor_rollout_ref.model.path
    assert path == "Qwen/Qwen2-7B-Instruct"


@pytest.mark.parametrize(
    ("number", "to_all"), [(signal.SIGTERM, False), (signal.SIGINT, True)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_launcher_that_is_told_to_end_ends_its_trainer_and_records_it(sandbox, number, to_all):
    records = sandbox.outside / "records" / "terminated"
    records.mkdir(parents=True)
    sleeper = sandbox.program("sleeper", SLEEPING_TRAINER.format(python=sandbox.environment["PYTHON"]))
    environment = sandbox.environment | {"HARNESS_RECORDS": str(records), "PYTHON": str(sleeper), "PREFLIGHT": "0"}
    script = sandbox.project / "examples" / "grpo_trainer" / f"{MEGATRON}.sh"
    launcher = subprocess.Popen(
        ["bash", str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while not (records / "sleeping").exists():
        assert launcher.poll() is None, launcher.stdout.read()
        time.sleep(0.05)
    if to_all:  # as a terminal does
        os.killpg(launcher.pid, number)
    else:
        launcher.send_signal(number)
    output, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 1, output
    last = (sandbox.runs / MEGATRON / "launch" / "attempts.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["exit_code"] == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(int((records / "sleeping").read_text()), 0)
