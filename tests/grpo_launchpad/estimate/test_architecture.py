"""Weights are counted as transformers makes them."""

import pytest

from grpo_launchpad.architectures import all_published
from grpo_launchpad.estimate.architecture import FAMILIES, shape_of

SMALL = {
    "num_hidden_layers": 3,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "head_dim": 16,
}
EXPERTS = {"num_experts": 4, "moe_intermediate_size": 32, "num_experts_per_tok": 2}
# Families of which no launcher has a model.
OTHERS = {
    "llama": {"attention_bias": True, "mlp_bias": True},
    "mixtral": {"num_local_experts": 4},
    "qwen2_moe": {**EXPERTS, "shared_expert_intermediate_size": 48, "layer_types": ["full_attention"] * 3},
    "qwen3_moe": {**EXPERTS, "mlp_only_layers": [1]},
    "gemma2": {},
    "gpt_oss": {"num_local_experts": 4, "layer_types": ["full_attention"] * 3},
    "deepseek_v2": {
        "q_lora_rank": 32,
        "kv_lora_rank": 16,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 16,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "moe_intermediate_size": 32,
        "first_k_dense_replace": 1,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "num_key_value_heads": 4,
    },
}


@pytest.mark.parametrize("model", all_published(), ids=lambda model: model.name)
def test_counts_every_weight_of_the_launchers_models(model):
    shape = shape_of(model.config)
    assert shape.total == model.parameters
    assert shape.assumed == ()


@pytest.mark.parametrize("family", OTHERS)
def test_counts_every_weight_of_other_families(family):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    fields = {**SMALL, **OTHERS[family]}
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(family, **fields))
    built = sum(weight.numel() for weight in model.parameters())
    assert shape_of({"model_type": family, **fields}).total == built


def test_every_family_of_the_launchers_is_known():
    assert {model.model_type for model in all_published()} <= set(FAMILIES)


def test_an_unknown_family_is_counted_as_llama_and_says_so():
    llama, other = shape_of({"model_type": "llama", **SMALL}), shape_of({"model_type": "new", **SMALL})
    assert other.total == llama.total
    assert "model type new" in other.assumed[0]
    assert llama.assumed == ()


def test_experts_that_a_token_passes():
    shape = shape_of({"model_type": "qwen3_moe", **SMALL, **EXPERTS})
    layer = shape.layers[0]
    assert layer.experts == 4 * 3 * 64 * 32
    assert layer.total - layer.active == layer.experts // 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"quantization_config": {"quant_method": "awq"}}, "awq"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"hidden_size": "64"}, "hidden_size"),
        ({"vocab_size": None}, "vocab_size"),
    ],
)
def test_what_cannot_be_counted_is_named(change, named):
    with pytest.raises(ValueError, match=named):
        shape_of({"model_type": "llama", **SMALL, **change})


def test_layers_can_be_cut_and_repeated():
    shape = shape_of({"model_type": "llama", **SMALL})
    assert len(shape.with_layers(2).layers) == 2
    assert shape.with_layers(5).layers[-1] == shape.layers[-1]
