"""LOGGER: trackers are verl's own, used when they are configured, offline unless they have a key, and tell no key."""

import pytest

from grpo_launchpad.launch.plan import Plan
from tests.examples.launcher_file import BY_NAME

TINY = BY_NAME["run_tiny_cpu_arithmetic"]
FOLDERS = {
    "tensorboard": ("TENSORBOARD_DIR", "{run}/tensorboard"),
    "swanlab": ("SWANLAB_LOG_DIR", "{run}/swanlab"),
    "mlflow": ("MLFLOW_TRACKING_URI", "sqlite:///{run}/mlflow.db"),
    "trackio": ("TRACKIO_DIR", "{run}/trackio"),
    "wandb": ("WANDB_DIR", "{run}"),
}
CONFIGURED = {
    "wandb": [{"WANDB_API_KEY": "secret-1"}, {"WANDB_MODE": "offline"}],
    "swanlab": [{"SWANLAB_API_KEY": "secret-1"}, {"SWANLAB_MODE": "offline"}, {"SWANLAB_MODE": "local"}],
    "tensorboard": [{"TENSORBOARD_DIR": "/mine"}],
    "mlflow": [{"MLFLOW_TRACKING_URI": "http://mlflow.example:5000"}],
    "trackio": [{"TRACKIO_DIR": "/mine"}, {"TRACKIO_SPACE_ID": "me/space"}],
}
CASES = [(tracker, variables) for tracker, several in CONFIGURED.items() for variables in several]


def trackers(plan: Plan) -> list[str]:
    return plan.value("trainer.logger").strip("[]").split(",")


def test_console_and_file_unless_something_is_configured(launcher):
    plan = launcher.plan()
    assert trackers(plan) == ["console", "file"]
    names = {name for name, _ in FOLDERS.values()} | {"WANDB_MODE", "SWANLAB_MODE"}
    assert not names & plan.variables.keys()


@pytest.mark.parametrize(
    ("tracker", "variables"), CASES, ids=lambda case: case if isinstance(case, str) else [*case][0]
)
def test_a_configured_tracker_is_used_as_it_is_configured(tracker, variables):
    plan = TINY.plan(**variables)
    assert trackers(plan) == ["console", "file", tracker]
    assert {name: plan.variables.get(name, value) for name, value in variables.items()} == variables
    assert "secret-" not in plan.command()


@pytest.mark.parametrize("tracker", FOLDERS)
def test_a_tracker_named_without_more_writes_to_the_run_folder_and_reaches_for_no_server(tracker):
    plan = TINY.plan(LOGGER=f"console,{tracker}")
    assert trackers(plan) == ["console", tracker]
    name, value = FOLDERS[tracker]
    assert plan.variables[name] == value.format(run=plan.run.path)
    for mode in ("WANDB_MODE", "SWANLAB_MODE"):
        assert plan.variables.get(mode) == ("offline" if mode.startswith(tracker.upper()) else None)


@pytest.mark.parametrize("key", ["WANDB_API_KEY", "SWANLAB_API_KEY"])
def test_a_key_is_what_takes_a_tracker_online(key):
    mode = key.replace("API_KEY", "MODE")
    assert mode not in TINY.plan(**{key: "secret-1"}).variables
    assert TINY.plan(**{key: "secret-1", mode: "offline"}).variables.get(mode, "offline") == "offline"


@pytest.mark.parametrize("logger", ["[console,wandb]", "console, wandb", "console,wandb", "['console','wandb']"])
def test_a_list_may_be_written_as_verl_writes_it(logger):
    plan = TINY.plan(LOGGER=logger)
    assert trackers(plan) == ["console", "wandb"]
    assert plan.variables["WANDB_MODE"] == "offline"


def test_what_the_user_named_is_all_there_is():
    assert trackers(TINY.plan(LOGGER="console", WANDB_API_KEY="secret-1")) == ["console"]


def test_an_address_with_a_password_is_given_to_the_trainer_and_not_printed():
    address = "https://me:secret-1@mlflow.example"
    for cluster in ({}, {"RAY_ADDRESS": "10.0.0.1:6379"}):
        plan = TINY.plan(MLFLOW_TRACKING_URI=address, **cluster)
        assert trackers(plan) == ["console", "file", "mlflow"]
        assert plan.variables["MLFLOW_TRACKING_URI"] == address
        assert "secret-1" not in plan.command()
