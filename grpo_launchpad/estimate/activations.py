"""What a token leaves in memory for the backward pass, a layer and a kind of kernels at a time.

Two kinds of kernels are counted:

``fused``: Megatron-Core with Transformer Engine. A matrix after a normalisation keeps the normalised input; the gate of
SwiGLU keeps both halves of its input; attention keeps queries, keys, values, output and one number a head.

``transformers``: the eager layers of transformers under FSDP. A normalisation computes in fp32 and keeps its input in
fp32 and its product in bf16; the gate keeps both halves, the activated one and the product.

Source of the method: Korthikanti et al. 2022 (arXiv 2205.05198), counted anew tensor by tensor, since normalisation,
attention and gate of these kernels keep other tensors than those of that paper.
"""

from dataclasses import dataclass

from grpo_launchpad.estimate.architecture import Layer, Shape

# Bytes of the two types.
HALF, FULL = 2, 4


@dataclass(frozen=True)
class Kernels:
    """How layers compute.

    Attributes:
        fused: Transformer Engine's kernels; otherwise transformers' eager ones.
        compiled: torch.compile, which keeps fewer intermediates of normalisations and gates.
        dropout: whether masks of dropout are kept: a byte an element.
        scores: tokens of a sequence where attention keeps its matrix of scores; 0 with flash attention.
    """

    fused: bool = True
    compiled: bool = False
    dropout: bool = False
    scores: int = 0


@dataclass(frozen=True)
class Split:
    """How a layer's activations are divided.

    Attributes:
        tensor: ranks that share attention and feed-forward blocks.
        sequence: ranks that share what lies between them: ``tensor`` with sequence parallelism, else 1.
        expert_tensor: ranks that share an expert.
    """

    tensor: int = 1
    sequence: int = 1
    expert_tensor: int = 1


def layer_bytes(
    shape: Shape, layer: Layer, kernels: Kernels, split: Split, recomputed: frozenset[str] = frozenset()
) -> float:
    """Return the bytes a token leaves in one layer until its backward pass.

    Args:
        shape: of the model.
        layer: of it.
        kernels: how it computes.
        split: over how many ranks.
        recomputed: Megatron's modules of selective recomputation: core_attn, layernorm, mlp, moe, moe_act,
            mla_up_proj, shared_experts.
    """
    norm = norm_bytes(shape, kernels) / split.sequence
    # An eager normalisation keeps its input in fp32, and nothing keeps it in bf16.
    stream = HALF * shape.hidden / split.sequence if kernels.fused or kernels.compiled else 0
    return (
        attention_bytes(shape, layer, kernels, split, recomputed)
        + feed_forward_bytes(shape, layer, kernels, split, recomputed)
        + (0 if "layernorm" in recomputed else 2 * norm)
        + 2 * stream  # before attention and before the feed-forward block
    )


def norm_bytes(shape: Shape, kernels: Kernels) -> float:
    """Return the bytes of one normalisation a token, without its input in bf16, which the residual stream is."""
    if kernels.fused or kernels.compiled:
        return HALF * shape.hidden
    return (FULL + HALF + HALF) * shape.hidden


def attention_bytes(
    shape: Shape, layer: Layer, kernels: Kernels, split: Split, recomputed: frozenset[str] = frozenset()
) -> float:
    """Return what the attention of a layer keeps, between its normalisation and its output."""
    width = layer.q_width + layer.kv_width
    kept: float = HALF * (width + layer.v_width)  # queries, keys, output
    if layer.kind == "latent":
        # The compressed vectors, before and after their normalisation; values are a part of a wider tensor.
        compressed = 2 * HALF * (layer.q_latent_width + layer.latent_width)
        if "mla_up_proj" in recomputed:
            return compressed + HALF * layer.v_width / split.tensor
        # Values lie in one tensor with the keys that are not rotated.
        return compressed + (kept + 2 * HALF * layer.v_width + _scores(shape, kernels)) / split.tensor
    if layer.kind == "linear":
        return HALF * (2 * layer.state_width + 3 * layer.v_width + width) / split.tensor
    kept += HALF * layer.kv_width
    return (kept + _scores(shape, kernels)) / split.tensor + _mask(shape, kernels) / split.sequence


def _scores(shape: Shape, kernels: Kernels) -> float:
    """Flash attention keeps a number a head and token; otherwise the softmax is kept, with dropout what it makes."""
    if not kernels.scores:
        return FULL * shape.heads
    return shape.heads * kernels.scores * (HALF + (HALF + 1 if kernels.dropout else 0))


def _mask(shape: Shape, kernels: Kernels) -> float:
    return shape.hidden if kernels.dropout else 0


def feed_forward_bytes(
    shape: Shape, layer: Layer, kernels: Kernels, split: Split, recomputed: frozenset[str] = frozenset()
) -> float:
    """Return what the feed-forward block of a layer keeps, between its normalisation and its output."""
    per_width = _gate_bytes(layer.gated, kernels)
    if not layer.expert_count:
        if "mlp" in recomputed:
            return 0
        return per_width * layer.mlp_width / split.tensor + _mask(shape, kernels) / split.sequence
    if "moe" in recomputed:
        return 0
    # A rank's part of the sequence goes to experts, once for each that a token passes; ranks that share an expert
    # gather each other's tokens and hold a part of its width.
    copies = layer.experts_per_token / split.sequence
    act = HALF if "moe_act" in recomputed else 0
    # Without Transformer Engine's permutation: gathered, in fp32 with its weight, and what the expert gave.
    each = HALF if kernels.fused else HALF + FULL + HALF
    inputs = each * shape.hidden * split.expert_tensor
    routed = copies * (inputs + (per_width - act) * layer.expert_width)
    shared = 0.0 if "shared_experts" in recomputed else per_width * layer.shared_width / split.tensor
    router = 3 * FULL * layer.expert_count
    return routed + shared + router / split.sequence


def _gate_bytes(gated: bool, kernels: Kernels) -> float:
    """Bytes a token and unit of width: what the first matrices give, what the activation makes of it."""
    if kernels.fused:
        return HALF * (3 if gated else 2)
    if kernels.compiled:
        return HALF * (3 if gated else 2)
    return HALF * (4 if gated else 2)
