"""What a launcher adds for its device: the right environment, and nothing that the user set is replaced."""

import re
import subprocess

from hydra.core.override_parser.overrides_parser import OverridesParser

PY_EXECUTABLE = "ray_kwargs.ray_init.runtime_env.py_executable"
# Variables that a run cannot do without, whatever the user has them at.
FIXED = {
    "PYTHONPATH": "the user's folders come after the project's",
    "PYTHONUNBUFFERED": "the log is read while it is written",
    "VERL_PLATFORM": "chooses the CPU",
    "VERL_ENGINE_DEVICE": "chooses verl's engine for the CPU",
}
SIGNS = {"cpu": "VERL_PLATFORM", "npu": "HCCL_CONNECT_TIMEOUT"}


def test_environment_is_that_of_the_device(launcher, command):
    exports = command(launcher).printed_exports()
    for device, name in SIGNS.items():
        assert (name in exports) == (launcher.device == device)
    assert exports["PYTHONPATH"].endswith("/the project")


def test_a_smoke_run_has_the_environment_of_the_cpu(smoke_launcher, command):
    exports = command(smoke_launcher, SMOKE="1").printed_exports()
    assert SIGNS["cpu"] in exports
    assert SIGNS["npu"] not in exports


def test_variables_of_the_user_are_kept(launcher_of_branch, command):
    exports = command(launcher_of_branch).printed_exports()
    own = {name: "the user's own" for name in exports if name not in FIXED}
    kept = command(launcher_of_branch, **own, PYTHONPATH="/the user's").printed_exports()
    assert {name: kept[name] for name in own} == own
    assert kept["PYTHONPATH"] == f"{exports['PYTHONPATH']}:/the user's"


def test_arguments_win_over_what_the_device_adds(launcher_of_branch, command, dry_sandbox):
    arguments = command(launcher_of_branch).printed_arguments()
    overrides = [re.sub("=.*", "=mine", argument) for argument in arguments]
    settings = dry_sandbox.print_command(launcher_of_branch.name, *overrides).settings()
    assert set(settings.values()) == {"mine"}


def test_ray_can_start_a_python_whose_path_has_a_space(launcher_of_branch, dry_sandbox, command):
    """Ray joins it with its arguments for a shell: ``ray/_private/runtime_env/context.py``, exec_worker."""
    python = dry_sandbox.outside / "bin" / "a python"
    python.unlink(missing_ok=True)
    python.symlink_to(dry_sandbox.checkless_python)
    value = command(launcher_of_branch, PYTHON=str(python)).settings()[PY_EXECUTABLE]
    word = OverridesParser.create().parse_override(f"{PY_EXECUTABLE}={value}").value()
    assert subprocess.run(["bash", "-c", f"exec {word} -c 'import sys; '"], check=False).returncode == 0
    assert PY_EXECUTABLE not in command(launcher_of_branch).settings()


def test_a_running_cluster_is_given_the_environment(launcher_of_branch, command):
    alone = command(launcher_of_branch).settings()
    secrets = {"WANDB_API_KEY": "secret-1", "SWANLAB_API_KEY": "secret-2", "HF_TOKEN": "secret-3"}
    result = command(launcher_of_branch, RAY_ADDRESS="10.0.0.1:6379", **secrets)
    prefix = "ray_kwargs.ray_init.runtime_env.env_vars."
    given = {key.removeprefix(prefix): value for key, value in result.settings().items() if key.startswith(prefix)}
    assert given == {name: f"'{value}'" for name, value in result.printed_exports().items()}
    assert not any(key.startswith(prefix) for key in alone)
    assert "secret-" not in result.stdout
