"""The estimate where a user meets it: a dry run's lines, CHECK's table, --json, DEVICE, and the refusal."""

import json
import os
import subprocess
import sys

import pytest

from grpo_launchpad.launch.plan import ROOT
from tests.grpo_launchpad.launch.test_verbs import STEERING

LAUNCHER = "qwen2-7b_fsdp_gsm8k"


@pytest.fixture
def check(tmp_path):
    """Run `grpo-launchpad check` without data, where nothing but its absence is wrong."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if name not in STEERING}
        environment |= {"PYTHONPATH": str(ROOT), "DATA_DIR": str(tmp_path / "data"), "RUN_DIR": str(tmp_path / "run")}
        return subprocess.run(
            [sys.executable, "-m", "grpo_launchpad", "check", *arguments],
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_check_says_what_a_launch_needs_in_lines_and_in_a_table(check):
    done = check(LAUNCHER, DEVICE="H200")
    assert "memory: fits: " in done.stderr
    assert "on H200 (DEVICE=H200)" in done.stderr
    assert "time: about " in done.stderr
    assert "log-probabilities" in done.stderr
    assert "memory of one machine" in done.stderr


def test_json_has_problems_memory_and_time(check):
    done = check(LAUNCHER, "--json", DEVICE="A100-80")
    said = json.loads(done.stdout)
    assert done.returncode == 2  # there is no data
    assert {problem["fix"].split()[0] for problem in said["problems"]} == {"python"}
    assert said["memory"]["verdict"] == "fits"
    assert said["time"]
    assert said["no_estimate"] is None


def test_what_does_not_fit_is_a_problem_with_the_place_where_it_was_set(check):
    done = check(LAUNCHER, "--json", DEVICE="A100-80", GPU_MEMORY_UTILIZATION="0.97")
    problems = {problem["where"]: problem for problem in json.loads(done.stdout)["problems"]}
    (where,) = (where for where in problems if "gpu_memory_utilization" in where)
    assert where.startswith("environment GPU_MEMORY_UTILIZATION")
    assert problems[where]["fix"].startswith("set GPU_MEMORY_UTILIZATION=0.")
    assert done.returncode == 2


def test_an_argument_is_mended_as_an_argument(check):
    key = "actor_rollout_ref.rollout.gpu_memory_utilization"
    done = check(LAUNCHER, "--json", f"{key}=0.97", DEVICE="A100-80")
    problems = [problem for problem in json.loads(done.stdout)["problems"] if key in problem["where"]]
    assert [problem["fix"].startswith(f"set the argument {key}=0.") for problem in problems] == [True]


def test_an_unknown_device_is_refused_in_one_line(check):
    done = check(LAUNCHER, DEVICE="V100")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "A100-80" in done.stderr


def test_an_unknown_model_has_a_reason_and_no_number(check):
    done = check(LAUNCHER, "--json", DEVICE="H100", MODEL_PATH="somebody/something")
    said = json.loads(done.stdout)
    assert said["memory"] is None
    assert "somebody/something" in said["no_estimate"]


def test_a_launch_on_a_cpu_needs_no_estimate(check):
    done = check("tiny_cpu_arithmetic", "--json")
    assert json.loads(done.stdout)["memory"] is None
