"""The weights of a model part by part, counted from its ``config.json``.

The counts equal those of transformers 5.9 to the last weight, for every model of ``architectures/models.yaml`` and each
family named in FAMILIES. A family that is not there is counted as Llama is, and ``Shape.assumed`` says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from grpo_launchpad.architectures import Architecture


@dataclass(frozen=True)
class Family:
    """What a family of models fixes in its code, not in its configuration.

    Attributes:
        qkv_bias: whether queries, keys and values have biases; None: as ``attention_bias`` says.
        output_bias: the same of attention's output.
        qk_norm: whether queries and keys are normalised a head; None: as ``use_qk_norm`` says.
        norms: normalisations of a layer that are as wide as the model.
        norm_vectors: vectors of one normalisation: 1 (RMSNorm) or 2 (LayerNorm with a bias).
        gated: whether the feed-forward block has a gate beside its first matrix, as SwiGLU has.
        mlp_bias: whether the feed-forward block has biases; None: as ``mlp_bias`` says.
        expert_bias: whether routed experts and the router have biases.
        correction_bias: whether the router has a bias that balances experts, one number an expert.
        sinks: whether attention has one number a head beside its matrices.
        ties_by_default: whether the output layer is the embedding where the configuration does not say.
    """

    qkv_bias: bool | None = None
    output_bias: bool | None = None
    qk_norm: bool | None = False
    norms: int = 2
    norm_vectors: int = 1
    gated: bool = True
    mlp_bias: bool | None = None
    expert_bias: bool = False
    correction_bias: bool = False
    sinks: bool = False
    ties_by_default: bool = False


_QWEN2 = Family(qkv_bias=True, output_bias=False, mlp_bias=False)
_QWEN3 = Family(qk_norm=True, mlp_bias=False)
_GLM4 = Family(output_bias=False, norms=4, mlp_bias=False)

FAMILIES: dict[str, Family] = {
    "llama": Family(),
    "mistral": Family(qkv_bias=False, output_bias=False, mlp_bias=False),
    "mixtral": Family(qkv_bias=False, output_bias=False, mlp_bias=False),
    "qwen2": _QWEN2,
    "qwen2_moe": _QWEN2,
    "qwen2_5_vl": _QWEN2,
    "qwen3": _QWEN3,
    "qwen3_moe": _QWEN3,
    "qwen3_vl": _QWEN3,
    "qwen3_vl_moe": _QWEN3,
    "qwen3_5": _QWEN3,
    "qwen3_5_moe": _QWEN3,
    "deepseek_v2": Family(mlp_bias=False),
    "deepseek_v3": Family(mlp_bias=False, correction_bias=True),
    "glm4": _GLM4,
    "glm4v": _GLM4,
    "glm4_moe": Family(output_bias=False, qk_norm=None, mlp_bias=False, correction_bias=True),
    "gemma2": Family(norms=4, mlp_bias=False, ties_by_default=True),
    "gpt_oss": Family(qkv_bias=True, output_bias=True, expert_bias=True, sinks=True),
}


@dataclass(frozen=True)
class Layer:
    """One decoder layer: its weights, and the widths that decide what a token leaves in memory.

    Attributes:
        kind: "full" attention; "sliding", over a window; "latent" (MLA), which caches one compressed vector a token;
            "linear", which keeps a state of fixed size.
        attention: weights of attention that tensor parallelism splits.
        attention_replicated: weights of attention that every rank of it holds: norms of heads, compressions of MLA.
        mlp: weights of the dense feed-forward block; 0 in a layer of experts.
        experts: weights of all routed experts.
        shared_experts: weights of the experts that every token passes, with their gate.
        router: weights of the router, its correction bias included.
        norms: weights of the layer's normalisations.
        q_width: width of all queries of a token (heads x width of a head).
        kv_width: width of all keys of a token, and of all values if they are as wide.
        v_width: width of attention's output before its projection (heads x width of a value).
        latent_width: of MLA: what it caches a token (compressed vector and the rotated part of the key); else 0.
        q_latent_width: of MLA: width of compressed queries; 0 if they are not compressed.
        mlp_width: width of the dense feed-forward block; 0 in a layer of experts.
        expert_width: width of one routed expert.
        expert_count: number of routed experts.
        experts_per_token: routed experts that a token passes.
        shared_width: width of the shared experts together.
        gated: whether feed-forward blocks have a gate.
        state: of linear attention: numbers that one sequence keeps; else 0.
        state_width: of linear attention: width of the mixed queries, keys and values; else 0.
        window: of sliding attention: its tokens; else 0.
    """

    kind: str
    attention: int
    attention_replicated: int
    mlp: int
    experts: int
    shared_experts: int
    router: int
    norms: int
    q_width: int
    kv_width: int
    v_width: int
    latent_width: int = 0
    q_latent_width: int = 0
    mlp_width: int = 0
    expert_width: int = 0
    expert_count: int = 0
    experts_per_token: int = 0
    shared_width: int = 0
    gated: bool = True
    state: int = 0
    state_width: int = 0
    window: int = 0

    @property
    def total(self) -> int:
        """All weights of the layer."""
        return self.dense + self.experts

    @property
    def dense(self) -> int:
        """The weights that are not routed experts'."""
        return self.attention + self.attention_replicated + self.mlp + self.shared_experts + self.router + self.norms

    @property
    def active(self) -> int:
        """The weights that one token passes."""
        routed = self.experts * self.experts_per_token // self.expert_count if self.expert_count else 0
        return self.dense + routed


@dataclass(frozen=True)
class Vision:
    """The tower that turns an image into tokens.

    Attributes:
        parameters: all its weights, the merger before the language model included.
        depth: layers.
        hidden: width.
        mlp_width: width of a layer's feed-forward block.
        heads: attention heads.
        patches_per_token: patches of an image that become one token of the language model.
        patch: side of a patch in pixels.
    """

    parameters: int
    depth: int
    hidden: int
    mlp_width: int
    heads: int
    patches_per_token: int
    patch: int


@dataclass(frozen=True)
class Shape:
    """The weights of a model.

    Attributes:
        hidden: width of the model.
        heads: query heads.
        kv_heads: heads of keys and values.
        head_dim: width of a query or key head.
        vocab: rows of the embedding.
        embedding: weights of the embedding.
        positions: weights of learned positions; 0 with rotary ones.
        head: weights of the output layer; 0 if it is the embedding.
        final_norm: weights of the normalisation before the output layer.
        layers: in order, without those of multi-token prediction.
        vision: the tower for images, or None.
        family: ``model_type``.
        assumed: in words, what was not known and how it was counted; empty for a known family.
    """

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    embedding: int
    positions: int
    head: int
    final_norm: int
    layers: tuple[Layer, ...]
    vision: Vision | None
    family: str
    assumed: tuple[str, ...] = ()

    @property
    def tied(self) -> bool:
        """Whether the output layer is the embedding."""
        return self.head == 0

    @property
    def total(self) -> int:
        """All weights: tied embeddings once, multi-token prediction not."""
        vision = self.vision.parameters if self.vision else 0
        return self.outside_layers + sum(count * layer.total for layer, count in counted(self.layers)) + vision

    @property
    def outside_layers(self) -> int:
        """Embedding, positions, output layer and last normalisation."""
        return self.embedding + self.positions + self.head + self.final_norm

    @property
    def active(self) -> int:
        """The weights that one token of text passes, the output layer and not the embedding."""
        output = self.head or self.embedding
        return output + self.final_norm + sum(count * layer.active for layer, count in counted(self.layers))

    @property
    def is_moe(self) -> bool:
        """Whether any layer has experts."""
        return any(layer.expert_count for layer in self.layers)

    def with_layers(self, count: int) -> "Shape":
        """Return the model with its first ``count`` layers, or, if it has fewer, its last one repeated."""
        repeated = (self.layers[-1],) * max(0, count - len(self.layers))
        return replace(self, layers=self.layers[:count] + repeated)


def counted(layers: Iterable[Layer]) -> list[tuple[Layer, int]]:
    """Return layers that differ, each with how often it is there: ``shape_of`` makes one object of those alike."""
    found: dict[int, tuple[Layer, int]] = {}
    for layer in layers:
        found[id(layer)] = (layer, found.get(id(layer), (layer, 0))[1] + 1)
    return list(found.values())


def shape_of(config: dict[str, Any], family: Family | None = None) -> Shape:
    """Count the weights of a model.

    Args:
        config: as ``config.json`` has it, with the language model nested as ``text_config`` or not.
        family: what the model's code fixes; by default FAMILIES' of ``model_type``.

    Raises:
        ValueError: if a field is missing or no number, or the weights are quantised; the text names it.
    """
    architecture = Architecture(
        name=str(config.get("_name_or_path") or config.get("model_type") or "model"),
        hub_names=(),
        config=config,
        source="",
        parameters=None,
    )
    text = architecture.text_config
    if quantised := (config.get("quantization_config") or text.get("quantization_config")):
        method = quantised.get("quant_method", "") if isinstance(quantised, dict) else quantised
        raise ValueError(f"{architecture.name}: the checkpoint is quantised ({method}); name the one it was made from")
    model_type = str(config.get("model_type", ""))
    assumed: tuple[str, ...] = ()
    if family is None:
        family = FAMILIES.get(model_type)
        if family is None:
            family = FAMILIES["llama"]
            known = ", ".join(sorted(FAMILIES))
            assumed = (f"model type {model_type or 'not given'}: its layers are counted as Llama's (known: {known})",)
    for name in ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"):
        if type(text.get(name)) is not int or text[name] < 1:
            raise ValueError(f"{architecture.name}: {name} of its configuration is {text.get(name)!r}, not a count")
    hidden, norm = architecture.hidden_size, family.norm_vectors * architecture.hidden_size
    alike: dict[Layer, Layer] = {}
    made = (_layer(architecture, family, index) for index in range(architecture.layers))
    layers = tuple(alike.setdefault(layer, layer) for layer in made)
    embedding = architecture.vocab_size * hidden
    tied = architecture.tied_embeddings
    if family.ties_by_default and "tie_word_embeddings" not in {**text, **config}:
        tied = True
    vision = None
    if architecture.is_vision_language:
        vision, unknown = _vision(model_type, config["vision_config"])
        assumed += unknown
    return Shape(
        hidden=hidden,
        heads=architecture.attention_heads,
        kv_heads=architecture.key_value_heads,
        head_dim=architecture.head_dim,
        vocab=architecture.vocab_size,
        embedding=embedding,
        positions=text.get("learned_positions", 0) * hidden,
        head=0 if tied else embedding,
        final_norm=norm,
        layers=layers,
        vision=vision,
        family=model_type,
        assumed=assumed,
    )


def _layer(architecture: Architecture, family: Family, index: int) -> Layer:
    hidden = architecture.hidden_size
    return Layer(
        **_attention(architecture, family, index),
        **_feed_forward(architecture, family, index),
        norms=family.norms * family.norm_vectors * hidden,
        gated=family.gated,
    )


def _attention(architecture: Architecture, family: Family, index: int) -> dict[str, Any]:
    text, hidden, heads = architecture.text_config, architecture.hidden_size, architecture.attention_heads
    if _is_linear(text, index):
        return _linear_attention(text, hidden)
    bias = bool(text.get("attention_bias"))
    output_bias = hidden if (bias if family.output_bias is None else family.output_bias) else 0
    if architecture.uses_latent_attention:
        return _latent_attention(text, hidden, heads, architecture.head_dim, bias)
    head_dim = architecture.head_dim
    q_width, kv_width = heads * head_dim, architecture.key_value_heads * head_dim
    gate = 2 if text.get("attn_output_gate") else 1
    qkv = gate * q_width + 2 * kv_width
    has_bias = bias if family.qkv_bias is None else family.qkv_bias
    qk_norm = bool(text.get("use_qk_norm")) if family.qk_norm is None else family.qk_norm
    windowed = _is_sliding(text, index)
    return {
        "kind": "sliding" if windowed else "full",
        "attention": hidden * qkv
        + (qkv if has_bias else 0)
        + q_width * hidden
        + output_bias
        + (heads if family.sinks else 0),
        "attention_replicated": 2 * head_dim if qk_norm else 0,
        "q_width": gate * q_width,
        "kv_width": kv_width,
        "v_width": q_width,
        "window": text["sliding_window"] if windowed else 0,
    }


def _is_linear(text: dict[str, Any], index: int) -> bool:
    """Say whether a layer's attention is linear; ``full_attention_interval`` names every how manyth is not."""
    if kinds := text.get("layer_types"):
        return index < len(kinds) and kinds[index] == "linear_attention"
    interval = text.get("full_attention_interval")
    return bool(interval) and (index + 1) % interval != 0


def _is_sliding(text: dict[str, Any], index: int) -> bool:
    if not text.get("sliding_window"):
        return False
    if kinds := text.get("layer_types"):
        return index < len(kinds) and kinds[index] == "sliding_attention"
    if text.get("model_type") == "gemma2":
        return index % 2 == 0
    if "use_sliding_window" in text:
        return bool(text["use_sliding_window"]) and index >= text.get("max_window_layers", 0)
    return text.get("model_type") in ("mistral", "mixtral")


def _latent_attention(text: dict[str, Any], hidden: int, heads: int, qk: int, bias: bool) -> dict[str, Any]:
    """Source: ``transformers/models/deepseek_v3/modeling_deepseek_v3.py``, DeepseekV3Attention."""
    rank, rotated, value = text["kv_lora_rank"], text["qk_rope_head_dim"], text["v_head_dim"]
    q_rank = text.get("q_lora_rank") or 0
    compressions = hidden * (rank + rotated) + rank + (rank + rotated if bias else 0)
    if q_rank:
        compressions += hidden * q_rank + q_rank + (q_rank if bias else 0)
    queries = (q_rank or hidden) * heads * qk
    keys_and_values = rank * heads * (text["qk_nope_head_dim"] + value)
    return {
        "kind": "latent",
        "attention": queries + keys_and_values + heads * value * hidden + (hidden if bias else 0),
        "attention_replicated": compressions,
        "q_width": heads * qk,
        "kv_width": heads * qk,
        "v_width": heads * value,
        "latent_width": rank + rotated,
        "q_latent_width": q_rank,
    }


def _linear_attention(text: dict[str, Any], hidden: int) -> dict[str, Any]:
    """Source: ``transformers/models/qwen3_5/modeling_qwen3_5.py``, Qwen3_5GatedDeltaNet."""
    key_heads, value_heads = text["linear_num_key_heads"], text["linear_num_value_heads"]
    key_dim, value_dim = text["linear_key_head_dim"], text["linear_value_head_dim"]
    keys, values = key_heads * key_dim, value_heads * value_dim
    mixed, kernel = 2 * keys + values, text["linear_conv_kernel_dim"]
    return {
        "kind": "linear",
        "attention": hidden * (mixed + values + 2 * value_heads) + mixed * kernel + 2 * value_heads + values * hidden,
        "attention_replicated": value_dim,
        "q_width": keys,
        "kv_width": keys,
        "v_width": values,
        "state": value_heads * key_dim * value_dim + mixed * (kernel - 1),
        "state_width": mixed + values,
    }


def _feed_forward(architecture: Architecture, family: Family, index: int) -> dict[str, Any]:
    text, hidden = architecture.text_config, architecture.hidden_size
    matrices = 3 if family.gated else 2
    if not _has_experts(architecture, index):
        width = architecture.intermediate_size
        has_bias = bool(text.get("mlp_bias")) if family.mlp_bias is None else family.mlp_bias
        bias = (matrices - 1) * width + hidden if has_bias else 0
        return {
            "mlp": matrices * hidden * width + bias,
            "experts": 0,
            "shared_experts": 0,
            "router": 0,
            "mlp_width": width,
        }
    count, width = architecture.experts, architecture.moe_intermediate_size
    bias = (matrices - 1) * width + hidden if family.expert_bias else 0
    shared_width = text.get("shared_expert_intermediate_size") or 0
    gate = hidden if shared_width and not text.get("n_shared_experts") else 0
    if text.get("n_shared_experts"):
        shared_width = text["n_shared_experts"] * width
    return {
        "mlp": 0,
        "experts": count * (matrices * hidden * width + bias),
        "shared_experts": matrices * hidden * shared_width + gate,
        "router": hidden * count + (count if family.correction_bias or family.expert_bias else 0),
        "expert_width": width,
        "expert_count": count,
        "experts_per_token": architecture.experts_per_token,
        "shared_width": shared_width,
    }


def _has_experts(architecture: Architecture, index: int) -> bool:
    text = architecture.text_config
    if not architecture.is_moe or index in (text.get("mlp_only_layers") or ()):
        return False
    if index < (text.get("first_k_dense_replace") or 0):
        return False
    if isinstance(pattern := text.get("moe_layer_freq"), list):
        return bool(pattern[index])
    return (index + 1) % (text.get("decoder_sparse_step") or 1) == 0


def _vision(model_type: str, vision: dict[str, Any]) -> tuple[Vision | None, tuple[str, ...]]:
    """Source: the vision classes of ``transformers/models/{qwen2_5_vl,qwen3_vl,qwen3_5,glm4v}``."""
    counts = {
        "qwen2_5_vl": _vision_of_qwen2_5,
        "qwen3_vl": _vision_of_qwen3,
        "qwen3_vl_moe": _vision_of_qwen3,
        "qwen3_5": _vision_of_qwen3,
        "qwen3_5_moe": _vision_of_qwen3,
        "glm4v": _vision_of_glm4,
    }
    if model_type not in counts:
        return None, (f"the vision tower of model type {model_type}: not counted",)
    shape = Vision(
        parameters=counts[model_type](vision),
        depth=vision["depth"],
        hidden=vision["hidden_size"],
        # GLM's tower is as wide as its output, whatever its configuration's intermediate_size is for
        mlp_width=vision["out_hidden_size"] if model_type == "glm4v" else vision["intermediate_size"],
        heads=vision["num_heads"],
        patches_per_token=vision["spatial_merge_size"] ** 2,
        patch=vision["patch_size"],
    )
    return shape, ()


def _patch_weights(vision: dict[str, Any]) -> int:
    channels = vision.get("in_channels") or vision.get("in_chans") or 3
    return channels * vision["temporal_patch_size"] * vision["patch_size"] ** 2 * vision["hidden_size"]


def _vision_of_qwen2_5(vision: dict[str, Any]) -> int:
    width, middle, out = vision["hidden_size"], vision["intermediate_size"], vision["out_hidden_size"]
    block = 2 * width + 4 * width * width + 4 * width + 3 * width * middle + 2 * middle + width
    merged = width * vision["spatial_merge_size"] ** 2
    merger = width + merged * merged + merged + merged * out + out
    return _patch_weights(vision) + vision["depth"] * block + merger


def _vision_of_qwen3(vision: dict[str, Any]) -> int:
    width, middle, out = vision["hidden_size"], vision["intermediate_size"], vision["out_hidden_size"]
    block = 4 * width + 4 * width * width + 4 * width + 2 * width * middle + middle + width
    merged = width * vision["spatial_merge_size"] ** 2
    matrices = merged * merged + merged + merged * out + out
    deeper = len(vision.get("deepstack_visual_indexes") or ())
    outside = _patch_weights(vision) + width + vision["num_position_embeddings"] * width
    return outside + vision["depth"] * block + 2 * width + matrices + deeper * (2 * merged + matrices)


def _vision_of_glm4(vision: dict[str, Any]) -> int:
    width, middle, out = vision["hidden_size"], vision["intermediate_size"], vision["out_hidden_size"]
    bias = 3 * width if vision.get("attention_bias") else 0
    block = 2 * width + 4 * width * width + bias + 3 * width * out
    positions = (vision["image_size"] // vision["patch_size"]) ** 2 * width
    downsample = width * out * vision["spatial_merge_size"] ** 2 + out
    merger = out * out + 2 * out + 3 * out * middle
    return _patch_weights(vision) + width + positions + 2 * width + vision["depth"] * block + downsample + merger
