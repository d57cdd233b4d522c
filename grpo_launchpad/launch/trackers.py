"""Trackers beside the console and a file.

Each is verl's own; each is used only when LOGGER names it or its variables are set; none reaches for a server unless
its key is set. Keys stay in the environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from grpo_launchpad.launch.devices import Variable

ALWAYS = ("console", "file")


@dataclass(frozen=True)
class Tracker:
    """How a launch treats a tracker.

    Attributes:
        name: verl's.
        used_when: variables, each with the values that turn it on; none for any value.
        defaults: what it gets when it is used and the user did not say; "{run}" stands for the run folder.
        writes: where it writes if nothing but its name is set, for a reader.
        key: the variable without which it stays offline, or "".
        offline: the variable and the value that keep it so, or None.
    """

    name: str
    used_when: tuple[tuple[str, tuple[str, ...]], ...]
    defaults: tuple[tuple[str, str], ...]
    writes: str
    key: str = ""
    offline: tuple[str, str] | None = None


TRACKERS = (
    Tracker(
        "wandb",
        (("WANDB_API_KEY", ()), ("WANDB_MODE", ("offline",))),
        (("WANDB_DIR", "{run}"),),
        "offline, to the run folder",
        "WANDB_API_KEY",
        ("WANDB_MODE", "offline"),
    ),
    Tracker(
        "swanlab",
        (("SWANLAB_API_KEY", ()), ("SWANLAB_MODE", ("offline", "local"))),
        (("SWANLAB_LOG_DIR", "{run}/swanlab"),),
        "offline, to the run folder",
        "SWANLAB_API_KEY",
        ("SWANLAB_MODE", "offline"),
    ),
    Tracker(
        "tensorboard", (("TENSORBOARD_DIR", ()),), (("TENSORBOARD_DIR", "{run}/tensorboard"),), "to the run folder"
    ),
    Tracker(
        "mlflow",
        (("MLFLOW_TRACKING_URI", ()),),
        (("MLFLOW_TRACKING_URI", "sqlite:///{run}/mlflow.db"),),
        "to a database in the run folder",
    ),
    Tracker(
        "trackio",
        (("TRACKIO_SPACE_ID", ()), ("TRACKIO_DIR", ())),
        (("TRACKIO_DIR", "{run}/trackio"),),
        "to the run folder",
    ),
)


def trackers_of(environment: Mapping[str, str]) -> list[str]:
    """Return the trackers of a launch: those that LOGGER names, else the two that always are and those set up."""
    if logger := environment.get("LOGGER"):
        return [name.strip(" '\"") for name in logger.strip().removeprefix("[").removesuffix("]").split(",")]
    return [*ALWAYS, *(tracker.name for tracker in TRACKERS if _is_configured(tracker, environment))]


def _is_configured(tracker: Tracker, environment: Mapping[str, str]) -> bool:
    given = ((environment.get(variable), values) for variable, values in tracker.used_when)
    return any(value in values if values else bool(value) for value, values in given)


def variables_of(names: list[str], environment: Mapping[str, str], run: str) -> list[Variable]:
    """Return the variables of the named trackers.

    Args:
        names: of trackers.
        environment: the user's, which says whether a tracker has its key.
        run: the run folder.
    """
    variables = []
    for tracker in TRACKERS:
        if tracker.name not in names:
            continue
        if tracker.offline and not environment.get(tracker.key):
            variables.append(Variable(*tracker.offline, f"{tracker.name}: no {tracker.key} is set"))
        for name, value in tracker.defaults:
            variables.append(Variable(name, value.format(run=run), f"{tracker.name}: {tracker.writes}"))
    return variables
