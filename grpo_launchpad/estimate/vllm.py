"""Memory of the rollout engine on one device: weights, what its profiling run takes, and the cache of keys and values.

Source: vLLM 0.28 ``v1/worker/gpu_worker.py`` (determine_available_memory: what remains of the share after weights, the
peak of a profiling run, memory outside PyTorch and graphs is cache), ``v1/core/kv_cache_utils.py``.
"""

from dataclasses import dataclass

from grpo_launchpad.estimate.activations import FULL, HALF
from grpo_launchpad.estimate.architecture import Layer, Shape, counted
from grpo_launchpad.estimate.parts import GIB, Part, parts_of

# NCCL's and CUDA's buffers beside PyTorch's pool. Measured: 0.3 GiB for Qwen2.5-32B on two L40S (calibration).
OUTSIDE_PYTORCH = 0.3 * GIB
# Graphs of the batch sizes that are captured, in their own pool: about 10 MiB each of 51 sizes, and their inputs.
GRAPHS = 0.6 * GIB
# What a sleeping engine's process keeps: CUDA's context, NCCL, graphs. Measured between 1.5 and 3 GiB.
ASLEEP = 1.6 * GIB


@dataclass(frozen=True)
class Vllm:
    """A rollout engine.

    Attributes:
        shape: of the model.
        tensor: devices that share its layers.
        share: of the device's memory that it may use.
        batched_tokens: of one step, at most.
        sequences: of one step, at most.
        eager: whether no graphs are captured.
        cache_bytes: of a number in the cache: 2, or 1 for fp8.
        lora_rank: of adapters, beside the base weights.
        expert_parallel: devices that share out experts; 1: tensor parallelism splits each.
        weight_bytes: of a weight.
    """

    shape: Shape
    tensor: int = 1
    share: float = 0.5
    batched_tokens: int = 8192
    sequences: int = 256
    eager: bool = False
    cache_bytes: float = HALF
    lora_rank: int = 0
    expert_parallel: int = 1
    weight_bytes: float = HALF


def weights(setup: Vllm) -> float:
    """Return the bytes of weights on one device: the vision tower whole, heads of keys not below one a device."""
    shape, tp = setup.shape, setup.tensor
    total = float(shape.embedding + shape.head + shape.positions) / tp + shape.final_norm
    for layer, count in counted(shape.layers):
        experts = layer.experts / max(tp, setup.expert_parallel)
        total += count * ((layer.attention + layer.mlp + layer.shared_experts) / tp + experts)
        total += count * (layer.attention_replicated + layer.router + layer.norms)
        if layer.kind in ("full", "sliding") and shape.kv_heads < tp:  # each device has one head, so some are copies
            head = layer.kv_width / shape.kv_heads
            total += count * 2 * shape.hidden * head * (1 - shape.kv_heads / tp)
    total += shape.vision.parameters if shape.vision else 0
    return setup.weight_bytes * total


def adapters(setup: Vllm) -> float:
    """Return the bytes of the slot for an adapter: all linear layers, one adapter of the highest rank."""
    if not setup.lora_rank:
        return 0.0
    from grpo_launchpad.estimate.megatron import adapter_weights

    alike = counted(setup.shape.layers)
    total = sum(count * adapter_weights(setup.shape, layer, setup.lora_rank) for layer, count in alike)
    return HALF * total / setup.tensor


def cache_bytes_per_token(setup: Vllm) -> float:
    """Return the bytes of one token's keys and values on one device.

    A head is on one device at least, so that with fewer heads than devices some hold the same. Compressed vectors (MLA)
    are on every device. Linear attention has a state a sequence and no token.
    """
    return sum(count * _cached(setup, layer) for layer, count in counted(setup.shape.layers))


def _cached(setup: Vllm, layer: Layer) -> float:
    if layer.kind == "linear":
        return 0.0
    if layer.kind == "latent":
        return setup.cache_bytes * layer.latent_width
    heads = max(1, -(-setup.shape.kv_heads // setup.tensor))
    return setup.cache_bytes * 2 * heads * setup.shape.head_dim


def profile_peak(setup: Vllm) -> float:
    """Return the bytes of activations in a step of as many tokens as the engine takes, and of sampling.

    The widest is the feed-forward block, between its two matrices; then logits of as many sequences, in bf16 and fp32,
    and the sorted copy of sampling.
    """
    shape, tp = setup.shape, setup.tensor
    widest = 0.0
    for layer, _ in counted(shape.layers):
        width = (layer.mlp_width or layer.shared_width + layer.experts_per_token * layer.expert_width) / tp
        inputs = layer.experts_per_token * shape.hidden if layer.expert_count else 0
        qkv = (layer.q_width + 2 * layer.kv_width + layer.v_width) / tp
        widest = max(widest, HALF * max((3 if layer.gated else 2) * width + inputs, qkv))
    step = setup.batched_tokens * (widest + 4 * HALF * shape.hidden)
    sampling = setup.sequences * shape.vocab * (HALF + 2 * FULL)
    return step + sampling


def pool(setup: Vllm, memory: int) -> tuple[Part, ...]:
    """Return how the engine divides its share of a device; a negative cache is left out, and ``cache`` says it.

    Args:
        setup: of the engine.
        memory: bytes of the device.
    """
    return parts_of(
        ("weights of the engine", weights(setup)),
        ("adapters of the engine", adapters(setup)),
        ("activations of the engine", profile_peak(setup)),
        ("graphs", 0 if setup.eager else GRAPHS),
        ("outside PyTorch", OUTSIDE_PYTORCH),
        ("KV cache", cache(setup, memory)),
    )


def cache(setup: Vllm, memory: int) -> float:
    """Return the bytes that remain for keys and values; below 0 if the engine cannot start."""
    graphs = 0 if setup.eager else GRAPHS
    taken = weights(setup) + adapters(setup) + profile_peak(setup) + graphs + OUTSIDE_PYTORCH
    return setup.share * memory - taken


def state_bytes_per_sequence(setup: Vllm) -> float:
    """Return the bytes of linear attention's states of one sequence on one device."""
    return sum(count * setup.cache_bytes * layer.state for layer, count in counted(setup.shape.layers)) / setup.tensor
