"""Compose verl's Hydra configuration from a launcher's overrides, without importing verl, torch or ray."""

from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig

from grpo_launchpad.preflight.override import backend_of, key_of
from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.preflight.refusal import explain, keys_in, targets_in

READ_AS_THEY_ARE = ("trainer", "data", "ray_kwargs", "transfer_queue")


class ComposeError(Exception):
    """The overrides do not fit verl's configuration; ``problems`` says which and why."""

    def __init__(self, problems: list[Problem]):
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def config_folder() -> Path:
    """Return the configuration tree of the installed verl.

    Raises:
        ComposeError: if verl is not installed.
    """
    spec = find_spec("verl")
    if spec is None:
        raise ComposeError([Problem("environment", "verl is not installed", "run `make install`, or set PYTHON")])
    return Path(spec.submodule_search_locations[0]) / "trainer" / "config"


def compose(overrides: list[str]) -> DictConfig:
    """Return the configuration that ``python -m verl.trainer.main_ppo <overrides>`` would see.

    Raises:
        ComposeError: for unknown keys, a ``+`` on a key that exists, bad values or a missing config group.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    # hydra.* steers the Hydra application itself and is no part of verl's configuration
    accepted = [override for override in overrides if not override.startswith("hydra.")]
    refused: list[tuple[str | None, Exception]] = []
    with initialize_config_dir(str(config_folder()), version_base=None):
        while True:
            try:
                config = hydra_compose("ppo_trainer", overrides=accepted)
                break
            except (HydraException, OmegaConfBaseException) as error:
                # Hydra stops at the first one; without it, it names the next
                culprit = _culprit(error, accepted)
                refused.append((culprit, error))
                if culprit is None:
                    break
                accepted.remove(culprit)
        if not refused:
            return config
        engine = [override for override in accepted if override.startswith("model_engine=")]
        other = ("FSDP", "dp") if backend_of(overrides) == "megatron" else ("Megatron", "megatron")
        default = hydra_compose("ppo_trainer", overrides=engine)
        known, targets = keys_in(default), targets_in(default)
        elsewhere = {other[0]: keys_in(hydra_compose("ppo_trainer", overrides=[f"model_engine={other[1]}"]))}
    raise ComposeError([explain(culprit, error, known, elsewhere, targets) for culprit, error in refused]) from refused[
        0
    ][1]


def without_deletions(overrides: list[str]) -> list[str]:
    """Return the overrides without those that delete a key ("~key")."""
    return [override for override in overrides if not override.startswith("~")]


def check_deletions(overrides: list[str]) -> list[Problem]:
    """Return a problem for each deleted key that verl reads straight from its configuration.

    Of what verl makes dataclasses of, a deleted key has the dataclass's default; the trainer's and the data's parts
    are read as they are, and the first to ask stops with a traceback.
    """
    problems = []
    for override in overrides:
        key = key_of(override)
        if override.startswith("~") and (key == "actor_rollout_ref" or key.split(".")[0] in READ_AS_THEY_ARE):
            fix = f"leave it out, or set it: {key}=null"
            problems.append(Problem(key, "verl reads this key, and it is deleted", fix))
    return problems


def _culprit(error: Exception, overrides: list[str]) -> str | None:
    """Return the override that an error of Hydra is about, or None if it cannot be told."""
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, OverrideParseException):
        return error.override if error.override in overrides else None
    if isinstance(error, MissingConfigException):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        return next((o for o in overrides if (key_of(o).split("@")[0], o.partition("=")[2]) == (group, option)), None)
    quoted = str(error).split("'")[1::2]  # Hydra quotes the key, or the override, first
    return next((o for o in overrides if quoted and quoted[0] in (key_of(o), o)), None)
