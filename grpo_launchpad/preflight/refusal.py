"""Why Hydra refuses an override, and the key or value that was probably meant."""

from difflib import SequenceMatcher

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.doctor.versions import installed_verl
from grpo_launchpad.launch.knobs import read_knobs
from grpo_launchpad.preflight.added import OPEN_DICTIONARY
from grpo_launchpad.preflight.override import key_of
from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.preflight.source import fields_of

# Keys that older launchers set. Found by composing verl's own launchers of January and August 2026 with verl 0.9.1.
REMOVED_KEYS = {
    "actor_rollout_ref.actor.megatron.grad_offload": "leave it out: verl 0.9 removed it, and it never did anything",
    "actor_rollout_ref.ref.megatron.grad_offload": "leave it out: verl 0.9 removed it, and it never did anything",
    "critic.megatron.grad_offload": "leave it out: verl 0.9 removed it, and it never did anything",
    "reward_model.use_reward_loop": "leave it out: in verl 0.9 the reward loop is always used",
    "trainer.use_legacy_worker_impl": "leave it out: verl 0.9 has only the new workers",
    "actor_rollout_ref.actor.model_engine": "write model_engine=..., at the top",
    "actor_rollout_ref.actor.router_replay": "write actor_rollout_ref.actor.megatron.router_replay",
    "actor_rollout_ref.ref.router_replay": "write actor_rollout_ref.actor.megatron.router_replay",
}
SUGGESTIONS = 3


def explain(
    override: str | None,
    error: Exception,
    known: set[str],
    elsewhere: dict[str, set[str]],
    targets: dict[str, str],
) -> Problem:
    """Return what is wrong with an override, and its correction.

    Args:
        override: the one that Hydra refuses, or None if it does not say.
        error: Hydra's reason.
        known: the keys of verl's configuration with the engine of this launch.
        elsewhere: those with another engine, by its name.
        targets: the parts of the configuration of which verl makes dataclasses, with their classes.
    """
    from hydra.errors import MissingConfigException, OverrideParseException

    reason = " ".join(str(error).split("See https://hydra.cc")[0].split())
    if override is None:
        return Problem("overrides", f"{installed_verl()} does not accept them: {reason}", "correct what is named here")
    key = key_of(override)
    value = override.partition("=")[2]
    if isinstance(error, OverrideParseException):
        quoted = f"put a text with special characters into both kinds of quotes: \"{key}='...'\""
        fix = quoted if "=" in override else f"write {key}=VALUE"
        return Problem(key, f"{override} cannot be parsed: {reason}", fix)
    if isinstance(error, MissingConfigException):
        options = ", ".join(f"{key}={option}" for option in error.options or ())
        return Problem(key, f"{installed_verl()} has no {override}", f"choose one of {options}")
    if "already at" in reason:
        return Problem(
            key, f"{override} adds a key that {installed_verl()} has", f"write it without '+': {key}={value}"
        )
    if "Ambiguous value" in reason:
        fix = f'write a list as "{key}=[{value}]", a text as "{key}=\'{value}\'"'
        return Problem(key, f"{override} is neither a list nor a text", fix)
    if "Could not override" in reason or "does not exist" in reason:
        return Problem(key, f"{installed_verl()} has no such key", _instead(key, value, known, elsewhere, targets))
    return Problem(key, f"{installed_verl()} does not accept {override}: {reason}", "correct the key or the value")


def _instead(key: str, value: str, known: set[str], elsewhere: dict[str, set[str]], targets: dict[str, str]) -> str:
    if key in {knob.name for knob in read_knobs()}:
        return f"a knob stands before the command: {key}={value} bash ..."
    for removed, instead in REMOVED_KEYS.items():
        if key == removed or key.startswith(f"{removed}."):
            return instead
    for engine, keys in elsewhere.items():
        if key in keys:
            return f"use a launcher for {engine}, whose key it is, or leave it out"
    parent = key.rpartition(".")[0]
    if any(OPEN_DICTIONARY.fullmatch(part) for part in parent.split(".")) and _exists(parent, known):
        return f"if it is meant for what verl hands it to, add it with '++': ++{key}={value}"
    if key.rpartition(".")[2] in fields_of(targets.get(parent, "")):
        return f"verl's dataclass has it, its configuration tree does not: add it with '+': +{key}={value}"
    nearest = nearest_keys(key, known)
    if nearest:
        return f"did you mean {' or '.join(nearest)}?"
    return "correct the key; docs/en/launchers.md has those that knobs set"


def _exists(parent: str, known: set[str]) -> bool:
    """Say whether a dictionary exists, or the one that holds it, such as engine_kwargs for engine_kwargs.mine."""
    return any(candidate in known for candidate in (parent, parent.rpartition(".")[0]))


def nearest_keys(key: str, known: set[str]) -> list[str]:
    """Return the existing keys that are most like a wrong one, best first; none if none is alike.

    Likeness is that of the whole key and of its last part together: a wrong name in the right place, and the right
    name in a wrong place, are both common. A key whose beginning was left out is surely meant.
    """
    name = key.rpartition(".")[2]

    def likeness(candidate: str) -> float:
        whole = SequenceMatcher(None, key, candidate).ratio()
        without_beginning = candidate.endswith(f".{key}")
        return whole + SequenceMatcher(None, name, candidate.rpartition(".")[2]).ratio() + without_beginning

    scored = sorted(((likeness(candidate), candidate) for candidate in known), key=lambda pair: (-pair[0], pair[1]))
    best = scored[0][0] if scored else 0
    return [candidate for score, candidate in scored[:SUGGESTIONS] if score > max(1.3, best - 0.12)]


def targets_in(config: DictConfig) -> dict[str, str]:
    """Return the parts of a configuration that name a class, ``_target_``, with its whole name."""
    found: dict[str, str] = {}
    for key in keys_in(config):
        parent, _, name = key.rpartition(".")
        if name == "_target_":
            found[parent] = OmegaConf.select(config, key)
    return found


def keys_in(config: DictConfig) -> set[str]:
    """Return every key of a configuration, those of dictionaries as well."""
    keys: set[str] = set()

    def visit(node: dict, prefix: str) -> None:
        for name, value in node.items():
            keys.add(f"{prefix}{name}")
            if isinstance(value, dict):
                visit(value, f"{prefix}{name}.")

    visit(OmegaConf.to_container(config, resolve=False), "")
    return keys
