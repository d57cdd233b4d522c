"""Compose verl's Hydra configuration from a launcher's overrides, without importing verl, torch or ray."""

from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig

from grpo_launchpad.preflight.problem import Problem


class ComposeError(Exception):
    """The overrides do not fit verl's configuration; ``problem`` says which and why."""

    def __init__(self, problem: Problem):
        super().__init__(str(problem))
        self.problem = problem


def config_folder() -> Path:
    """Return the configuration tree of the installed verl.

    Raises:
        ComposeError: if verl is not installed.
    """
    spec = find_spec("verl")
    if spec is None:
        raise ComposeError(Problem("environment", "verl is not installed", "run `make install`, or set PYTHON"))
    return Path(spec.submodule_search_locations[0]) / "trainer" / "config"


def compose(overrides: list[str]) -> DictConfig:
    """Return the configuration that ``python -m verl.trainer.main_ppo <overrides>`` would see.

    Raises:
        ComposeError: for an unknown key, a ``+`` on a key that exists, a bad value or a missing config group.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    with initialize_config_dir(str(config_folder()), version_base=None):
        try:
            # hydra.* steers the Hydra application itself and is no part of verl's configuration
            own = [override for override in overrides if not override.startswith("hydra.")]
            return hydra_compose("ppo_trainer", overrides=own)
        except (HydraException, OmegaConfBaseException) as error:
            reason = " ".join(str(error).split())
            cause = f" ({' '.join(str(error.__cause__).split())})" if error.__cause__ else ""
            raise ComposeError(
                Problem(
                    "overrides",
                    f"verl 0.9.1 does not accept them: {reason}{cause}",
                    "correct the key or value named above; keys that verl does not have need a leading '+'",
                )
            ) from error
