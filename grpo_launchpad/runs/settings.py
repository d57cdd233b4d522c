"""The few settings of a run that its readers need, out of launch/resolved.yaml."""

from dataclasses import dataclass, fields

import yaml

from grpo_launchpad.runs.folder import RunFolder

# Field of Settings -> verl's key
_KEYS = {
    "response_limit": "data.max_response_length",
    "batch": "data.train_batch_size",
    "group": "actor_rollout_ref.rollout.n",
    "total_steps": "trainer.total_training_steps",
    "test_freq": "trainer.test_freq",
    "save_freq": "trainer.save_freq",
}


@dataclass(frozen=True)
class Settings:
    """verl's settings; None where the file does not say, or says it in other words than a whole number.

    Attributes:
        response_limit: tokens an answer may have.
        batch: prompts a step.
        group: answers a prompt.
        total_steps: steps of the whole run.
        test_freq, save_freq: steps between validations and between checkpoints; -1 for never.
    """

    response_limit: int | None = None
    batch: int | None = None
    group: int | None = None
    total_steps: int | None = None
    test_freq: int | None = None
    save_freq: int | None = None


def read_settings(configuration: str | None) -> Settings:
    """Return the settings in a resolved.yaml; an empty or broken one has none."""
    try:
        tree = yaml.load(configuration or "", Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        tree = None
    found = {field.name: _value(tree, _KEYS[field.name]) for field in fields(Settings)}
    return Settings(**{name: value for name, value in found.items() if type(value) is int})


def settings_of(run: RunFolder) -> Settings:
    """Return the settings of a run; one that was not recorded has none."""
    try:
        return read_settings(run.configuration.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return Settings()


def _value(tree: object, key: str) -> object:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
