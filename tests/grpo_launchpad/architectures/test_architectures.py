import json
import subprocess
import sys
from pathlib import Path

import pytest

from grpo_launchpad.architectures import Architecture, all_published, of_model, published

MODELS = all_published()
NAMES = [model.name for model in MODELS]
DIMENSIONS = [name for name, value in vars(Architecture).items() if isinstance(value, property)]
DIMENSIONS.remove("text_config")


def leaves(value):
    """Every value of a nested configuration that is not itself a mapping or a list."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def folder_with(tmp_path: Path, config: object) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_every_name_finds_one_model():
    names = [name.lower() for model in MODELS for name in (model.name, *model.hub_names)]
    assert len(set(names)) == len(names)
    for model in MODELS:
        assert model.hub_names
        assert all(published(name) == model for name in (model.name, *model.hub_names))


@pytest.mark.parametrize("name", ["qwen2-7b", "QWEN2-7B", "Qwen/Qwen2-7B-Instruct", "qwen/qwen2-7b-instruct"])
def test_names_are_found_in_upper_and_lower_case(name):
    assert published(name).name == of_model(name).name == "qwen2-7b"


@pytest.mark.parametrize("name", ["", "qwen2", "Qwen/Qwen2-7B-Instruct-GGUF", "tiny-arithmetic", "~nobody/x"])
def test_an_unknown_name_is_none(name):
    assert published(name) is None
    assert of_model(name) is None


def test_a_configuration_may_be_changed_by_its_reader():
    published("qwen3-vl-8b").config["text_config"]["hidden_size"] = 1
    all_published()[0].config.clear()
    assert published("qwen3-vl-8b").hidden_size == 4096
    assert all_published() == MODELS


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_numbers_are_numbers(model):
    # YAML 1.1 reads 1e-06 as text; 1.0e-6 is the number.
    for value in leaves(model.config):
        if isinstance(value, str):
            with pytest.raises(ValueError, match="could not convert"):
                float(value)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_transformers_builds_the_published_number_of_parameters(model):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    auto_model = AutoModelForImageTextToText if model.is_vision_language else AutoModelForCausalLM
    with torch.device("meta"):
        built = auto_model.from_config(AutoConfig.for_model(**model.config))
    assert type(built).__name__ == model.config["architectures"][0]

    # The router's correction biases, which a checkpoint stores beside the parameters.
    biases = {name: buffer for name, buffer in built.named_buffers() if name in built.state_dict()}
    assert all(name.endswith("e_score_correction_bias") for name in biases)
    weights = sum(tensor.numel() for tensor in (*built.parameters(), *biases.values()))
    assert weights == model.parameters

    unit = {"B": 1e9, "M": 1e6}[model.published_size[-1]]
    assert weights == pytest.approx(float(model.published_size[:-1]) * unit, rel=0.05)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_transformers_reads_the_same_dimensions(model, tmp_path):
    from transformers import AutoConfig

    config = AutoConfig.for_model(**model.config)
    text = config.get_text_config()
    assert text.num_hidden_layers == model.layers
    assert text.hidden_size == model.hidden_size
    assert text.num_attention_heads == model.attention_heads
    assert text.num_key_value_heads == model.key_value_heads
    assert text.max_position_embeddings == model.context_length
    assert config.tie_word_embeddings == model.tied_embeddings

    # The rope settings, which transformers keeps under other names than were published.
    rope = text.rope_parameters
    asked = model.text_config.get("rope_parameters") or model.text_config.get("rope_scaling") or {}
    asked = {("rope_type" if key == "type" else key): value for key, value in asked.items()}
    if asked.get("rope_type") == "mrope":
        asked["rope_type"] = "default"
    for field in ("rope_theta", "partial_rotary_factor"):
        if field in model.text_config:
            asked[field] = model.text_config[field]
    assert {key: rope.get(key) for key in asked} == asked

    # A folder that transformers wrote.
    config.save_pretrained(tmp_path)
    saved = of_model(str(tmp_path))
    for dimension in DIMENSIONS:
        assert getattr(saved, dimension) == getattr(model, dimension), dimension


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("qwen2-7b", {"head_dim": 128, "key_value_heads": 4, "experts": 0, "experts_per_token": 0, "is_moe": False}),
        ("qwen2.5-0.5b", {"tied_embeddings": True, "moe_intermediate_size": 0, "uses_latent_attention": False}),
        ("deepseek-llm-7b", {"key_value_heads": 32, "head_dim": 128}),
        ("qwen3-30b-a3b", {"experts": 128, "experts_per_token": 8, "moe_intermediate_size": 768, "head_dim": 128}),
        ("deepseek-v3-671b", {"experts": 256, "head_dim": 192, "uses_latent_attention": True, "layers": 61}),
        ("qwen2.5-vl-7b", {"is_vision_language": True, "model_type": "qwen2_5_vl", "hidden_size": 3584}),
        ("qwen3.5-35b-a3b", {"is_vision_language": True, "experts": 256, "intermediate_size": 0, "layers": 40}),
        ("mistral-nemo-12b", {"head_dim": 128, "attention_heads": 32, "hidden_size": 5120}),
    ],
)
def test_dimensions(name, expected):
    model = published(name)
    assert {dimension: getattr(model, dimension) for dimension in expected} == expected


def test_a_folder_goes_before_the_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qwen2-7b").mkdir()
    folder_with(tmp_path / "qwen2-7b", {"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2})
    model = of_model("qwen2-7b")
    assert (model.name, model.model_type, model.head_dim, model.key_value_heads) == ("qwen2-7b", "llama", 4, 2)
    assert (model.hub_names, model.parameters) == ((), None)
    assert Path(model.source) == Path("qwen2-7b/config.json")


def test_a_folder_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder_with(tmp_path, {"model_type": "llama"})
    assert of_model("~/").model_type == "llama"


def test_a_mixtral_like_folder_names_its_experts_in_another_way(tmp_path):
    config = {"num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 14336}
    model = of_model(str(folder_with(tmp_path, config)))
    assert (model.is_moe, model.experts, model.experts_per_token, model.moe_intermediate_size) == (True, 8, 2, 14336)


def test_a_missing_field_is_named(tmp_path):
    model = of_model(str(folder_with(tmp_path, {"text_config": {"hidden_size": None}})))
    for dimension, field in (("hidden_size", "hidden_size"), ("layers", "num_hidden_layers"), ("model_type",) * 2):
        with pytest.raises(ValueError, match=f"{tmp_path.name}: .* has no {field}"):
            getattr(model, dimension)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_folder_with_an_unreadable_configuration_says_so(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="config.json: not"):
        of_model(str(tmp_path))


def test_needs_neither_torch_nor_transformers():
    program = (
        "import sys; from grpo_launchpad.architectures import published; published('qwen2-7b').head_dim;"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "set()\n"
