"""Memory of a trainer under FSDP: shards between steps, what is gathered, activations, and the optimizer's step.

Source: PyTorch 2.13 ``distributed/fsdp`` (FSDP1: one flat weight a unit, the root unit gathered to the end) and
``distributed/fsdp/_fully_shard`` (FSDP2), ``optim/adam.py`` (foreach copies the second moment once); verl 0.9.1
``utils/fsdp_utils.py:573`` (which modules FSDP2 wraps) and ``workers/engine/fsdp/transformer_impl.py``.
"""

from dataclasses import dataclass

from grpo_launchpad.estimate.activations import FULL, HALF, Kernels, Split, layer_bytes, norm_bytes
from grpo_launchpad.estimate.architecture import Layer, Shape, counted
from grpo_launchpad.estimate.megatron import Head, adapter_weights, backward_bytes
from grpo_launchpad.estimate.parts import Part, parts_of, total

# bf16 logits, into which flash-attention's cross entropy writes the gradient.
FLASH_HEAD = Head(alive=HALF, without_gradient=HALF)
# PyTorch's cross entropy: bf16 logits, their log-softmax in fp32, and two gradients in fp32.
EAGER_HEAD = Head(alive=HALF + 3 * FULL, without_gradient=HALF + 2 * FULL)
# The same compiled: bf16 logits, their gradient in fp32 and in bf16.
COMPILED_HEAD = Head(alive=2 * HALF + FULL, without_gradient=HALF)
# Ascend's cross entropy gives log-probabilities of the whole vocabulary in fp32 beside bf16 logits.
NPU_HEAD = Head(alive=HALF + FULL, without_gradient=HALF + FULL)


@dataclass(frozen=True)
class Fsdp:
    """A trainer under FSDP, or on one device, which is FSDP over one.

    Attributes:
        shape: of the model.
        version: 1 or 2.
        shards: devices that share one copy of the weights.
        tensor: ranks that share a layer by tensor parallelism.
        tokens: of a micro batch on one device, after the split of sequences.
        micro_batches: of an update on one device.
        weights: bytes of a weight as it is stored: 4 is verl's default, whatever it computes in.
        gradients: bytes of a stored gradient.
        moments: bytes of both moments.
        recompute: "none", "full", "alternate" (every second layer), or "selective" (every second matrix's product and
            attention's output are kept).
        activations_on_host: whether layers' inputs wait on the host.
        kernels: how layers compute.
        head: how losses are computed.
        lora_rank: of adapters; 0 trains all weights.
        lora_all: whether adapters are on all linear layers, or on queries and values alone.
        weights_on_host: whether weights, gradients and moments stay on the host (CPUOffloadPolicy).
        accumulates: whether gradients of micro batches are kept whole on each device (no_sync).
        copies_moments: whether the optimizer copies the second moment during its step (foreach).
        computes_in_storage: whether weights are computed with as they are stored, without a copy in bf16: one device.
        expert_parallel: devices that share out experts, whose weights are then gathered in parts.
        keeps_gradients: whether gradients stay alive besides the weights; False if each is applied at once.
    """

    shape: Shape
    version: int = 2
    shards: int = 1
    tensor: int = 1
    tokens: int = 4096
    micro_batches: int = 2
    weights: float = FULL
    gradients: float = FULL
    moments: float = 2 * FULL
    recompute: str = "full"
    activations_on_host: bool = False
    kernels: Kernels = Kernels(fused=False)
    head: Head = FLASH_HEAD
    lora_rank: int = 0
    lora_all: bool = True
    weights_on_host: bool = False
    accumulates: bool = False
    copies_moments: bool = True
    computes_in_storage: bool = False
    expert_parallel: int = 1
    keeps_gradients: bool = True

    @property
    def split(self) -> Split:
        """How activations are divided."""
        return Split(self.tensor, self.tensor, self.tensor)

    @property
    def largest_layer(self) -> float:
        """Weights of the largest layer as a device gathers it."""
        layers = counted(self.shape.layers)
        return max(layer.dense + layer.experts / self.expert_parallel for layer, _ in layers)

    @property
    def trained(self) -> int:
        """Weights with gradients."""
        if not self.lora_rank:
            return self.shape.total
        if self.lora_all:
            alike = counted(self.shape.layers)
            return sum(count * adapter_weights(self.shape, layer, self.lora_rank) for layer, count in alike)
        hidden = self.shape.hidden
        return sum(self.lora_rank * (2 * hidden + layer.q_width + layer.kv_width) for layer in self.shape.layers)

    @property
    def stored(self) -> int:
        """All weights, adapters included."""
        return self.shape.total + (self.trained if self.lora_rank else 0)


def states(setup: Fsdp, *, with_moments: bool = True, with_gradients: bool = True) -> tuple[Part, ...]:
    """Return the shards of one device."""
    if setup.weights_on_host:
        return ()
    shards = setup.shards * setup.tensor
    return parts_of(
        ("weights", setup.weights * setup.stored / shards),
        ("gradients", setup.gradients * setup.trained / shards if with_gradients and setup.keeps_gradients else 0),
        ("Adam's moments", setup.moments * setup.trained / shards if with_moments else 0),
        (
            "gradients of all micro batches, whole",
            FULL / (1 if setup.version == 2 else 2) * setup.trained / setup.tensor
            if with_gradients and setup.accumulates and setup.micro_batches > 1
            else 0,
        ),
    )


def gathered(setup: Fsdp) -> tuple[Part, ...]:
    """Return the weights that are whole on a device while a layer computes: it, the next one, and the root's."""
    if setup.computes_in_storage:
        return ()
    layer = setup.largest_layer
    return parts_of(
        ("two layers' weights, gathered", 2 * HALF * layer / setup.tensor),
        ("embedding and output layer, gathered", HALF * _root(setup) / setup.tensor),
    )


def _root(setup: Fsdp) -> int:
    """Weights of the unit that stays gathered: under FSDP1, or with tied embeddings, all outside layers."""
    shape = setup.shape
    vision = shape.vision.parameters if shape.vision and setup.version == 1 else 0
    if setup.version == 1 or shape.tied:
        return shape.outside_layers + vision
    return shape.final_norm


def kept(setup: Fsdp) -> float:
    """Return the bytes a token leaves in all layers until their backward pass."""
    shape, split = setup.shape, setup.split
    boundary = HALF * shape.hidden / split.sequence
    if setup.activations_on_host:
        return 2 * boundary
    if setup.recompute == "full":
        return len(shape.layers) * boundary
    if setup.recompute == "selective":
        return sum(count * _selective(shape, layer, split) for layer, count in counted(shape.layers))
    whole = sum(count * layer_bytes(shape, layer, setup.kernels, split) for layer, count in counted(shape.layers))
    return (whole + len(shape.layers) * boundary) / 2 if setup.recompute == "alternate" else whole


def _selective(shape: Shape, layer: Layer, split: Split) -> float:
    width = layer.mlp_width + layer.shared_width + layer.experts_per_token * layer.expert_width
    products = layer.q_width + 2 * layer.kv_width + 2 * shape.hidden + 2 * width
    attention = HALF * layer.v_width + FULL * shape.heads
    return HALF * shape.hidden / split.sequence + (HALF * products / 2 + attention) / split.tensor


def live_layer(setup: Fsdp) -> float:
    """Return the bytes a token needs while one layer is recomputed and goes backward."""
    shape, split = setup.shape, setup.split
    largest = 0.0
    for layer, _ in counted(shape.layers):
        again = layer_bytes(shape, layer, setup.kernels, split) if setup.recompute != "none" else 0.0
        largest = max(largest, again + backward_bytes(shape, layer, setup.kernels, split))
    return largest


def update(setup: Fsdp) -> tuple[Part, ...]:
    """Return what one device holds at the peak of the forward and backward passes of an update.

    Three moments can be the highest: the head's backward pass, over the activations of all layers; the backward pass of
    the last layer; and the end, when what is outside layers reduces its gradients.
    """
    held = states(setup) + gathered(setup)
    activations = ("activations", setup.tokens * kept(setup))
    at_head = parts_of(
        activations,
        ("logits", _logits(setup)),
        (
            "hidden states of the head",
            setup.tokens * (norm_bytes(setup.shape, setup.kernels) + 2 * HALF * setup.shape.hidden),
        ),
        ("output layer and its gradient", _head_weights(setup)),
    )
    in_layer = parts_of(
        activations,
        ("the layer going backward", setup.tokens * live_layer(setup)),
        ("a layer's gradients, whole", _layer_gradients(setup)),
    )
    at_end = parts_of(("gradients outside layers, whole", _outside_gradients(setup)))
    return held + max((at_head, in_layer, at_end), key=total)


def _logits(setup: Fsdp) -> float:
    tokens = min(setup.tokens, setup.head.chunk) if setup.head.chunk else setup.tokens
    return setup.head.alive * tokens * setup.shape.vocab / setup.tensor


def _head_weights(setup: Fsdp) -> float:
    """The output layer as it computes, if not gathered with the root, and its gradient in bf16."""
    table = setup.shape.head or setup.shape.embedding
    whole = 0 if setup.computes_in_storage or _root(setup) > setup.shape.final_norm else HALF * table
    gradient = 0 if setup.lora_rank or not setup.keeps_gradients else HALF * table
    return (whole + gradient) / setup.tensor


def _layer_gradients(setup: Fsdp) -> float:
    """Gradients of a layer in bf16, and in fp32 on their way to be summed."""
    layer = setup.largest_layer
    if setup.lora_rank or setup.computes_in_storage:
        return 0.0
    return (HALF + FULL) * layer / setup.tensor


def _outside_gradients(setup: Fsdp) -> float:
    if setup.lora_rank or setup.computes_in_storage:
        return 0.0
    shape = setup.shape
    outside = shape.outside_layers if _root(setup) > shape.final_norm else shape.embedding
    return (HALF + FULL) * outside / setup.tensor


def log_probabilities(setup: Fsdp, *, entropy_bytes: float = 0.0) -> tuple[Part, ...]:
    """Return what one device holds at the peak of a forward pass without gradients.

    Args:
        setup: of the trainer.
        entropy_bytes: further bytes a logit that the entropy needs.
    """
    shape, tokens = setup.shape, setup.tokens
    width = max(layer_bytes(shape, layer, setup.kernels, setup.split) for layer, _ in counted(shape.layers))
    chunk = min(tokens, setup.head.chunk) if setup.head.chunk else tokens
    logits = (setup.head.without_gradient + entropy_bytes) * chunk * shape.vocab / setup.tensor
    table = HALF * (shape.head or shape.embedding) / setup.tensor
    at_head = parts_of(
        ("logits", logits),
        ("hidden states of the head", 3 * HALF * tokens * shape.hidden),
        ("output layer", 0 if setup.computes_in_storage or _root(setup) > shape.final_norm else table),
    )
    in_layer = parts_of(("a layer's activations", tokens * width))
    return gathered(setup) + max((at_head, in_layer), key=total)


def optimizer_step(setup: Fsdp) -> tuple[Part, ...]:
    """Return what one device holds at the peak of the optimizer's step."""
    copy = setup.moments / 2 * setup.trained / (setup.shards * setup.tensor)
    held = states(setup)
    return held + parts_of(("copy of the second moment", copy if setup.copies_moments and held else 0))


def peak(setup: Fsdp) -> tuple[Part, ...]:
    """Return the larger of an update's two peaks."""
    return max((update(setup), optimizer_step(setup)), key=total)
