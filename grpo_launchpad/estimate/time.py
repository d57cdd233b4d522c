"""Seconds of a step by phase: a floor, which no software goes below, and an estimate, which counts what software adds.

The floor is a roofline: training and prefill at the device's peak of arithmetic, decoding at its bandwidth, transfers
at the speed of the link. The estimate is the same sum with what is reached in practice: of the peak in large matrices,
of the bandwidth in elementwise kernels, of the link in collectives; and with launches, pipeline bubbles and what the
engine does for each sequence. The shares in REACHED were fitted once, all together, to published measurements;
docs/en/estimate.md has the errors by class of rows.

Sources of the counts: Kaplan et al. 2020 (arXiv 2001.08361) for 2 operations a weight and token; Korthikanti et al.
2022 (arXiv 2205.05198) for attention and communication; Narayanan et al. 2021 (arXiv 2104.04473) for pipeline bubbles.
"""

from dataclasses import dataclass, field

from grpo_launchpad.estimate.architecture import Layer, Shape
from grpo_launchpad.estimate.devices import Device

HALF, FULL = 2, 4
GB = 10**9


@dataclass(frozen=True)
class Reached:
    """What software reaches of a device, and what it adds. Shares are of the nominal numbers in devices.py.

    Attributes:
        matrices: share of the peak in large matrices of training, by device; "" for any other.
        attention: share of that in attention.
        experts: share of that in the grouped matrices of experts.
        bandwidth: share of the bandwidth in elementwise kernels.
        decode_bandwidth: share of the bandwidth in decoding.
        cache: share of that in reading the KV cache.
        link: share of the links between devices in collectives.
        hidden: share of a collective that computation hides, where the trainer overlaps them.
        fp8: how much faster matrices are in eight bits.
        eager_layer: seconds to launch one layer's forward pass with eager kernels; backward takes 1.5 times that.
        fused_layer: the same with Transformer Engine's or compiled ones.
        experts_layer: seconds more for a layer of experts, whose router asks the device for counts.
        npu_launch: how much longer launches take on an NPU.
        shard_layer: seconds that the hooks of FSDP add to a layer's pass.
        host_link: bytes a second between host and device memory, for a trainer's offloading.
        network: bytes a second of one device to other machines.
        storage: bytes a second to disk, of one machine.
        adapter: how much longer a layer's launch takes with adapters.
        decode_step: seconds of a decoding step beside the device's work.
        decode_sequence: seconds of the same for each sequence in it.
        decode_layer: seconds to launch a layer of a decoding step without a CUDA graph.
        decode_collective: seconds of the latency of one collective in decoding.
        sync: seconds of a weight sync beside the weights.
        sync_tensor: seconds of the same for each tensor, experts each with their own.
        sync_speed: bytes a second of weights from the trainer to the engines.
        broadcast: seconds of a weight sync to other devices beside the weights.
        broadcast_speed: bytes a second of weights to other devices.
        host_optimizer: bytes a second of memory that the optimizer of one device reaches on the host.
        update: seconds that a mini-batch costs beside its micro-batches.
        micro_batch: seconds that a micro-batch costs beside its passes.
        phase: seconds to hand the samples of a phase to the workers and back, for each sample.
    """

    matrices: dict[str, float] = field(
        default_factory=lambda: {
            "": 0.70,
            "H100": 0.76,
            "H200": 0.76,
            "H800": 0.76,
            "H20": 0.92,
            "A100-80": 0.80,
            "A100-40": 0.85,
            "B200": 0.42,
            "GB200": 0.50,
            "GB300": 0.50,
            "B300": 0.50,
            "MI300X": 0.33,
            "910B": 0.52,
            "910C": 0.52,
            "4090": 0.90,
            "3090": 0.90,
        }
    )
    attention: float = 0.45
    experts: float = 0.85
    bandwidth: float = 0.65
    decode_bandwidth: float = 0.6
    cache: float = 0.85
    link: float = 0.4
    hidden: float = 0.45
    fp8: float = 1.8
    eager_layer: float = 0.7e-3
    fused_layer: float = 0.6e-3
    experts_layer: float = 3.3e-3
    npu_launch: float = 3.0
    shard_layer: float = 0.3e-3
    host_link: float = 10 * GB
    network: float = 38 * GB
    storage: float = 2 * GB
    adapter: float = 2.0
    decode_step: float = 2.5e-3
    decode_sequence: float = 15e-6
    decode_layer: float = 0.7e-3
    decode_collective: float = 30e-6
    sync: float = 4.0
    sync_tensor: float = 1e-3
    sync_speed: float = 12 * GB
    broadcast: float = 1.0
    broadcast_speed: float = 4.5 * GB
    host_optimizer: float = 25 * GB
    update: float = 0.6
    micro_batch: float = 15e-3
    phase: float = 0.3e-3

    def matrices_of(self, device: Device) -> float:
        """Return the share of a device's peak in large matrices."""
        return self.matrices.get(device.name, self.matrices[""])


REACHED = Reached()
# Everything at its nominal number, and nothing added: the floor.
FLOOR = Reached(
    matrices={"": 1.0},
    attention=1.0,
    experts=1.0,
    bandwidth=1.0,
    decode_bandwidth=1.0,
    cache=1.0,
    link=1.0,
    hidden=1.0,
    fp8=2.0,
    eager_layer=0.0,
    fused_layer=0.0,
    experts_layer=0.0,
    npu_launch=1.0,
    shard_layer=0.0,
    host_link=64 * GB,
    network=50 * GB,
    storage=20 * GB,
    adapter=1.0,
    decode_step=0.0,
    decode_sequence=0.0,
    decode_layer=0.0,
    decode_collective=0.0,
    sync=0.0,
    sync_tensor=0.0,
    sync_speed=900 * GB,
    broadcast=0.0,
    broadcast_speed=50 * GB,
    host_optimizer=100 * GB,
    update=0.0,
    micro_batch=0.0,
    phase=0.0,
)


@dataclass(frozen=True)
class Trainer:
    """How a model is trained: its layout, and how its layers compute.

    Attributes:
        shape: of the model.
        device: that it runs on.
        devices: all of them.
        per_node: devices of one machine.
        sharded: FSDP, which gathers each layer's weights over ``shards`` devices; otherwise Megatron.
        shards: devices that share one copy of the weights under FSDP; 0 for all.
        tp, pp, vpp, cp, ep: Megatron's parallel sizes; ``cp`` also is Ulysses' under FSDP.
        lean: whether kernels do several elementwise operations at once: compiled ones, and Transformer Engine's.
        flash: whether attention keeps no matrix of scores.
        recompute: share of the layers' forward pass that the backward pass does again: 1 for full checkpointing.
        lora_rank: of adapters; 0 for none.
        fp8: matrices in eight bits.
        accumulates_unsharded: whether gradients are reduced once a mini-batch, not once a micro-batch.
        gathers_twice: whether the backward pass gathers weights again (FSDP's reshard after the forward pass).
        offloads_parameters: to the host between phases.
        offloads_optimizer: to the host between steps.
        on_host: share of the optimizer that runs on the host.
        weights_on_host: whether weights are on the host and each pass fetches them (FSDP2's CPUOffloadPolicy).
        fused_loss: whether no logits are kept in fp32.
    """

    shape: Shape
    device: Device
    devices: int = 1
    per_node: int = 8
    sharded: bool = True
    shards: int = 0
    tp: int = 1
    pp: int = 1
    vpp: int = 1
    cp: int = 1
    ep: int = 1
    lean: bool = False
    flash: bool = True
    recompute: float = 0.0
    lora_rank: int = 0
    fp8: bool = False
    accumulates_unsharded: bool = False
    gathers_twice: bool = True
    offloads_parameters: bool = False
    offloads_optimizer: bool = False
    on_host: float = 0.0
    weights_on_host: bool = False
    fused_loss: bool = True

    @property
    def replicas(self) -> int:
        """Groups of devices that work on different sequences."""
        return max(1, self.devices // (self.tp * self.pp * self.cp))

    @property
    def shard_count(self) -> int:
        """Devices that share one copy of weights and states."""
        return (self.shards or self.devices // (self.tp * self.pp)) if self.sharded else self.tp * self.pp

    @property
    def split(self) -> int:
        """Devices that hold different weights, or parts of them, when no gathering is under way."""
        return self.tp * self.pp * (self.shard_count if self.sharded else 1)


@dataclass(frozen=True)
class Batch:
    """What a trainer works on in one phase.

    Attributes:
        tokens: all of them.
        length: of a sequence, in tokens: where lengths differ, the mean weighted by tokens decides attention.
        micro_tokens: that one replica takes at a time.
        updates: optimizer steps in the phase.
        padded: how many times more tokens are computed than there are, where sequences are padded.
    """

    tokens: float
    length: float
    micro_tokens: float
    updates: int = 1
    padded: float = 1.0


def train_seconds(trainer: Trainer, batch: Batch, reached: Reached = REACHED) -> float:
    """Return the seconds of forward and backward passes over a batch, with its optimizer steps."""
    micro, count = _micro_batches(trainer, batch)
    forward = _pass(trainer, micro, batch.length, reached, backward=False)
    backward = _pass(trainer, micro, batch.length, reached, backward=True)
    seconds = _pipelined(trainer, forward + trainer.recompute * forward + backward, count, batch.updates)
    seconds += count * reached.micro_batch
    return seconds + batch.updates * (optimizer_seconds(trainer, reached) + reached.update)


def forward_seconds(trainer: Trainer, batch: Batch, reached: Reached = REACHED) -> float:
    """Return the seconds of forward passes over a batch, as for log-probabilities."""
    micro, count = _micro_batches(trainer, batch)
    forward = _pass(trainer, micro, batch.length, reached, backward=False)
    return _pipelined(trainer, forward, count, 1) + count * reached.micro_batch


def optimizer_seconds(trainer: Trainer, reached: Reached = REACHED) -> float:
    """Return the seconds of one optimizer step: states read and written once, on the device or over the host's link."""
    weights = _trained_weights(trainer) / trainer.split
    if not trainer.sharded:
        replicas = trainer.replicas
        # The distributed optimizer reduces gradients in fp32 and gathers weights in bf16.
        moved = (FULL + HALF) * weights * (replicas - 1) / replicas
        communication = moved / _collective_speed(trainer, replicas * trainer.tp, reached) * (1 - reached.hidden)
        weights /= replicas
    else:
        communication = 0.0
    host = 1.0 if trainer.weights_on_host else trainer.on_host
    seconds = 30 * (1 - host) * weights / (trainer.device.bandwidth * reached.bandwidth) + communication
    # There, gradients come over the link, and weights go back.
    seconds += host * weights * (30 / reached.host_optimizer + (FULL + HALF) / reached.host_link)
    if trainer.offloads_optimizer and host < 1:
        seconds += 2 * 8 * weights / reached.host_link
    return seconds


def load_seconds(trainer: Trainer, reached: Reached = REACHED) -> float:
    """Return the seconds to bring offloaded weights to the device for one phase, and to leave them there after it."""
    if not trainer.offloads_parameters:
        return 0.0
    return 2 * FULL * trainer.shape.total / trainer.split / reached.host_link


def _trained_weights(trainer: Trainer) -> float:
    if not trainer.lora_rank:
        return trainer.shape.total
    return sum(trainer.lora_rank * _adapted_width(trainer.shape, layer) for layer in trainer.shape.layers)


def _adapted_width(shape: Shape, layer: Layer) -> int:
    """Return inputs and outputs of a layer's matrices together: an adapter has a rank of each."""
    mlp = layer.mlp_width or layer.expert_width * layer.experts_per_token + layer.shared_width
    return 6 * shape.hidden + layer.q_width + 2 * layer.kv_width + layer.v_width + 3 * mlp


def _micro_batches(trainer: Trainer, batch: Batch) -> tuple[float, float]:
    """Return the tokens of a micro-batch and how many a replica has in the whole phase."""
    each = batch.tokens * batch.padded / trainer.replicas
    micro = min(batch.micro_tokens * batch.padded, each / batch.updates)
    return micro, max(1.0, each / micro)


def _pipelined(trainer: Trainer, micro_seconds: float, count: float, updates: int) -> float:
    """Return the seconds of ``count`` micro-batches, each ``micro_seconds`` on the whole model, through the stages."""
    a_mini_batch = count / updates
    bubble = (trainer.pp - 1) / (a_mini_batch * trainer.vpp)
    return micro_seconds / trainer.pp * count * (1 + bubble)


def _pass(trainer: Trainer, tokens: float, length: float, reached: Reached, *, backward: bool) -> float:
    """Return the seconds of one pass of a micro-batch over all layers and the head, on one device of each stage."""
    seconds = sum(
        count * _layer_seconds(trainer, layer, tokens / trainer.cp, length, reached, backward)
        for layer, count in _distinct(trainer.shape.layers).items()
    )
    return seconds + _head_seconds(trainer, tokens / trainer.cp, reached, backward)


def _launches(device: Device, reached: Reached) -> float:
    return reached.npu_launch if device.kind == "npu" else 1.0


def _distinct(layers: tuple[Layer, ...]) -> dict[Layer, int]:
    counts: dict[Layer, int] = {}
    for layer in layers:
        counts[layer] = counts.get(layer, 0) + 1
    return counts


def _layer_seconds(
    trainer: Trainer, layer: Layer, tokens: float, length: float, reached: Reached, backward: bool
) -> float:
    device, speed = trainer.device, trainer.device.flops * reached.matrices_of(trainer.device)
    matrix_speed = speed * (reached.fp8 if trainer.fp8 else 1.0)
    # The backward pass has twice the matrices; with frozen weights it computes no gradients of them.
    twice = (1.0 if trainer.lora_rank else 2.0) if backward else 1.0
    dense = (layer.dense - layer.norms) / trainer.tp
    routed = layer.experts * layer.experts_per_token / layer.expert_count if layer.expert_count else 0.0
    dense_bytes = HALF * dense * twice
    seconds = max(2 * dense * tokens * twice / matrix_speed, dense_bytes / (device.bandwidth * reached.bandwidth))
    if routed:
        held = HALF * layer.experts / trainer.ep / (trainer.tp if trainer.ep == 1 else 1)
        arithmetic = 2 * routed * tokens / trainer.tp * twice / (matrix_speed * reached.experts)
        seconds += max(arithmetic, held * twice / (device.bandwidth * reached.bandwidth))
    seconds += (
        _attention_flops(layer, tokens, length) / trainer.tp * (2.5 if backward else 1.0) / (speed * reached.attention)
    )
    moved = _elementwise_bytes(trainer, layer, length) * tokens * (2.0 if backward else 1.0)
    seconds += moved / (device.bandwidth * reached.bandwidth)
    seconds += _collective_seconds(trainer, layer, tokens, reached)
    launch = reached.fused_layer if trainer.lean else reached.eager_layer
    launch = (launch + (reached.experts_layer if routed else 0.0)) * _launches(device, reached)
    launch *= (1.5 if backward else 1.0) * (reached.adapter if trainer.lora_rank else 1.0)
    if not trainer.sharded or (trainer.shard_count == 1 and not trainer.weights_on_host):
        return max(seconds, launch)
    # FSDP gathers the next layer's weights, and reduces the last one's gradients, while this one computes.
    gathered = HALF * layer.total if not backward or trainer.gathers_twice else 0.0
    reduced = 0.0
    if backward and not trainer.lora_rank and not trainer.accumulates_unsharded:
        reduced = FULL * layer.total
    share = (trainer.shard_count - 1) / trainer.shard_count / trainer.tp
    transfer = (gathered + reduced) * share / _collective_speed(trainer, trainer.shard_count, reached, trainer.tp)
    if trainer.weights_on_host:
        fetched = FULL * layer.total / trainer.shard_count + (reduced / trainer.shard_count if backward else 0.0)
        transfer += fetched / reached.host_link
    busy = max(seconds, transfer) + (1 - reached.hidden) * min(seconds, transfer)
    return max(busy, launch + reached.shard_layer)


def _attention_flops(layer: Layer, tokens: float, length: float) -> float:
    """Return the operations of causal attention in a forward pass: each token meets half of its sequence."""
    if layer.kind == "linear":
        return 6.0 * layer.state * tokens
    seen = min(length / 2, layer.window) if layer.window else length / 2
    queries = min(layer.q_width, 2 * layer.v_width) if layer.kind != "latent" else layer.q_width
    return 2 * seen * (queries + layer.v_width) * tokens


def _elementwise_bytes(trainer: Trainer, layer: Layer, length: float) -> float:
    """Return the bytes a token moves through normalisations, residuals, rotation and gate in a forward pass."""
    shape, lean = trainer.shape, trainer.lean
    around = (20 if lean else 60) * shape.hidden
    rotated = (4 if lean else 20) * (layer.q_width + layer.kv_width)
    width = layer.mlp_width + layer.shared_width + layer.experts_per_token * layer.expert_width
    gate = (6 if lean else 10) * width * (1.0 if layer.gated else 0.7)
    routed = 12 * HALF * shape.hidden * layer.experts_per_token if layer.expert_count else 0.0
    adapters = 4 * _adapted_width(shape, layer) if trainer.lora_rank else 0.0
    scores = 0.0 if trainer.flash else 12 * shape.heads * length  # of each token with all others, several times
    between = around / (trainer.tp if not trainer.sharded else 1)
    return between + (rotated + gate + routed + adapters + scores) / trainer.tp


def _head_seconds(trainer: Trainer, tokens: float, reached: Reached, backward: bool) -> float:
    shape, device = trainer.shape, trainer.device
    speed = device.flops * reached.matrices_of(device)
    twice = (1.0 if trainer.lora_rank else 2.0) if backward else 1.0
    arithmetic = 2 * shape.hidden * shape.vocab * tokens * twice / trainer.tp / speed
    moved = (8 if trainer.fused_loss else 18) * shape.vocab * tokens / trainer.tp
    return arithmetic + moved / (device.bandwidth * reached.bandwidth)


def _collective_seconds(trainer: Trainer, layer: Layer, tokens: float, reached: Reached) -> float:
    """Return the seconds of what tensor, sequence and expert parallelism exchange in one pass of a layer."""
    hidden_bytes = HALF * trainer.shape.hidden * tokens
    seconds = 0.0
    if trainer.tp > 1:
        moved = 2 * 2 * hidden_bytes * (trainer.tp - 1) / trainer.tp
        seconds += moved / _collective_speed(trainer, trainer.tp, reached)
    if trainer.cp > 1:
        moved = HALF * (layer.q_width + 2 * layer.kv_width + layer.v_width) * tokens / trainer.tp
        seconds += moved / _collective_speed(trainer, trainer.tp * trainer.cp, reached)
    if trainer.ep > 1 and layer.expert_count:
        seconds += 2 * hidden_bytes / trainer.tp * _exchange_seconds(trainer, layer.experts_per_token, reached)
    return seconds


def _collective_speed(trainer: Trainer, group: int, reached: Reached, inner: int = 1) -> float:
    """Return bytes a second into one device when a group gathers or reduces: the links of a machine, or, beyond it,
    the network of all its devices of the group, which share what came in.

    Args:
        trainer: what it is for.
        group: devices that gather.
        reached: what is reached of nominal numbers.
        inner: devices of a machine that are next to each other in another group, and so are not in this one.
    """
    inside = trainer.device.link * reached.link
    if group * inner <= trainer.per_node:
        return inside
    return min(inside, max(1, trainer.per_node // inner) * reached.network)


def _exchange_seconds(trainer: Trainer, copies: int, reached: Reached) -> float:
    """Return the seconds a byte takes to all experts that its token is routed to.

    Inside a machine each copy is sent; to another machine one for all experts there, as DeepEP and its like do.
    """
    inside = copies * (trainer.ep - 1) / trainer.ep / (trainer.device.link * reached.link)
    machines = trainer.ep / trainer.per_node
    if machines <= 1:
        return inside
    met = machines * (1 - (1 - 1 / machines) ** copies)
    outside = met * (machines - 1) / machines / reached.network
    return max(inside, outside)


# ------------------------------------------------------------------------------------------------- rollout


@dataclass(frozen=True)
class Rollout:
    """How responses are generated.

    Attributes:
        shape: of the model.
        device: that it runs on.
        devices: all of them.
        tp: devices of one engine.
        per_node: devices of one machine.
        eager: without CUDA graphs.
        lora: with adapters that are not merged.
        max_sequences: that an engine decodes at a time.
        cache_bytes: of the KV cache of one device.
        engine_factor: how much more the engine's work for a step and a sequence costs than that of vLLM 0.28.
    """

    shape: Shape
    device: Device
    devices: int = 1
    tp: int = 1
    per_node: int = 8
    eager: bool = False
    lora: bool = False
    max_sequences: int = 1024
    cache_bytes: float = float("inf")
    engine_factor: float = 1.0


@dataclass(frozen=True)
class Responses:
    """What is to be generated.

    Attributes:
        count: sequences.
        prompts: different prompts among them, each computed once.
        prompt: mean tokens of a prompt.
        response: mean tokens of a response.
        longest: tokens of the longest response.
    """

    count: float
    prompts: float
    prompt: float
    response: float
    longest: float


def rollout_seconds(rollout: Rollout, responses: Responses, reached: Reached = REACHED) -> float:
    """Return the seconds until the last response is complete.

    An engine decodes in steps, each of which gives every active sequence a token. There are as many steps as the
    longest response has tokens, or more if sequences wait for a place; each reads the weights once and the cache of all
    active sequences.
    """
    shape, device, tp = rollout.shape, rollout.device, rollout.tp
    engines = max(1, rollout.devices // tp)
    own = responses.count / engines
    mean_context = responses.prompt + responses.response / 2
    cache = cache_bytes_per_token(shape, tp)
    places = max(
        1.0, min(rollout.max_sequences, rollout.cache_bytes / max(1.0, cache * (responses.prompt + responses.response)))
    )
    width = min(own, places)
    steps = max(
        responses.longest,
        own * responses.response / width + max(0.0, responses.longest - responses.response) * (own > width),
    )
    tokens = own * responses.response
    active = max(1.0, min(width, tokens / steps))
    bandwidth = device.bandwidth * reached.decode_bandwidth
    step = HALF * _weights_read(shape, active) / tp / bandwidth
    step += active * (mean_context * cache / reached.cache + _state_bytes(shape) / tp) / bandwidth
    arithmetic = 2 * shape.active * active / tp / (device.flops * reached.matrices_of(device))
    step = max(step, arithmetic)
    layers = len(shape.layers)
    overhead = (reached.decode_step + active * reached.decode_sequence) * rollout.engine_factor
    launch = 0.0
    if rollout.eager:
        launch = layers * reached.decode_layer * (reached.adapter if rollout.lora else 1.0) * _launches(device, reached)
    if tp > 1:
        moved = HALF * shape.hidden * active * 2 * (tp - 1) / tp
        link = device.link * reached.link if tp <= rollout.per_node else reached.network
        step += 2 * layers * (reached.decode_collective + moved / link)
    decode = steps * (max(step, launch) + overhead)
    prefilled = responses.prompts / engines * responses.prompt
    seen = sum(_attention_flops(layer, 1.0, responses.prompt) for layer in shape.layers)
    prefill = prefilled / tp * (2 * shape.active + seen / reached.attention)
    return decode + prefill / (device.flops * reached.matrices_of(device))


def cache_bytes_per_token(shape: Shape, tp: int = 1) -> float:
    """Return the bytes that one token keeps in the KV cache of one device; a head is on at least one of them."""
    held = 0.0
    for layer in shape.layers:
        if layer.kind == "latent":
            held += HALF * layer.latent_width
        elif layer.kind != "linear":
            heads = max(1, layer.kv_width // shape.head_dim)
            held += HALF * 2 * layer.kv_width / heads * max(1, -(-heads // tp))
    return held


def _weights_read(shape: Shape, active: float) -> float:
    """Return the weights that a decoding step of ``active`` sequences reads: experts only if a token goes there."""
    read = float(shape.final_norm + (shape.head or shape.embedding))
    for layer in shape.layers:
        read += layer.dense
        if layer.expert_count:
            missed = (1 - layer.experts_per_token / layer.expert_count) ** active
            read += layer.experts * (1 - missed)
    return read


def _state_bytes(shape: Shape) -> float:
    """Return what a sequence's linear attention reads and writes in a step."""
    return sum(2 * FULL * layer.state for layer in shape.layers if layer.kind == "linear")


def sync_seconds(shape: Shape, device: Device, reached: Reached = REACHED, *, apart: bool = False) -> float:
    """Return the seconds to bring the trainer's weights to the engines, tensor by tensor, in bf16.

    Args:
        shape: of the model.
        device: that both run on.
        reached: what is reached of nominal numbers.
        apart: whether engines have devices of their own, to which weights are broadcast; otherwise each trainer gathers
            them and hands them to the engine on its device.
    """
    tensors = sum(3 * layer.expert_count + 10 for layer in shape.layers)
    begun, speed = (reached.broadcast, reached.broadcast_speed) if apart else (reached.sync, reached.sync_speed)
    return begun + tensors * reached.sync_tensor + HALF * shape.total / min(device.link, speed)


def save_seconds(trainer: Trainer, reached: Reached = REACHED) -> float:
    """Return the seconds to write weights, master weights and both moments: each machine writes its part."""
    nodes = max(1, trainer.devices // trainer.per_node)
    written = 12 * trainer.shape.total if not trainer.lora_rank else HALF * trainer.shape.total
    return written / nodes / reached.storage
