"""What each launcher tells verl, held against commands.json: a change of a command is a change that a reviewer sees.

`python -m tools.record_composed`, which `make recipes` runs, writes that file.
"""

import json

from tests.examples.launcher_file import LAUNCHERS
from tools.record_composed import COMMANDS, commands

RUNTIME_ENV = "ray_kwargs.ray_init.runtime_env.env_vars."


def test_every_command_is_the_recorded_one():
    recorded = json.loads(COMMANDS.read_text())
    assert recorded.keys() == {launcher.name for launcher in LAUNCHERS}
    for launcher in LAUNCHERS:
        assert commands(launcher.path) == recorded[launcher.name], f"{launcher.name}: run make recipes, read the diff"


def test_a_running_cluster_is_told_the_same_and_the_variables(launcher):
    alone, cluster = launcher.plan(), launcher.plan(RAY_ADDRESS="10.0.0.1:6379")
    told = {key: setting.value for key, setting in cluster.settings.items()}
    variables = {key.removeprefix(RUNTIME_ENV): told.pop(key) for key in list(told) if key.startswith(RUNTIME_ENV)}
    assert told == {key: setting.value for key, setting in alone.settings.items()}
    assert variables == {name: f"'{value}'" for name, value in alone.variables.items()}
