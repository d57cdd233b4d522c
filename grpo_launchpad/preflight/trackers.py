"""Checks of the trackers: verl knows each, and its Python package is installed."""

from importlib.util import find_spec

from omegaconf import DictConfig, ListConfig

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


def check_trackers(config: DictConfig) -> list[Problem]:
    """Check what trainer.logger names. verl would find out after the model is loaded, just before the first step."""
    named = config.trainer.logger
    names = list(named) if isinstance(named, ListConfig) else [named]
    problems = []
    for name in names:
        if name not in PACKAGES:
            what = f"verl 0.9.1 has no tracker {name!r}"
            problems.append(Problem("trainer.logger", what, f"choose for LOGGER from {', '.join(PACKAGES)}"))
        elif PACKAGES[name] and find_spec(PACKAGES[name][0]) is None:
            what = f"the Python package of the tracker {name} is not installed"
            fix = f"pip install {PACKAGES[name][1]}, or leave {name} out of LOGGER"
            problems.append(Problem("trainer.logger", what, fix))
    return problems
