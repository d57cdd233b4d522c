"""Checks of the trackers: verl knows each, and its Python package is installed."""

import netrc
import os
from importlib.util import find_spec

from omegaconf import DictConfig, ListConfig

from grpo_launchpad.doctor.versions import installed_verl
from grpo_launchpad.preflight.problem import Problem

# verl's name of a tracker -> what it imports, and the package that has it. Source: verl 0.9.1 utils/tracking.py.
PACKAGES = {
    "console": None,
    "file": None,
    "wandb": ("wandb", "wandb"),
    "tracking": ("wandb", "wandb"),
    "mlflow": ("mlflow", "mlflow"),
    "swanlab": ("swanlab", "swanlab"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "trackio": ("trackio", "trackio"),
    "clearml": ("clearml", "clearml"),
    "rl_insight": ("rl_insight", "rl-insight"),
    "vemlp_wandb": ("volcengine_ml_platform", "volcengine-ml-platform"),
}


# tracker -> variable of its mode, values that take it online, variable of its key, host in ~/.netrc
ONLINE = {
    "wandb": ("WANDB_MODE", ("online", "run"), "WANDB_API_KEY", "api.wandb.ai"),
    "swanlab": ("SWANLAB_MODE", ("cloud", "online"), "SWANLAB_API_KEY", "api.swanlab.cn"),
}


def check_trackers(config: DictConfig) -> list[Problem]:
    """Check what trainer.logger names. verl would find out after the model is loaded, just before the first step."""
    named = config.trainer.logger
    names = list(named) if isinstance(named, ListConfig) else [named]
    problems = []
    for name in names:
        if name not in PACKAGES:
            what = f"{installed_verl()} has no tracker {name!r}"
            problems.append(Problem("trainer.logger", what, f"choose for LOGGER from {', '.join(PACKAGES)}"))
        elif PACKAGES[name] and find_spec(PACKAGES[name][0]) is None:
            what = f"the Python package of the tracker {name} is not installed"
            fix = f"pip install {PACKAGES[name][1]}, or leave {name} out of LOGGER"
            problems.append(Problem("trainer.logger", what, fix))
    return [*problems, *_without_a_key(names)]


def _without_a_key(names: list[str]) -> list[Problem]:
    """Return the trackers that are told to go online and have no key: they would ask for one, and nobody answers."""
    problems = []
    for name, (mode, online, key, host) in ONLINE.items():
        if name in names and os.environ.get(mode) in online and not os.environ.get(key) and not _in_netrc(host):
            fix = f"set {key}, or {mode}=offline"
            problems.append(Problem(mode, f"{name} is to go online and has no key", fix))
    return problems


def _in_netrc(host: str) -> bool:
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
