"""Memory of one device in every phase of a step, of a machine, and of the disk; and whether it suffices.

Phases follow verl 0.9.1: ``workers/engine_workers.py:update_weights`` (the engine's weights wake, then its cache),
``workers/engine/base.py:BaseEngineCtx`` (offloaded states come back for a whole update).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from grpo_launchpad.estimate import fsdp, megatron, vllm
from grpo_launchpad.estimate.activations import HALF, layer_bytes
from grpo_launchpad.estimate.architecture import counted
from grpo_launchpad.estimate.devices import Device
from grpo_launchpad.estimate.fsdp import Fsdp
from grpo_launchpad.estimate.megatron import Megatron
from grpo_launchpad.estimate.parts import GIB, Part, Phase, parts_of, total
from grpo_launchpad.estimate.verdict import (
    COLLECTIVES,
    CONTEXT,
    RESERVED_PER_ALLOCATED,
    Verdict,
    verdict_of,
)
from grpo_launchpad.estimate.verl import Launch

# Of a worker's process on the host: Python, PyTorch with CUDA, Transformers; and of Ray and the driver on each machine.
HOST_PROCESS = 4 * GIB
HOST_BASE = 8 * GIB
# Of a token of a batch, in tensors of 8 bytes: ids, masks, positions, rewards, log-probabilities, advantages.
BATCH_BYTES_PER_TOKEN = 100


@dataclass(frozen=True)
class Memory:
    """The memory of a launch.

    Attributes:
        phases: of a device, in the order of a step; the engine's share is counted in those in which it is awake.
        lowest: bytes of each phase if samples are as short as is likely, and have no images.
        cache_tokens: tokens of keys and values that one rollout engine can hold; None without a device.
        concurrent: sequences of full length that fit in it.
        host: of one machine, part by part.
        shared: bytes of /dev/shm on one machine.
        disk: bytes of all checkpoints.
        band: relative error of the trainer's memory, of nine in ten measurements of its class.
        verdict: None where no device is known.
        worst: the phase that decides.
        not_modelled: in words.
    """

    phases: tuple[Phase, ...]
    lowest: tuple[float, ...]
    cache_tokens: float | None
    concurrent: float | None
    host: tuple[Part, ...]
    shared: float
    disk: float
    band: float
    verdict: Verdict | None
    worst: Phase
    not_modelled: tuple[str, ...]


def memory_of(launch: Launch, device: Device | None) -> Memory:
    """Estimate the memory of a launch.

    Args:
        launch: what of it decides.
        device: the accelerator; None if it is not known, and then there is no verdict.
    """
    highest = _phases(launch, device)
    short = replace(
        launch.with_tokens(launch.tokens.least),
        images=0.0,
        log_prob_tokens=replace(launch.log_prob_tokens, most=launch.log_prob_tokens.least),
    )
    lowest = tuple(phase.total for phase in _phases(short, device))
    engine, cache_tokens, concurrent = launch.engine, None, None
    if device is not None:
        room = max(0.0, vllm.cache(engine, device.memory))
        states = vllm.state_bytes_per_sequence(engine)
        each = vllm.cache_bytes_per_token(engine)
        cache_tokens = room / each if each else None
        concurrent = room / (each * launch.max_length + states)
    worst = max(highest, key=lambda phase: phase.total)
    verdict = None
    if device is not None and not launch.shape.assumed:
        verdict = _verdict(launch, device, highest, lowest)
        worst = verdict[1]
    return Memory(
        phases=highest,
        lowest=lowest,
        cache_tokens=cache_tokens,
        concurrent=concurrent,
        host=_host(launch),
        shared=_shared(launch),
        disk=_disk(launch),
        band=trainer_band(launch),
        verdict=verdict[0] if verdict else None,
        worst=worst,
        not_modelled=launch.shape.assumed + launch.not_modelled,
    )


def _verdict(
    launch: Launch, device: Device, highest: tuple[Phase, ...], lowest: tuple[float, ...]
) -> tuple[Verdict, Phase]:
    """Return the worst verdict of all phases, with its phase; an engine without a cache does not fit."""
    order = {"fits": 0, "tight": 1, "does not fit": 2}
    said = []
    for phase, low in zip(highest, lowest, strict=True):
        said.append((verdict_of(low, phase.total, device.memory, band_of(phase, trainer_band(launch))), phase))
    needed = vllm.cache_bytes_per_token(launch.engine) * launch.max_length
    if launch.layout.shares_gpus and vllm.cache(launch.engine, device.memory) < needed:
        taken = vllm.pool(launch.engine, device.memory)
        held = tuple(part for part in taken if part.name != "KV cache") + parts_of(
            ("one sequence in the cache", needed)
        )
        phase = Phase("rollout engine's share", held)
        short = Verdict("does not fit", phase.total, launch.engine.share * device.memory)
        return short, phase
    return max(said, key=lambda pair: (order[pair[0].word], -pair[0].margin))


# Nine of ten measured peaks are this near to their estimates; docs/en/estimate.md has the table by class.
BAND, BAND_OF_EXPERTS_UNDER_FSDP, BAND_OF_IMAGES, BAND_OF_MEGATRON_ADAPTERS = 0.10, 0.13, 0.16, 0.21
BAND_OF_A_SHARE = 0.03


def trainer_band(launch: Launch) -> float:
    """Return the relative error of a trainer's memory by its class."""
    is_fsdp = isinstance(launch.trainer, Fsdp)
    bands = [BAND]
    if is_fsdp and launch.shape.is_moe:
        bands.append(BAND_OF_EXPERTS_UNDER_FSDP)
    if launch.shape.vision:
        bands.append(BAND_OF_IMAGES)
    if not is_fsdp and launch.trainer.lora_rank:
        bands.append(BAND_OF_MEGATRON_ADAPTERS)
    return max(bands)


def band_of(phase: Phase, trainer: float = BAND) -> float:
    """Return the relative error of a phase: that of a trainer, less where most of it is the engine's share, as set."""
    shared = sum(part.size for part in phase.parts if part.name == ENGINE_SHARE)
    rest = 1 - shared / phase.total if phase.total else 1.0
    return BAND_OF_A_SHARE + (trainer - BAND_OF_A_SHARE) * rest


ENGINE_SHARE = "the rollout engine's share"


def _phases(launch: Launch, device: Device | None) -> tuple[Phase, ...]:
    trainer, beside = launch.trainer, _beside(launch)
    asleep = _engine_asleep(launch, device)
    weights_awake = parts_of(("weights of the engine", vllm.weights(launch.engine)))
    share = (
        parts_of((ENGINE_SHARE, launch.engine.share * device.memory)) if device is not None else _engine_needs(launch)
    )
    resident = _resident(launch, with_moments=True)
    new = _resident(launch, with_moments=False)
    reference = _reference(launch)
    loading = _states(trainer, with_moments=False, with_gradients=isinstance(trainer, Megatron))
    phases = [Phase("load", _merge(loading + _largest(launch) + reference + beside))]
    if launch.layout.shares_gpus:
        phases.append(Phase("engine start", _merge(new + share + reference + beside)))
        synced = _weights(trainer) + (() if launch.optimizer_offload else _moments(trainer))
        sending = parts_of(("buffer of weights on their way", launch.bucket)) + _largest(launch)
        phases.append(Phase("weight sync", _merge(synced + sending + weights_awake + asleep[:1] + reference + beside)))
        phases.append(Phase("rollout", _merge(resident + share + reference + beside)))
    waiting = asleep if launch.layout.shares_gpus else ()
    phases.append(Phase("log-probabilities", _merge(_log_probabilities(launch) + waiting + reference + beside)))
    phases.append(Phase("update", _merge(_update(launch) + waiting + reference + beside)))
    phases.append(Phase("optimizer step", _merge(_step(trainer) + waiting + reference + beside)))
    phases.append(Phase("save", _merge(_saving(launch) + waiting + reference + beside)))
    return tuple(phases)


def _merge(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Add up parts of the same name, the order kept."""
    sums: dict[str, float] = {}
    for part in parts:
        sums[part.name] = sums.get(part.name, 0) + part.size
    return parts_of(*sums.items())


def _beside(launch: Launch) -> tuple[Part, ...]:
    """What the trainer's process holds beside PyTorch's tensors."""
    together = COLLECTIVES if launch.layout.world > 1 else 0
    return parts_of(("CUDA context and NCCL" if not launch.npu else "CANN and HCCL", CONTEXT + together))


def _engine_asleep(launch: Launch, device: Device | None) -> tuple[Part, ...]:
    """What a rollout engine holds while the trainer works."""
    if launch.engine_sleeps:
        return parts_of(("the engine asleep", vllm.ASLEEP))
    if device is not None:
        return parts_of((ENGINE_SHARE, launch.engine.share * device.memory))
    return _engine_needs(launch)


def _engine_needs(launch: Launch) -> tuple[Part, ...]:
    """What an engine needs of a device that is not known: all but a cache, and that for one sequence."""
    engine = launch.engine
    return parts_of(
        ("weights of the engine", vllm.weights(engine)),
        ("adapters of the engine", vllm.adapters(engine)),
        ("activations of the engine", vllm.profile_peak(engine)),
        ("one sequence in the cache", vllm.cache_bytes_per_token(engine) * launch.max_length),
    )


def _states(trainer: Fsdp | Megatron, *, with_moments: bool, with_gradients: bool = True) -> tuple[Part, ...]:
    if isinstance(trainer, Fsdp):
        return fsdp.states(trainer, with_moments=with_moments, with_gradients=with_gradients)
    stage = megatron.worst_stage(trainer)
    return megatron.states(trainer, stage, with_moments=with_moments)


def _named(parts: tuple[Part, ...], *names: str) -> tuple[Part, ...]:
    return tuple(part for part in parts if part.name in names)


def _weights(trainer: Fsdp | Megatron) -> tuple[Part, ...]:
    return _named(_states(trainer, with_moments=True), "weights")


def _moments(trainer: Fsdp | Megatron) -> tuple[Part, ...]:
    return _named(_states(trainer, with_moments=True), "Adam's moments", "optimizer's copy of the weights")


def _resident(launch: Launch, *, with_moments: bool) -> tuple[Part, ...]:
    """What the trainer leaves on a device between phases: FSDP drops gradients, Megatron keeps their buffer."""
    trainer = launch.trainer
    held = _states(trainer, with_moments=with_moments, with_gradients=isinstance(trainer, Megatron))
    if launch.param_offload:
        held = tuple(part for part in held if part.name not in ("weights", "gradients"))
    if launch.optimizer_offload:
        held = tuple(part for part in held if part.name not in ("Adam's moments", "optimizer's copy of the weights"))
    return held


def _reference(launch: Launch) -> tuple[Part, ...]:
    """The reference model where it stays on its devices."""
    if not launch.reference or launch.reference_on_host:
        return ()
    trainer = launch.trainer
    if isinstance(trainer, Fsdp):
        return ()
    stage = megatron.worst_stage(trainer)
    return parts_of(("reference model", HALF * megatron.weights_of(trainer, stage).all))


def _largest(launch: Launch) -> tuple[Part, ...]:
    """The largest tensor, whole: as it is stored while it is gathered for loading, sync and saving."""
    shape, trainer = launch.shape, launch.trainer
    expert_layers = max((layer.experts for layer in shape.layers), default=0)
    # transformers 5 stores the experts of a layer as one tensor
    largest = max(shape.embedding, expert_layers * 2 // 3)
    each = trainer.weights if isinstance(trainer, Fsdp) else HALF
    return parts_of(("the largest tensor, whole", each * largest))


def _allocated(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Add what PyTorch's allocator holds beyond what is in use."""
    return parts + parts_of(("fragments of PyTorch's allocator", (RESERVED_PER_ALLOCATED - 1) * total(parts)))


def _update(launch: Launch) -> tuple[Part, ...]:
    trainer = launch.trainer
    if isinstance(trainer, Fsdp):
        extra = _entropy(launch, trainer.tokens, launch.entropy_bytes, trainer.head.chunk)
        parts = fsdp.update(trainer)
        # The entropy's part is alive at the head; it counts where that is the highest moment.
        extra = extra if _named(parts, "logits") else ()
        return _allocated(parts + extra + _vision(launch, trainer.tokens))
    stage = megatron.worst_stage(trainer)
    parts = megatron.update(trainer, stage)
    extra = _entropy(launch, trainer.tokens, launch.entropy_bytes, trainer.head.chunk)
    extra = extra if _named(parts, "logits") else ()
    vision = _vision(launch, trainer.tokens) if stage == 0 else ()
    return _allocated(parts + extra + vision)


def _entropy(launch: Launch, tokens: int, each: float, chunk: int) -> tuple[Part, ...]:
    tensor = launch.trainer.tp if isinstance(launch.trainer, Megatron) else launch.trainer.tensor
    whole = min(tokens, chunk) if chunk else tokens
    return parts_of(("entropy of logits", each * whole * launch.shape.vocab / tensor))


def _vision(launch: Launch, tokens: int) -> tuple[Part, ...]:
    """Activations of the vision tower: inputs of its layers, recomputed one at a time as those of the model are."""
    tower = launch.shape.vision
    if tower is None:
        return ()
    patches = launch.images * tokens * tower.patches_per_token
    live = (28 * tower.hidden + 8 * tower.mlp_width) * patches
    recompute = launch.trainer.recompute
    kept = HALF * tower.hidden * tower.depth * patches if recompute != "none" else tower.depth * live
    return parts_of(("activations of the vision tower", kept + live))


def _step(trainer: Fsdp | Megatron) -> tuple[Part, ...]:
    if isinstance(trainer, Fsdp):
        return _allocated(fsdp.optimizer_step(trainer))
    stage = megatron.worst_stage(trainer)
    return _allocated(megatron.states(trainer, stage) + megatron.workspaces(trainer))


def _log_probabilities(launch: Launch) -> tuple[Part, ...]:
    trainer, tokens = launch.trainer, launch.log_prob_tokens.most
    held = _weights(trainer)
    if not launch.optimizer_offload:
        held += _moments(trainer)
    if isinstance(trainer, Fsdp):
        at = replace(trainer, tokens=tokens)
        return _allocated(held + fsdp.log_probabilities(at, entropy_bytes=launch.log_prob_entropy_bytes))
    if not launch.param_offload:
        held += _named(_states(trainer, with_moments=True), "gradients")
    at = replace(trainer, tokens=tokens)
    shape, split = launch.shape, at.split
    width = max(layer_bytes(shape, layer, at.kernels, split) for layer, _ in counted(shape.layers))
    logits = (at.head.without_gradient + HALF + launch.log_prob_entropy_bytes) * at.vocab / at.tp
    whole = min(tokens, at.head.chunk) if at.head.chunk else tokens
    parts = max(
        (
            parts_of(("logits", logits * whole), ("hidden states of the head", 3 * HALF * shape.hidden * tokens)),
            parts_of(("a layer's activations", width * tokens)),
        ),
        key=total,
    )
    return _allocated(held + parts + megatron.workspaces(at))


def _saving(launch: Launch) -> tuple[Part, ...]:
    """Shards go to the host one after another; with hf_model the largest tensor is gathered."""
    trainer = launch.trainer
    held = _states(trainer, with_moments=True, with_gradients=isinstance(trainer, Megatron))
    return held + (_largest(launch) if "hf_model" in launch.saves else ())


# ------------------------------------------------------------------------------------------ host and disk


def _host(launch: Launch) -> tuple[Part, ...]:
    """What one machine's memory holds at most between phases."""
    trainer, layout, shape = launch.trainer, launch.layout, launch.shape
    devices = layout.gpus_per_node
    held = _states(trainer, with_moments=True)
    weights, moments = total(_named(held, "weights")), total(_moments(trainer))
    cpu_optimizer = 0.0
    if isinstance(trainer, Megatron) and trainer.on_host:
        on_device = replace(trainer, on_host=0.0)
        cpu_optimizer = total(_moments(on_device)) - moments
    on_host_policy = 0.0
    if isinstance(trainer, Fsdp) and trainer.weights_on_host:
        on_host_policy = total(fsdp.states(replace(trainer, weights_on_host=False)))
    reference = 0.0
    if launch.reference and launch.reference_on_host:
        reference = (
            trainer.weights * shape.total / trainer.shards
            if isinstance(trainer, Fsdp)
            else HALF * megatron.weights_of(trainer, megatron.worst_stage(trainer)).all
        )
    reads = 0.0
    if isinstance(trainer, Fsdp):  # rank 0 reads the whole model; with tied embeddings each rank does
        reads = trainer.weights * shape.total * (devices if shape.tied else 1)
    between = parts_of(
        ("offloaded weights", devices * weights if launch.param_offload else 0),
        ("offloaded optimizer", devices * moments if launch.optimizer_offload else 0),
        ("optimizer on the host", devices * cpu_optimizer),
        ("states on the host", devices * on_host_policy),
        ("reference model", devices * reference),
        ("weights of sleeping engines", devices * vllm.weights(launch.engine) if launch.keeps_weights else 0),
        ("batch of a step", 2 * BATCH_BYTES_PER_TOKEN * launch.batch_tokens),
        ("processes", HOST_BASE + 2 * devices * HOST_PROCESS),
    )
    loading = parts_of(("the model while it is read", reads), ("processes", HOST_BASE + 2 * devices * HOST_PROCESS))
    return max((between, loading), key=total)


def host_total(memory: Memory) -> float:
    """Return the bytes that one machine's memory holds at most."""
    return total(memory.host)


def _shared(launch: Launch) -> float:
    """Bytes of /dev/shm: Ray's objects of a batch; on NPUs, the buffers through which weights are sent as well."""
    buffers = launch.bucket * launch.layout.gpus_per_node if launch.npu else 0
    return 2 * BATCH_BYTES_PER_TOKEN * launch.batch_tokens + buffers


def _disk(launch: Launch) -> float:
    return launch.kept * checkpoint_bytes(launch)


def checkpoint_bytes(launch: Launch) -> float:
    """Return the bytes of one checkpoint: what ``save_contents`` names."""
    trainer, shape = launch.trainer, launch.shape
    if isinstance(trainer, Fsdp):
        stored, trained = trainer.stored, trainer.trained
        weights, optimizer = trainer.weights * stored, trainer.moments * trained
    else:
        if trainer.lora_rank:
            adapters = sum(megatron.adapter_weights(shape, layer, trainer.lora_rank) for layer in shape.layers)
            weights, trained = HALF * adapters, adapters
        else:
            weights, trained = HALF * shape.total, shape.total
        optimizer = (trainer.master + trainer.moments) * trained
    parts = {"model": weights, "optimizer": optimizer, "hf_model": HALF * shape.total}
    return sum(size for name, size in parts.items() if name in launch.saves)
