"""Keys that are added with "+" or "++" to verl's configuration, and that nothing there reads."""

import re
from difflib import get_close_matches

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.doctor.versions import installed_verl
from grpo_launchpad.preflight.override import key_of
from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.preflight.source import fields_of, is_asked_for

# verl hands the keys of these dictionaries on as they are: to transformers, Megatron, vLLM or Ray.
OPEN_DICTIONARY = re.compile(r"override_\w+|(?!val_)\w+_kwargs|ray_init|env_vars|runtime_env")


def check_added_keys(config: DictConfig, overrides: list[str], known: set[str]) -> list[Problem]:
    """Check that an added key is one that verl's dataclasses have, or that its code names.

    verl makes dataclasses of most parts of its configuration, which refuse an unknown field when the worker starts
    (TypeError); what is added to a plain dictionary is ignored unless some code asks for it.

    Args:
        config: the composed configuration.
        overrides: the Hydra overrides.
        known: the keys of verl's own configuration.
    """
    problems = []
    for override in overrides:
        key = key_of(override)
        parent, _, name = key.rpartition(".")
        if not override.startswith("+") or key in known or _is_open(parent):
            continue
        target, field = _dataclass_above(config, key)
        if target:
            fields = fields_of(target)
            if fields and field not in fields:
                what = f"verl's {target.rpartition('.')[2]} has no field {field!r} and stops when a worker makes it"
                problems.append(Problem(key, what, _instead(field, fields)))
        elif not is_asked_for("verl", parent.rpartition(".")[2], name):
            siblings = {each.rpartition(".")[2] for each in known if each.rpartition(".")[0] == parent}
            problems.append(Problem(key, f"no code of {installed_verl()} reads it", _instead(name, siblings)))
    return problems


def _is_open(parent: str) -> bool:
    return any(OPEN_DICTIONARY.fullmatch(part) for part in parent.split("."))


def _dataclass_above(config: DictConfig, key: str) -> tuple[str, str]:
    """Return the class that verl makes of the nearest part of its configuration above a key, and the field there."""
    parts = key.split(".")
    for end in range(len(parts) - 1, 0, -1):
        target = OmegaConf.select(config, ".".join([*parts[:end], "_target_"]))
        if isinstance(target, str) and target.startswith("verl."):
            return target, parts[end]
    return "", ""


def _instead(name: str, names: set[str] | frozenset[str]) -> str:
    near = get_close_matches(name, names, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else "leave it out"
