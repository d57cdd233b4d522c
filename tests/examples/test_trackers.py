"""LOGGER: trackers are verl's own, used when they are configured, offline unless they have a key, and tell no key."""

import pytest

TINY = "run_tiny_cpu_arithmetic"
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


def trackers(result) -> list[str]:
    return [name.strip() for name in result.settings()["trainer.logger"].strip("[]").split(",")]


def test_console_and_file_unless_something_is_configured(launcher, command):
    assert trackers(command(launcher)) == ["console", "file"]
    names = {name for name, _ in FOLDERS.values()} | {"WANDB_MODE", "SWANLAB_MODE"}
    assert not names & command(launcher).printed_exports().keys()


@pytest.mark.parametrize(
    ("tracker", "variables"), CASES, ids=lambda case: case if isinstance(case, str) else [*case][0]
)
def test_a_configured_tracker_is_used_as_it_is_configured(dry_sandbox, tracker, variables):
    result = dry_sandbox.print_command(TINY, **variables)
    assert trackers(result) == ["console", "file", tracker]
    exports = result.printed_exports()
    assert {name: exports.get(name, value) for name, value in variables.items()} == variables
    assert "secret-" not in result.stdout


@pytest.mark.parametrize("tracker", FOLDERS)
def test_a_tracker_named_without_more_writes_to_the_run_folder_and_reaches_for_no_server(dry_sandbox, tracker):
    result = dry_sandbox.print_command(TINY, LOGGER=f"console,{tracker}")
    assert trackers(result) == ["console", tracker]
    name, value = FOLDERS[tracker]
    exports = result.printed_exports()
    assert exports[name] == value.format(run=dry_sandbox.runs / TINY)
    for mode in ("WANDB_MODE", "SWANLAB_MODE"):
        assert exports.get(mode) == ("offline" if mode.startswith(tracker.upper()) else None)


@pytest.mark.parametrize("key", ["WANDB_API_KEY", "SWANLAB_API_KEY"])
def test_a_key_is_what_takes_a_tracker_online(dry_sandbox, key):
    result = dry_sandbox.print_command(TINY, **{key: "secret-1"})
    mode = key.replace("API_KEY", "MODE")
    assert mode not in result.printed_exports()
    offline = dry_sandbox.print_command(TINY, **{key: "secret-1", mode: "offline"})
    assert offline.printed_exports().get(mode, "offline") == "offline"


@pytest.mark.parametrize("logger", ["[console,wandb]", "console, wandb", "console,wandb"])
def test_a_list_may_be_written_as_verl_writes_it(dry_sandbox, logger):
    result = dry_sandbox.print_command(TINY, LOGGER=logger)
    assert trackers(result) == ["console", "wandb"]
    assert result.printed_exports()["WANDB_MODE"] == "offline"


def test_what_the_user_named_is_all_there_is(dry_sandbox):
    assert trackers(dry_sandbox.print_command(TINY, LOGGER="console", WANDB_API_KEY="secret-1")) == ["console"]


def test_an_address_with_a_password_is_not_printed(dry_sandbox):
    address = "https://me:secret-1@mlflow.example"
    for cluster in ({}, {"RAY_ADDRESS": "10.0.0.1:6379"}):
        result = dry_sandbox.print_command(TINY, MLFLOW_TRACKING_URI=address, **cluster)
        assert trackers(result) == ["console", "file", "mlflow"]
        assert "secret-1" not in result.stdout
