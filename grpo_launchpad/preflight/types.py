"""Values of a kind that verl cannot use: a word for a number, a number for a dictionary, an unknown variable."""

from functools import cache

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from grpo_launchpad.preflight.compose import config_folder
from grpo_launchpad.preflight.override import backend_of, key_of
from grpo_launchpad.preflight.problem import Problem

# Their default is a number or a flag, and verl takes other things as well.
OF_SEVERAL_TYPES = {"algorithm.rollout_correction.rollout_is_threshold"}
NEEDED = ("actor_rollout_ref.model.path", "data.train_files", "data.val_files")


def check_types(config: DictConfig, overrides: list[str]) -> list[Problem]:
    """Check that each override has a value of the type of verl's default, as far as that tells the type.

    Hydra does not: verl 0.9.1's tree is untyped, so that any value composes.
    """
    defaults = defaults_of(backend_of(overrides))
    problems = []
    for key in dict.fromkeys(map(key_of, overrides)):
        try:
            value = OmegaConf.select(config, key, throw_on_missing=False)
        except OmegaConfBaseException as error:
            what = f"its value cannot be resolved: {' '.join(str(error).split('full_key')[0].split())}"
            problems.append(Problem(key, what, "correct the name between ${ and }"))
            continue
        if key in NEEDED and (value is None or value == ""):
            problems.append(Problem(key, "it has no value", "give it one"))
        wanted = _wanted(defaults.get(key))
        if value is None or wanted is None or key in OF_SEVERAL_TYPES or isinstance(value, wanted[0]):
            continue
        if not (wanted[0] is bool and value in (0, 1)):
            problems.append(Problem(key, f"{value!r} is not {wanted[1]}", f"give it {wanted[1]}"))
    return problems


def _wanted(default: object) -> tuple[type | tuple[type, ...], str] | None:
    """Return the type of a default and its name, or None if it does not tell."""
    if isinstance(default, bool):
        return bool, "True or False"
    if isinstance(default, int | float):
        return (int, float), "a number"
    if isinstance(default, dict):
        return DictConfig, "a dictionary"
    return None


@cache
def defaults_of(backend: str) -> dict[str, object]:
    """Return the values of verl's own configuration, which it ships composed, by their whole keys."""
    import yaml

    engine = "megatron_" if backend == "megatron" else ""
    text = (config_folder() / f"_generated_ppo_{engine}trainer.yaml").read_text(encoding="utf-8")
    flat: dict[str, object] = {}

    def visit(node: dict, prefix: str) -> None:
        for name, value in node.items():
            flat[f"{prefix}{name}"] = _number(value)
            if isinstance(value, dict):
                visit(value, f"{prefix}{name}.")

    visit(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), "")
    return flat


def _number(value: object) -> object:
    """Return a number that YAML 1.1 takes for a text, such as 1e-6, as the number it is."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
