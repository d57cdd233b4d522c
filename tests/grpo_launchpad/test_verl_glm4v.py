import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from grpo_launchpad import verl_glm4v  # noqa: F401
from grpo_launchpad.architectures import published
from grpo_launchpad.smoke_model import build


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glm4v")
    build(published("glm4.1v-9b"), folder)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def inputs(folder):
    processor = AutoProcessor.from_pretrained(folder)
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How long is AB?"}]}]
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return processor(text=[prompt], images=[Image.new("RGB", (90, 60), "red")], return_tensors="pt")


def test_verl_sees_the_images_as_transformers_does(model, inputs):
    from verl.models.transformers import glm4v

    arguments = (model.model, inputs["input_ids"], None, inputs["pixel_values"], None, inputs["image_grid_thw"])
    embeddings, _ = glm4v._get_input_embeds(*arguments)
    expected = model.get_input_embeddings()(inputs["input_ids"])
    features = model.model.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]).pooler_output
    expected[inputs["input_ids"] == model.config.image_token_id] = features
    torch.testing.assert_close(embeddings, expected)


def test_the_features_still_have_to_be_taken_out(model, inputs):
    from verl.models.transformers import glm4v

    arguments = (model.model, inputs["input_ids"], None, inputs["pixel_values"], None, inputs["image_grid_thw"])
    with pytest.raises(AttributeError, match="shape"):
        glm4v._get_input_embeds.__wrapped__(*arguments)


def test_the_position_embedding_is_no_unit_of_its_own(model):
    from verl.utils import fsdp_utils

    embedding = model.model.visual.embeddings.position_embedding
    units = fsdp_utils._select_fsdp2_wrap_targets(model, model._no_split_modules)
    still = fsdp_utils._select_fsdp2_wrap_targets.__wrapped__(model, model._no_split_modules)
    assert embedding in still, "verl no longer wraps it: verl_glm4v can lose this part"
    assert units == [unit for unit in still if unit is not embedding]


def test_the_operations_of_a_step_are_counted(model):
    from verl.utils import flops_counter

    text = model.config.text_config
    counted = flops_counter.ESTIMATE_FUNC["glm4v"](model.config, 100, [60, 40], 1.0)
    assert counted == flops_counter.ESTIMATE_FUNC["qwen2"](text, 100, [60, 40], 1.0) > 0
    with pytest.raises(AttributeError, match="hidden_size"):  # or this part can go
        flops_counter._estimate_qwen2_flops(model.config, 100, [60, 40], 1.0)
