import json

import pytest
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from grpo_launchpad import smoke_model
from grpo_launchpad.architectures import Architecture, all_published, published
from grpo_launchpad.smoke_model import build, cache_entry, shrink

MODELS = all_published()
TEXT = "What is 2+2?\n 漢字 <|im_end|>"


@pytest.fixture(params=MODELS, ids=lambda model: model.name)
def model(request) -> Architecture:
    return request.param


def kinds_of_layers(config: dict) -> set[str]:
    return set(config.get("text_config", config))


def test_keeps_every_field_and_the_class(model):
    small = shrink(model.config)
    assert kinds_of_layers(small) >= kinds_of_layers(model.config)
    assert small["architectures"] == model.config["architectures"]
    assert small["model_type"] == model.config["model_type"]
    assert model.config != small


def test_keeps_heads_and_experts_divisible_by_two(model):
    small = Architecture("small", (), shrink(model.config), "", None)
    assert small.attention_heads % 2 == small.key_value_heads % 2 == small.experts % 2 == 0
    assert small.is_moe == model.is_moe
    assert small.uses_latent_attention == model.uses_latent_attention
    assert (small.key_value_heads == small.attention_heads) == (model.key_value_heads == model.attention_heads)
    assert small.layers == 2


def test_a_small_model_is_not_made_larger():
    assert shrink({"model_type": "llama", "hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 1}) == {
        "model_type": "llama",
        "hidden_size": 64,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
    }


@pytest.mark.parametrize(
    "name",
    ["qwen2-7b", "qwen3-30b-a3b", "glm4-9b", "deepseek-v3-671b", "qwen2.5-vl-7b", "qwen3-vl-8b", "glm4.1v-9b"],
)
def test_builds_a_model_that_loads_and_a_tokenizer_that_fits(name, tmp_path):
    architecture = published(name)
    build(architecture, tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert config.architectures == architecture.config["architectures"]
    loader = AutoModelForImageTextToText if architecture.is_vision_language else AutoModelForCausalLM
    loaded = loader.from_pretrained(tmp_path)
    assert loaded.num_parameters() < 2_000_000
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert config.get_text_config().vocab_size == len(tokenizer)
    assert tokenizer.decode(tokenizer(TEXT).input_ids) == TEXT
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": TEXT}], tokenize=False)
    assert TEXT in prompt
    tied = json.loads((tmp_path / "config.json").read_text()).get("tie_word_embeddings", False)
    assert tied == architecture.tied_embeddings


@pytest.mark.parametrize("name", ["qwen2.5-vl-7b", "qwen3-vl-8b", "glm4.1v-9b"])
def test_reads_an_image_as_a_few_tokens(name, tmp_path):
    from PIL import Image

    build(published(name), tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How long is AB?"}]}]
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    inputs = processor(text=[prompt], images=[Image.new("RGB", (640, 480))], return_tensors="pt")
    image_token = AutoConfig.from_pretrained(tmp_path).image_token_id
    tokens = (inputs["input_ids"] == image_token).sum().item()
    assert tokens == inputs["image_grid_thw"].prod().item() // 4
    assert 1 <= tokens <= smoke_model.IMAGE_TOKENS


def test_uses_the_models_own_tokenizer_where_it_is_on_this_machine(tmp_path):
    build(published("qwen3-4b"), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.add_tokens(["<a token of its own>"])
    tokenizer.save_pretrained(tmp_path)
    folder = Architecture(str(tmp_path), (), published("qwen3-4b").config, "", None)
    build(folder, tmp_path / "small")
    assert "<a token of its own>" in AutoTokenizer.from_pretrained(tmp_path / "small").get_vocab()


def test_the_cache_entry_follows_the_architecture():
    assert cache_entry(published("qwen3-4b")) != cache_entry(published("qwen3-8b"))
    assert cache_entry(published("qwen3-4b")) == cache_entry(published("qwen3-4b"))
