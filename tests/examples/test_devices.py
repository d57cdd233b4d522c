"""What a launcher adds for its device: the right environment, and nothing that the user set is replaced."""

import re
import subprocess
import sys

from hydra.core.override_parser.overrides_parser import OverridesParser

from grpo_launchpad.launch.devices import DEVICES, variables_of

PY_EXECUTABLE = "ray_kwargs.ray_init.runtime_env.py_executable"
# Variables that a run cannot do without, whatever the user has them at.
FIXED = {
    "PYTHONPATH": "the user's folders come after the project's",
    "PYTHONUNBUFFERED": "the log is read while it is written",
    "VERL_PLATFORM": "chooses the CPU",
    "VERL_ENGINE_DEVICE": "chooses verl's engine for the CPU",
}
SIGNS = {"cpu": "VERL_PLATFORM", "npu": "HCCL_CONNECT_TIMEOUT"}


def test_environment_is_that_of_the_device(launcher):
    variables = launcher.plan().variables
    for device, name in SIGNS.items():
        assert (name in variables) == (launcher.device == device)
    assert variables["PYTHONPATH"] == "/the project"


def test_a_smoke_run_has_the_environment_of_the_cpu(smoke_launcher):
    variables = smoke_launcher.plan(SMOKE="1").variables
    assert SIGNS["cpu"] in variables
    assert SIGNS["npu"] not in variables


def test_variables_of_the_user_are_kept(launcher_of_branch):
    variables = launcher_of_branch.plan().variables
    fixed = FIXED.keys() | {each.name for each in variables_of(launcher_of_branch.device, "megatron") if each.fixed}
    own = {name: "the user's own" for name in variables if name not in fixed}
    kept = launcher_of_branch.plan(**own, PYTHONPATH="/the user's").variables
    assert {name: kept[name] for name in own} == own
    assert kept["PYTHONPATH"] == f"{variables['PYTHONPATH']}:/the user's"


def test_arguments_win_over_what_the_device_adds(launcher_of_branch):
    arguments = [re.sub("=.*", "=mine", override) for override in launcher_of_branch.plan().overrides]
    settings = launcher_of_branch.settings(*arguments)
    assert set(settings.values()) == {"mine"}


def test_ray_is_given_places_for_the_workers_that_there_are(launcher_of_branch):
    for workers in (1, 2, 7):
        plan = launcher_of_branch.plan(f"trainer.n_gpus_per_node={workers}")
        if launcher_of_branch.device == "cpu":
            assert plan.value("ray_kwargs.ray_init.num_gpus") == str(workers)
            assert plan.value("ray_kwargs.ray_init.num_cpus") == str(5 + 3 * workers)


def test_ray_can_start_a_python_whose_path_has_a_space(launcher_of_branch, tmp_path):
    """Ray joins it with its arguments for a shell: ``ray/_private/runtime_env/context.py``, exec_worker."""
    python = tmp_path / "it's a python"
    python.symlink_to(sys.executable)
    value = launcher_of_branch.plan(PYTHON=str(python)).settings[PY_EXECUTABLE].value
    word = OverridesParser.create().parse_override(f"{PY_EXECUTABLE}={value}").value()
    assert subprocess.run(["bash", "-c", f"exec {word} -c 'import sys; '"], check=False).returncode == 0
    assert PY_EXECUTABLE not in launcher_of_branch.plan().settings


def test_a_running_cluster_is_told_no_secret(launcher_of_branch):
    secrets = {"WANDB_API_KEY": "secret-1", "SWANLAB_API_KEY": "secret-2", "HF_TOKEN": "secret-3"}
    plan = launcher_of_branch.plan(RAY_ADDRESS="10.0.0.1:6379", **secrets)
    assert "secret-" not in plan.command()


def test_every_value_of_a_device_has_a_reason():
    for device in DEVICES.values():
        assert all(each.reason for each in (*device.variables, *device.keys))
