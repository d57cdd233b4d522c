"""Shapes and setups that can be computed by hand."""

import pytest

from grpo_launchpad.estimate.architecture import Shape, shape_of

QWEN2_7B = {
    "model_type": "qwen2",
    "num_hidden_layers": 28,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}


@pytest.fixture(scope="session")
def qwen2_7b() -> Shape:
    return shape_of(QWEN2_7B)


@pytest.fixture(scope="session")
def experts() -> Shape:
    return shape_of(
        {
            "model_type": "qwen3_moe",
            "num_hidden_layers": 4,
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 32,
            "vocab_size": 1000,
            "num_experts": 16,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 128,
        }
    )
