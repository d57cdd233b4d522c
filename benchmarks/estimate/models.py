"""The architecture of the model that a calibration row names, cut and changed as the row says."""

import functools
from pathlib import Path
from typing import Any

import yaml

from grpo_launchpad.architectures import published
from grpo_launchpad.estimate.architecture import FAMILIES, Family, Shape, shape_of

TABLE = Path(__file__).with_name("models.yaml")
# The GPT of Megatron-LM's functional tests: LayerNorm with a bias, GELU, learned positions unless the row says more.
MEGATRON_GPT = Family(norm_vectors=2, gated=False)


class UnknownModelError(ValueError):
    """No architecture is known for a row's model; the text says which."""


def shape_of_row(row: dict[str, Any]) -> Shape:
    """Return the shape of a row's model.

    Raises:
        UnknownModelError: if it is not known, or is of a kind that is not counted.
    """
    arch = row["extra"].get("arch") or {}
    if str(row["model"]).startswith("megatron-ci/"):
        return _of_megatron_arguments(arch, row)
    if row["model"] is None:
        raise UnknownModelError("the row names no model")
    config = dict(config_of(row["model"]))
    text = dict(config.get("text_config") or config)
    changed = {
        "num_hidden_layers": row["extra"].get("num_layers"),
        "num_key_value_heads": arch.get("kv_heads"),
        "first_k_dense_replace": arch.get("dense_layers"),
    }
    text |= {name: value for name, value in changed.items() if value is not None}
    return shape_of(config | {"text_config": text} if "text_config" in config else text)


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    names = table.pop("fields")
    same = table.pop("same")
    configs: dict[str, dict[str, Any]] = {}
    for family, models in table.items():
        shared = models.pop("fields", {})
        for model, values in models.items():
            own = dict(values) if isinstance(values, dict) else {"fields": values}
            fields = dict(zip(names, own.pop("fields"), strict=True))
            configs[model.lower()] = {"model_type": family, **shared, **fields, **own}
    return configs | {name.lower(): {"same": other} for name, other in same.items()}


def config_of(model: str) -> dict[str, Any]:
    """Return the configuration of a model by its repository.

    Raises:
        UnknownModelError: if neither table has it.
    """
    entry = _table().get(model.lower())
    if entry and "same" not in entry:
        return entry
    known = published(entry["same"] if entry else model)
    if known is None:
        raise UnknownModelError(f"the architecture of {model} is not known")
    return known.config


def _of_megatron_arguments(arch: dict[str, Any], row: dict[str, Any]) -> Shape:
    """Source: the defaults of Megatron-LM's ``megatron/training/arguments.py``."""
    if arch.get("hybrid-layer-pattern") or arch.get("squared-relu"):
        raise UnknownModelError("layers of Mamba are not counted")
    if arch.get("mtp-num-layers"):
        raise UnknownModelError("layers of multi-token prediction are not counted")
    hidden, heads = arch["hidden-size"], arch["num-attention-heads"]
    bias = not arch.get("disable-bias-linear")
    gated = bool(arch.get("swiglu"))
    width = arch.get("ffn-hidden-size") or (hidden * 8 // 3 // 64 * 64 if gated else 4 * hidden)
    config = {
        "model_type": "megatron",
        "num_hidden_layers": arch["num-layers"],
        "hidden_size": hidden,
        "intermediate_size": width,
        "num_attention_heads": heads,
        "num_key_value_heads": arch.get("num-query-groups") if arch.get("group-query-attention") else heads,
        "head_dim": arch.get("kv-channels") or hidden // heads,
        "vocab_size": arch.get("vocab-size") or (32000 if "Llama2" in arch.get("tokenizer-type", "") else 50257),
        "tie_word_embeddings": not arch.get("untie-embeddings-and-output-weights"),
        "attention_bias": bias,
        "mlp_bias": bias,
        "learned_positions": 0 if arch.get("position-embedding-type") in ("rope", "none") else row["seq_len"],
    }
    if multiple := arch.get("make-vocab-size-divisible-by"):
        config["vocab_size"] = -(-config["vocab_size"] // multiple) * multiple
    if arch.get("num-experts"):
        dense = 1 if arch.get("moe-layer-freq") else 0
        config |= {
            "num_experts": arch["num-experts"],
            "num_experts_per_tok": arch.get("moe-router-topk") or 2,
            "moe_intermediate_size": arch.get("moe-ffn-hidden-size") or config["intermediate_size"],
            "shared_expert_intermediate_size": arch.get("moe-shared-expert-intermediate-size") or 0,
            "first_k_dense_replace": dense,
        }
    if arch.get("multi-latent-attention"):
        config |= {
            "q_lora_rank": arch.get("q-lora-rank"),
            "kv_lora_rank": arch["kv-lora-rank"],
            "qk_nope_head_dim": arch["qk-head-dim"],
            "qk_rope_head_dim": arch["qk-pos-emb-head-dim"],
            "v_head_dim": arch["v-head-dim"],
        }
    return shape_of(config, Family(norm_vectors=2, gated=gated, expert_bias=bias))


__all__ = ["FAMILIES", "UnknownModelError", "config_of", "shape_of_row"]
