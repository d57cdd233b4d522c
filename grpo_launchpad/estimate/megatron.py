"""Memory of a trainer on Megatron-Core: what a pipeline stage holds, and its peak in an update.

Source: Megatron-Core 0.16, ``distributed/param_and_grad_buffer.py`` (bf16 weights and fp32 gradients, a buffer each),
``optimizer/distrib_optimizer.py`` (fp32 weights and both moments over data parallel ranks),
``pipeline_parallel/schedules.py`` (micro batches in flight).
"""

from dataclasses import dataclass
from functools import cached_property

from grpo_launchpad.estimate.activations import FULL, HALF, Kernels, Split, layer_bytes
from grpo_launchpad.estimate.architecture import Layer, Shape, counted
from grpo_launchpad.estimate.parts import Part, parts_of


@dataclass(frozen=True)
class Head:
    """How the last stage computes losses from hidden states.

    Attributes:
        alive: bytes a logit at the peak of the forward and backward pass of the head.
        without_gradient: the same where only log-probabilities and entropy are wanted.
        chunk: tokens at a time, if the head never holds all logits; 0 if it does.
    """

    alive: float
    without_gradient: float
    chunk: int = 0


# bf16 logits, their fp32 copy, in which softmax and gradient are computed in place. Source: Megatron-Core 0.16
# ``transformer/module.py`` (Float16Module gives fp32) and ``tensor_parallel/cross_entropy.py``.
MEGATRON_HEAD = Head(alive=HALF + FULL, without_gradient=FULL)
# The same with cross_entropy_fusion_impl=native, whose kernels keep another fp32 copy.
FUSED_HEAD = Head(alive=HALF + 2 * FULL, without_gradient=2 * FULL)
# Transformer Engine's cross entropy writes the gradient into the bf16 logits.
TRANSFORMER_ENGINE_HEAD = Head(alive=HALF, without_gradient=HALF)


@dataclass(frozen=True)
class Megatron:
    """A trainer on Megatron-Core.

    Attributes:
        shape: of the model.
        world: devices.
        tp: tensor parallel size.
        pp: pipeline stages.
        vpp: pieces of a stage, 1 without interleaving.
        cp: ranks that share a sequence.
        ep: ranks that share out experts.
        etp: ranks that share one expert.
        sequence_parallel: whether ``tp`` ranks share the sequence as well.
        distributed_optimizer: whether data parallel ranks share the optimizer's states.
        tokens: of a micro batch on one rank, after the split by ``cp``.
        micro_batches: of an update on one rank.
        recompute: "none", "full" or "selective".
        recomputed: modules of selective recomputation.
        recompute_layers: of full recomputation by block: layers of a stage that are recomputed; None for all.
        weights: bytes of a weight in the model.
        gradients: bytes of its gradient.
        master: bytes of its copy in the optimizer.
        moments: bytes of both moments.
        on_host: part of master and moments that a CPU optimizer keeps on the host.
        kernels: how layers compute.
        head: how losses are computed.
        fused_accumulation: whether weights' gradients go straight into the buffer.
        first_layers: layers of the first stage, if not an even part.
        last_layers: of the last stage.
        extra_layers: places that embedding and loss take in the split.
        vocab_multiple: the vocabulary is padded to a multiple of this times ``tp``.
        lora_rank: of adapters; 0 trains all weights.
        lora_experts: whether each routed expert has adapters of its own.
        grouped: whether the products of all experts are one call.
    """

    shape: Shape
    world: int = 1
    tp: int = 1
    pp: int = 1
    vpp: int = 1
    cp: int = 1
    ep: int = 1
    etp: int = 1
    sequence_parallel: bool = True
    distributed_optimizer: bool = True
    tokens: int = 4096
    micro_batches: int = 1
    recompute: str = "none"
    recomputed: frozenset[str] = frozenset()
    recompute_layers: int | None = None
    weights: float = HALF
    gradients: float = FULL
    master: float = FULL
    moments: float = 2 * FULL
    on_host: float = 0.0
    kernels: Kernels = Kernels()
    head: Head = MEGATRON_HEAD
    fused_accumulation: bool = True
    first_layers: int | None = None
    last_layers: int | None = None
    extra_layers: int = 0
    vocab_multiple: int = 128
    lora_rank: int = 0
    lora_experts: bool = False
    grouped: bool = True

    @property
    def data_parallel(self) -> int:
        """Ranks that share the optimizer's states of weights outside experts: data and context parallel."""
        return max(1, self.world // (self.tp * self.pp))

    @property
    def expert_data_parallel(self) -> int:
        """Ranks that hold the same experts."""
        return max(1, self.world // (self.etp * self.ep * self.pp))

    @property
    def vocab(self) -> int:
        """Rows of the embedding, padded."""
        multiple = self.vocab_multiple * self.tp
        return -(-self.shape.vocab // multiple) * multiple

    @cached_property
    def fullest_stage(self) -> int:
        """The stage with the highest peak in an update.

        It is the first, which has most micro batches in flight, the second if the first has fewer layers, or the last.
        """
        stages = sorted({0, min(1, self.pp - 1), self.pp - 1})
        return max(stages, key=lambda stage: sum(part.size for part in update(self, stage)))

    @property
    def split(self) -> Split:
        """How activations are divided."""
        return Split(self.tp, self.tp if self.sequence_parallel else 1, self.etp)


def stage_layers(setup: Megatron) -> list[list[Layer]]:
    """Return the layers of each stage, all its pieces together."""
    layers, pp = list(setup.shape.layers), setup.pp
    if pp == 1:
        return [layers]
    places = len(layers) + setup.extra_layers
    sizes: list[int] = []
    fixed = (setup.first_layers or 0) + (setup.last_layers or 0)
    free = pp - (setup.first_layers is not None) - (setup.last_layers is not None)
    for stage in range(pp):
        if stage == 0 and setup.first_layers is not None:
            sizes.append(setup.first_layers)
        elif stage == pp - 1 and setup.last_layers is not None:
            sizes.append(setup.last_layers)
        else:
            sizes.append(-(-(places - fixed) // free))
    if setup.extra_layers:
        sizes[0] -= 1
        sizes[-1] -= setup.extra_layers - 1
    pieces = setup.vpp
    stages: list[list[Layer]] = [[] for _ in range(pp)]
    start = 0
    for piece in range(pieces):
        for stage in range(pp):
            count = sizes[stage] // pieces + (piece < sizes[stage] % pieces)
            stages[stage] += layers[start : start + count]
            start += count
    return stages


@dataclass(frozen=True)
class Weights:
    """Weights of one rank: those that all data parallel ranks hold, and those of experts."""

    dense: float
    experts: float

    @property
    def all(self) -> float:
        return self.dense + self.experts


def weights_of(setup: Megatron, stage: int) -> Weights:
    """Count the weights of a rank of a stage."""
    shape, tp = setup.shape, setup.tp
    layers = stage_layers(setup)[stage]
    dense = sum(
        count
        * (
            (layer.attention + layer.mlp + layer.shared_experts) / tp
            + layer.attention_replicated
            + layer.router
            + layer.norms
        )
        for layer, count in counted(layers)
    )
    experts = sum(count * layer.experts for layer, count in counted(layers)) / (setup.ep * setup.etp)
    table = setup.vocab * shape.hidden / tp
    if stage == 0:
        dense += table + shape.positions
        dense += shape.vision.parameters / tp if shape.vision else 0
    if stage == setup.pp - 1:
        dense += shape.final_norm
        if not shape.tied or setup.pp > 1:  # with several stages, the last one has a copy of a tied embedding
            dense += table
    return Weights(dense, experts)


def adapters_of(setup: Megatron, stage: int) -> float:
    """Count the weights of adapters of a rank: of all linear layers, of routed experts one pair a layer.

    An adapter has a matrix of its input's width and one of its output's, the first of which every rank holds.
    """
    layers = stage_layers(setup)[stage]
    rank, alike = setup.lora_rank, counted(layers)
    shared = sum(count * adapter_weights(setup.shape, layer, rank) for layer, count in alike) / setup.tp
    if not setup.lora_experts:
        return shared
    whole = sum(count * adapter_weights(setup.shape, layer, rank, with_experts=True) for layer, count in alike)
    return shared + (whole / setup.tp - shared) / (setup.ep * setup.etp)


def adapter_weights(shape: Shape, layer: Layer, rank: int, with_experts: bool = False) -> float:
    """Return the weights of adapters of rank ``rank`` on all linear layers of one layer."""
    hidden = shape.hidden
    widths = [hidden + layer.q_width, 2 * (hidden + layer.kv_width), layer.v_width + hidden]
    for width, copies in (
        (layer.mlp_width, 1),
        (layer.shared_width, 1),
        (layer.expert_width, layer.expert_count if with_experts else min(layer.expert_count, 1)),
    ):
        if width:
            widths.append(copies * (3 if layer.gated else 2) * (hidden + width))
    return rank * sum(widths)


def states(setup: Megatron, stage: int, *, with_moments: bool = True) -> tuple[Part, ...]:
    """Return what a rank holds between two steps: weights, gradients, and the optimizer's states."""
    weights = weights_of(setup, stage)
    if setup.lora_rank:
        trained = Weights(adapters_of(setup, stage), 0)
        frozen = weights.all
    else:
        trained, frozen = weights, 0
    dense_shards = setup.data_parallel if setup.distributed_optimizer else 1
    expert_shards = setup.expert_data_parallel if setup.distributed_optimizer else 1
    sharded = (trained.dense / dense_shards + trained.experts / expert_shards) * (1 - setup.on_host)
    return parts_of(
        ("weights", setup.weights * (frozen + trained.all)),
        ("gradients", setup.gradients * trained.all),
        ("optimizer's copy of the weights", setup.master * sharded),
        ("Adam's moments", setup.moments * sharded if with_moments else 0),
    )


def in_flight(setup: Megatron, stage: int) -> float:
    """Return how many micro batches' worth of a whole stage's activations a stage holds at its peak."""
    pp, vpp, count = setup.pp, setup.vpp, setup.micro_batches
    if vpp == 1:
        return min(count, pp - stage)
    warmup = min(count * vpp, 2 * (pp - stage - 1) + (vpp - 1) * pp)
    return min(count * vpp, warmup + 1) / vpp


def activations(setup: Megatron, stage: int) -> tuple[Part, ...]:
    """Return what micro batches in flight leave in a stage, and what the layer in its backward pass needs."""
    shape, tokens, split = setup.shape, setup.tokens, setup.split
    layers = stage_layers(setup)[stage]
    boundary = HALF * shape.hidden / split.sequence
    alike = counted(layers)
    whole = {id(layer): layer_bytes(shape, layer, setup.kernels, split) for layer, _ in alike}
    if setup.recompute == "full":
        recomputed = len(layers) if setup.recompute_layers is None else min(setup.recompute_layers, len(layers))
        kept = recomputed * boundary + sum(whole[id(layer)] for layer in layers[recomputed:])
        live = max((whole[id(layer)] for layer in layers[:recomputed]), default=0.0)
    elif setup.recompute == "selective":
        less = {id(layer): layer_bytes(shape, layer, setup.kernels, split, setup.recomputed) for layer, _ in alike}
        kept = sum(count * less[id(layer)] for layer, count in alike)
        live = max((whole[id(layer)] - less[id(layer)] for layer, _ in alike), default=0.0)
    else:
        kept, live = sum(count * whole[id(layer)] for layer, count in alike), 0.0
    working = max((backward_bytes(shape, layer, setup.kernels, split) for layer, _ in alike), default=0.0)
    return parts_of(
        ("activations", in_flight(setup, stage) * tokens * kept),
        ("the layer recomputed", tokens * live),
        ("gradients of a layer's activations", tokens * working),
        ("gradients of a layer's matrices", HALF * max((_matrices(setup, layer) for layer, _ in alike), default=0.0)),
    )


def _matrices(setup: Megatron, layer: Layer) -> float:
    """Count one matrix of each form of a layer: of experts, those of one.

    Each has a gradient in bf16 before, or, with fused accumulation, in place of, what is added in fp32; Transformer
    Engine keeps one for each form of matrix (``pytorch/module/base.py``, get_dummy_wgrad).
    """
    if setup.lora_rank:
        return 0.0
    experts = layer.experts / layer.expert_count / setup.etp if layer.expert_count else 0
    return (layer.attention + layer.mlp + layer.shared_experts) / setup.tp + layer.attention_replicated + experts


def backward_bytes(shape: Shape, layer: Layer, kernels: Kernels, split: Split) -> float:
    """Return the bytes a token of gradients that are alive at once in the backward pass of a layer.

    They are most in the feed-forward block: of its output, and of what goes into and out of the activation; the input
    of its first matrix is gathered again under sequence parallelism.
    """
    gate = HALF * (3 if layer.gated else 2)
    if layer.expert_count:
        copies = layer.experts_per_token / split.sequence
        moved = (2 if kernels.fused else 8) * HALF * shape.hidden * split.expert_tensor
        wide = copies * (gate * layer.expert_width + moved)
    else:
        wide = gate * layer.mlp_width / split.tensor
    gathered = HALF * shape.hidden if split.sequence > 1 else 0
    return wide + 2 * HALF * shape.hidden / split.sequence + gathered


def head(setup: Megatron, *, gradient: bool = True) -> tuple[Part, ...]:
    """Return what the last stage needs for logits and losses of one micro batch."""
    width = setup.vocab / setup.tp
    each = setup.head.alive if gradient else setup.head.without_gradient
    tokens = min(setup.tokens, setup.head.chunk) if setup.head.chunk else setup.tokens
    return parts_of(("logits", each * tokens * width))


def update(setup: Megatron, stage: int) -> tuple[Part, ...]:
    """Return what a rank of a stage holds at the peak of the forward and backward passes of an update."""
    held = states(setup, stage) + workspaces(setup)
    alive = activations(setup, stage)
    if stage < setup.pp - 1:
        return held + alive
    # The head's peak comes before any layer's backward pass.
    kept = tuple(part for part in alive if part.name in ("activations", "gradients of a layer's matrices"))
    table = 0 if setup.lora_rank else HALF * setup.vocab * setup.shape.hidden / setup.tp
    with_head = kept + head(setup) + hidden_states(setup) + parts_of(("gradient of the output layer", table))
    in_layers = alive
    larger = with_head if sum(p.size for p in with_head) > sum(p.size for p in in_layers) else in_layers
    return held + larger


def workspaces(setup: Megatron) -> tuple[Part, ...]:
    """Return what stays after a step besides states: workspaces of cuBLAS, and tensors that went between stages.

    A workspace has 32 MiB: one of PyTorch's, one of Transformer Engine and one for what it overlaps, four more for
    grouped products (``pytorch/cpp_extensions/gemm.py``). Of each piece of a stage, its last input and the gradient of
    its output stay referenced until the next step (``pipeline_parallel/schedules.py``).
    """
    count = 7 if setup.shape.is_moe and setup.grouped else 3
    crossing = 0 if setup.pp == 1 else max(3, 2 * setup.vpp)
    each = HALF * setup.shape.hidden * setup.tokens / setup.split.sequence
    return parts_of(("workspaces", count * 32 * 2**20), ("tensors between stages", crossing * each))


def hidden_states(setup: Megatron) -> tuple[Part, ...]:
    """Return the last hidden states: before and after their normalisation, and gathered for the head."""
    each = HALF * setup.shape.hidden
    return parts_of(("hidden states of the head", setup.tokens * (2 * each / setup.split.sequence + each)))


def worst_stage(setup: Megatron) -> int:
    """Return the stage with the highest peak in an update."""
    return setup.fullest_stage
