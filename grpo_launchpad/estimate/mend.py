"""The smallest change that makes a launch fit: tried in order of what it costs, and proved by estimating again."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.estimate.verdict import DOES_NOT_FIT, FITS
from grpo_launchpad.launch.knobs import knob_of
from grpo_launchpad.preflight.layout import ACTOR, REF, ROLLOUT, Layout, layout_of

Change = dict[str, object]  # key of verl -> value
# Says of a configuration: the verdict, and the phase that decides; None if it is not legal.
Judge = Callable[[DictConfig], tuple[str, str] | None]

MODEL = "actor_rollout_ref.model"
MOST_CHANGES = 4
MOST_NODES = 64


def mended(config: DictConfig, judge: Judge) -> Change | None:
    """Return changes with which a launch fits, or is tight if nothing makes it fit; None if nothing helps.

    Settings are changed on the same devices first; if that does not help, on more of them, as few as possible.

    Args:
        config: of a launch that does not fit.
        judge: what is said of a configuration.
    """
    for start in ({}, *_more_devices(layout_of(config))):
        if (changes := _settled(config, start, judge)) is not None:
            return _without_unneeded(config, changes, judge)
    return None


def _settled(config: DictConfig, start: Change, judge: Judge) -> Change | None:
    """Return changes that begin with ``start`` and leave no phase too large.

    Of the phase that decides, the cheapest change with which it no longer does is taken, until none is too large.
    """
    changes = dict(start)
    said = judge(with_changes(config, changes))
    for _ in range(MOST_CHANGES):
        if said is None or said[0] != DOES_NOT_FIT:
            break
        found = _next(config, changes, said[1], judge)
        if found is None:
            return None
        changes, said = found
    return changes if said is not None and said[0] != DOES_NOT_FIT else None


def _without_unneeded(config: DictConfig, changes: Change, judge: Judge) -> Change:
    """Leave out what a later change made unnecessary."""
    word = judge(with_changes(config, changes))
    for key in list(changes):
        fewer = {name: value for name, value in changes.items() if name != key}
        without = judge(with_changes(config, fewer)) if fewer else None
        if word is not None and without is not None and without[0] in (FITS, word[0]):
            changes = fewer
    return changes


def _next(config: DictConfig, changes: Change, phase: str, judge: Judge) -> tuple[Change, tuple[str, str]] | None:
    """Return the changes with one more, and what is then said: one that fits, else that is tight, else that helps."""
    tight: tuple[Change, tuple[str, str]] | None = None
    helps: tuple[Change, tuple[str, str]] | None = None
    for candidate in candidates(with_changes(config, changes), phase):
        tried = {**changes, **candidate}
        said = judge(with_changes(config, tried))
        if said is None:
            continue
        if said[0] == FITS:
            return tried, said
        if said[0] != DOES_NOT_FIT:
            tight = tight or (tried, said)
        elif said[1] != phase:
            helps = helps or (tried, said)
    return tight or helps


def with_changes(config: DictConfig, changes: Change) -> DictConfig:
    """Return a configuration with other values."""
    changed = copy.deepcopy(config)
    for key, value in changes.items():
        OmegaConf.update(changed, key, value, force_add=True)
    return changed


def as_fix(changes: Change, engine: str) -> str:
    """Return changes as a person sets them: knobs where there are some, else arguments."""
    words: list[str] = []
    for key, value in changes.items():
        knob = knob_of(key, engine)
        text = f"{knob.name}={value}" if knob else f"++{key}={value}"
        if text not in words:
            words.append(text)
    knobs = [word for word in words if not word.startswith("+")]
    arguments = [word for word in words if word.startswith("+")]
    said = [*([f"set {', '.join(knobs)}"] if knobs else []), *([f"add {' '.join(arguments)}"] if arguments else [])]
    return " and ".join(said)


def candidates(config: DictConfig, phase: str) -> Iterator[Change]:
    """Yield single changes that lower a phase on the same devices, the cheapest first."""
    yield from _BY_PHASE.get(phase, _of_training)(config, layout_of(config))


def _of_engine(config: DictConfig, layout: Layout) -> Iterator[Change]:
    share = float(config.actor_rollout_ref.rollout.gpu_memory_utilization)
    lower = [round(value / 20, 2) for value in range(18, 3, -1) if value / 20 < share - 1e-9]
    for value in lower:
        if value >= 0.3:
            yield {f"{ROLLOUT}.gpu_memory_utilization": value}
    yield from _offload(config, layout)
    for offloaded in list(_offload(config, layout))[-1:]:
        for value in lower:
            yield {**offloaded, f"{ROLLOUT}.gpu_memory_utilization": value}


def _of_share(config: DictConfig, layout: Layout) -> Iterator[Change]:
    share = float(config.actor_rollout_ref.rollout.gpu_memory_utilization)
    higher = [round(value / 20, 2) for value in range(1, 19) if value / 20 > share + 1e-9]
    for value in higher:
        yield {f"{ROLLOUT}.gpu_memory_utilization": value}
    sizes = _doubled(layout.rollout_tp, layout.gpus_per_node)
    for size in sizes:
        yield {f"{ROLLOUT}.tensor_model_parallel_size": size}
    for size in sizes:
        for value in higher:
            yield {f"{ROLLOUT}.tensor_model_parallel_size": size, f"{ROLLOUT}.gpu_memory_utilization": value}


def _of_sync(config: DictConfig, layout: Layout) -> Iterator[Change]:
    yield from _offload(config, layout)
    for size in _doubled(layout.rollout_tp, layout.gpus_per_node):
        yield {f"{ROLLOUT}.tensor_model_parallel_size": size}
    yield from _of_training(config, layout)


def _of_log_probabilities(config: DictConfig, layout: Layout) -> Iterator[Change]:
    rollout = config.actor_rollout_ref.rollout
    if rollout.log_prob_use_dynamic_bsz:
        for budget in _budgets(rollout.log_prob_max_token_len_per_gpu, _length(config), _sharing(layout)):
            yield {f"{ROLLOUT}.log_prob_max_token_len_per_gpu": budget, f"{REF}.log_prob_max_token_len_per_gpu": budget}
    else:
        for size in _halves(rollout.log_prob_micro_batch_size_per_gpu or 1):
            yield {
                f"{ROLLOUT}.log_prob_micro_batch_size_per_gpu": size,
                f"{REF}.log_prob_micro_batch_size_per_gpu": size,
            }
    yield from _offload(config, layout)
    engine = f"{ACTOR}.megatron" if layout.engine == "megatron" else f"{ACTOR}.fsdp_config"
    yield {f"{engine}.entropy_from_logits_with_chunking": True}


def _of_training(config: DictConfig, layout: Layout) -> Iterator[Change]:
    actor, model = config.actor_rollout_ref.actor, config.actor_rollout_ref.model
    transformer = f"{ACTOR}.megatron.override_transformer_config"
    if layout.engine == "fsdp" and not model.enable_gradient_checkpointing:
        yield {f"{MODEL}.enable_gradient_checkpointing": True}
    if actor.use_dynamic_bsz:
        for budget in _budgets(actor.ppo_max_token_len_per_gpu, _length(config), _sharing(layout)):
            yield {f"{ACTOR}.ppo_max_token_len_per_gpu": budget}
    else:
        for size in _halves(actor.ppo_micro_batch_size_per_gpu or 1):
            yield {f"{ACTOR}.ppo_micro_batch_size_per_gpu": size}
    recompute = {
        f"{transformer}.recompute_granularity": "full",
        f"{transformer}.recompute_method": "uniform",
        f"{transformer}.recompute_num_layers": 1,
    }
    if layout.engine == "megatron":
        if (OmegaConf.select(config, f"{transformer}.recompute_granularity") or "none") != "full":
            yield recompute
        for size in _doubled(layout.tp, layout.gpus_per_node):
            yield {f"{ACTOR}.megatron.tensor_model_parallel_size": size}
        for size in _doubled(layout.pp, layout.world):
            yield {f"{ACTOR}.megatron.pipeline_model_parallel_size": size}
        for size in _doubled(layout.ep, layout.world):
            yield {f"{ACTOR}.megatron.expert_model_parallel_size": size}
        for size in _doubled(layout.cp, layout.world):
            yield {f"{ACTOR}.megatron.context_parallel_size": size}
        return
    if 0 < layout.fsdp_size < layout.world:
        yield {f"{ACTOR}.fsdp_config.fsdp_size": -1, f"{REF}.fsdp_config.fsdp_size": -1}
    for size in _doubled(layout.sp, layout.gpus_per_node):
        keys = [f"{part}.fsdp_config.ulysses_sequence_parallel_size" for part in (ACTOR, REF)]
        yield dict.fromkeys(keys, size)
    if actor.strategy == "fsdp2" and not actor.fsdp_config.offload_policy:
        yield {f"{ACTOR}.fsdp_config.offload_policy": True}


def _offload(config: DictConfig, layout: Layout) -> Iterator[Change]:
    """Yield offloads that are off: of the optimizer, which costs least, of weights, and of both."""
    prefix = f"{ACTOR}.megatron" if layout.engine == "megatron" else f"{ACTOR}.fsdp_config"
    off = [
        f"{prefix}.{name}"
        for name in ("optimizer_offload", "param_offload")
        if not OmegaConf.select(config, f"{prefix}.{name}")
    ]
    for key in off:
        yield {key: True}
    if len(off) == 2:
        yield dict.fromkeys(off, True)


def _more_devices(layout: Layout) -> Iterator[Change]:
    for size in _doubled(layout.gpus_per_node, 8):
        yield {"trainer.n_gpus_per_node": size}
    whole = max(8, layout.gpus_per_node)
    for count in _doubled(layout.nodes, MOST_NODES):
        change: Change = {"trainer.nnodes": count}
        if whole != layout.gpus_per_node:
            change["trainer.n_gpus_per_node"] = whole
        yield change


_BY_PHASE: dict[str, Callable[[DictConfig, Layout], Iterator[Change]]] = {
    "engine start": _of_engine,
    "rollout": _of_engine,
    "rollout engine's share": _of_share,
    "weight sync": _of_sync,
    "log-probabilities": _of_log_probabilities,
}


def _length(config: DictConfig) -> int:
    return config.data.max_prompt_length + config.data.max_response_length


def _sharing(layout: Layout) -> int:
    return layout.cp if layout.engine == "megatron" else layout.sp


def _budgets(now: int | None, length: int, sharing: int) -> Iterable[int]:
    """Return smaller budgets, the largest first; the smallest holds one sample."""
    least = math.ceil(length / sharing)
    shares = [(now or least) * part // 8 for part in (6, 5, 4, 3, 2, 1)]
    return [budget for budget in dict.fromkeys([*shares, least]) if least <= budget < (now or least)]


def _halves(size: int) -> Iterable[int]:
    while size > 1:
        size //= 2
        yield size


def _doubled(size: int, most: int) -> list[int]:
    sizes = []
    while size * 2 <= most:
        size *= 2
        sizes.append(size)
    return sizes
