"""A model of a published architecture, shrunken to a few hundred thousand weights: what ``SMOKE=1`` trains.

The class, the kinds of layers and the keys of the configuration are the published model's, so that the trainer, the
rollout engine and the weights between them run the code they run for the real one. The weights are random: such a
model learns nothing and is not meant to.

The tokenizer is the real one if it is in a folder or a cache of this machine, else one of bytes.
"""

import copy
import hashlib
from pathlib import Path
from typing import Any

from grpo_launchpad import byte_tokenizer
from grpo_launchpad.architectures import Architecture
from grpo_launchpad.byte_tokenizer import build_byte_tokenizer

SEED = 0
CONTEXT_LENGTH = 4096  # that the tokenizer claims; the model keeps the published one
# vLLM's attention on a CPU has kernels for heads of 32 and more.
HEAD_DIM = 32
HIDDEN_SIZE = 128

# What a field is at most, if the published configuration has it.
SMALL_TEXT = {
    "num_hidden_layers": 2,
    "hidden_size": HIDDEN_SIZE,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    # mixture of experts
    "num_experts": 8,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 64,
    "first_k_dense_replace": 1,
    "n_group": 2,
    "topk_group": 1,
    # latent attention
    "q_lora_rank": 64,
    "kv_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 32,
    "v_head_dim": 32,
    # linear attention; its heads keep their published width, the only one that vLLM has a CPU kernel for
    "full_attention_interval": 2,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    # layers that only pretraining uses
    "num_nextn_predict_layers": 0,
    "mtp_num_hidden_layers": 0,
}
SMALL_VISION = {
    "depth": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_heads": 4,
    "num_position_embeddings": 64,
}
SHARD_SIZE = "256KB"  # so that there is an index, as for published models; mbridge reads DeepSeek's by it alone
IMAGE_TOKENS = 16  # of one image, at most
VOCABULARY_MULTIPLE = 8  # tensor parallel ranks share the vocabulary evenly

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_QWEN_MARKS = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>")
_GLM_MARKS = ("<|begin_of_image|>", "<|image|>", "<|end_of_image|>")
_GLM_VIDEO_MARKS = ("<|begin_of_video|>", "<|video|>", "<|end_of_video|>")
# model type -> its marks (the first three surround and hold an image), and transformers' classes that read images
VISION_FAMILIES = {
    "qwen2_5_vl": (_QWEN_MARKS, "Qwen2_5_VLProcessor", "Qwen2VLImageProcessor", "Qwen2VLVideoProcessor"),
    "qwen3_vl": (_QWEN_MARKS, "Qwen3VLProcessor", "Qwen2VLImageProcessor", "Qwen3VLVideoProcessor"),
    "qwen3_vl_moe": (_QWEN_MARKS, "Qwen3VLProcessor", "Qwen2VLImageProcessor", "Qwen3VLVideoProcessor"),
    "qwen3_5": (_QWEN_MARKS, "Qwen3VLProcessor", "Qwen2VLImageProcessor", "Qwen3VLVideoProcessor"),
    "qwen3_5_moe": (_QWEN_MARKS, "Qwen3VLProcessor", "Qwen2VLImageProcessor", "Qwen3VLVideoProcessor"),
    "glm4v": ((*_GLM_MARKS, *_GLM_VIDEO_MARKS), "Glm4vProcessor", "Glm4vImageProcessor", "Glm4vVideoProcessor"),
}
# Marks of turns that verl's agent loop wants of a family (verl/utils/tokenizer/continuous_token.py), by the start of
# its model types.
TURN_MARKS = {"glm": ("<|user|>", "<|observation|>"), "deepseek": ("<｜end▁of▁sentence｜>",)}
# Names of special tokens in a configuration, and the marks they stand for.
MARK_OF_FIELD = {
    "image_token_id": ("<|image_pad|>", "<|image|>"),
    "video_token_id": ("<|video_pad|>", "<|video|>"),
    "vision_start_token_id": ("<|vision_start|>",),
    "vision_end_token_id": ("<|vision_end|>",),
    "image_start_token_id": ("<|begin_of_image|>",),
    "image_end_token_id": ("<|end_of_image|>",),
    "video_start_token_id": ("<|begin_of_video|>",),
    "video_end_token_id": ("<|end_of_video|>",),
}


def shrink(config: dict[str, Any]) -> dict[str, Any]:
    """Return a published configuration with the same fields, each as small as the kinds of layers allow.

    Heads stay divisible by two, and grouped, multi-head or multi-query attention stays what it is. Vocabulary and
    special tokens are left to the tokenizer.
    """
    small = copy.deepcopy(config)
    text = small.get("text_config") or small
    ungrouped = text.get("num_key_value_heads") == text["num_attention_heads"]
    _lower(text, SMALL_TEXT)
    if ungrouped:
        text["num_key_value_heads"] = text["num_attention_heads"]
    if "head_dim" in text or text["hidden_size"] // text["num_attention_heads"] != HEAD_DIM:
        text["head_dim"] = HEAD_DIM
    if "layer_types" in text:
        text["layer_types"] = text["layer_types"][-text["num_hidden_layers"] :]
    for rope in (text.get("rope_scaling"), text.get("rope_parameters")):
        if rope and "mrope_section" in rope:
            rotated = text.get("partial_rotary_factor", rope.get("partial_rotary_factor", 1.0)) * HEAD_DIM
            rope["mrope_section"] = _split(rope["mrope_section"], int(rotated) // 2)
    if "max_window_layers" in text:
        text["max_window_layers"] = text["num_hidden_layers"]
    if vision := small.get("vision_config"):
        _lower(vision, SMALL_VISION)
        last = vision["depth"] - 1
        for field in ("fullatt_block_indexes", "deepstack_visual_indexes"):
            if vision.get(field):
                vision[field] = [last]
        if "out_hidden_size" in vision:
            vision["out_hidden_size"] = HIDDEN_SIZE
    return small


def _lower(config: dict[str, Any], limits: dict[str, int]) -> None:
    for field, limit in limits.items():
        if config.get(field):
            config[field] = min(config[field], limit)


def _split(published: list[int], total: int) -> list[int]:
    """Return ``total`` split in the proportions of ``published``, every part at least one."""
    parts = [max(1, total * part // sum(published)) for part in published]
    parts[0] += total - sum(parts)
    return parts


def cache_entry(architecture: Architecture) -> str:
    """Return the name of this model in a cache, which everything that decides its weights changes."""
    files = (Path(__file__), Path(byte_tokenizer.__file__))
    decisive = b"".join(file.read_bytes() for file in files) + repr(architecture.config).encode()
    return f"smoke-{Path(architecture.name).name}-{hashlib.sha256(decisive).hexdigest()[:12]}"


def build(architecture: Architecture, folder: Path) -> None:
    """Build the shrunken model with its tokenizer, and its processor if it takes images, into ``folder``."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    config = shrink(architecture.config)
    processor = _processor(architecture, config)
    tokenizer = getattr(processor, "tokenizer", processor)
    _name_tokens(config, tokenizer)
    # Wide enough that some tokens are likely and others not, or any two engines would seem to agree.
    (config.get("text_config") or config)["initializer_range"] = 0.1
    torch.manual_seed(SEED)
    auto_model = AutoModelForImageTextToText if architecture.is_vision_language else AutoModelForCausalLM
    model = auto_model.from_config(AutoConfig.for_model(**config), dtype=torch.bfloat16)
    # Random weights also answer with padding. Its embedding starts as zeros, where RMSNorm is 1/sqrt(epsilon) steep.
    embedding = model.get_input_embeddings()
    if embedding.padding_idx is not None:
        torch.nn.init.normal_(embedding.weight.data[embedding.padding_idx], std=0.1)

    model.save_pretrained(folder, max_shard_size=SHARD_SIZE)
    processor.save_pretrained(folder)


def _processor(architecture: Architecture, config: dict[str, Any]):
    """Return what turns chats into tokens: the model's own from this machine, else one made here."""
    from transformers import AutoProcessor, AutoTokenizer

    auto_class = AutoProcessor if architecture.is_vision_language else AutoTokenizer
    for place in (architecture.name, *architecture.hub_names):
        try:
            return auto_class.from_pretrained(place, local_files_only=True)
        except (OSError, ValueError):
            continue
    turns = next((marks for start, marks in TURN_MARKS.items() if config["model_type"].startswith(start)), ())
    if not architecture.is_vision_language:
        return _byte_tokenizer(CHAT_TEMPLATE, turns)
    return _byte_processor(config, turns)


def _byte_tokenizer(chat_template: str, marks: tuple[str, ...]):
    """Return a byte-level tokenizer, with unused marks that fill its vocabulary to a multiple."""
    known = 256 + len(byte_tokenizer.SPECIALS) + len(marks)
    unused = tuple(f"<|unused{number}|>" for number in range(-known % VOCABULARY_MULTIPLE))
    return build_byte_tokenizer(chat_template, CONTEXT_LENGTH, (*marks, *unused))


def _byte_processor(config: dict[str, Any], turns: tuple[str, ...]):
    import transformers

    marks, processor_class, image_class, video_class = VISION_FAMILIES[config["model_type"]]
    template = CHAT_TEMPLATE.replace("IMAGE", "".join(marks[:3]))
    vision = config["vision_config"]
    patches = {
        "patch_size": vision["patch_size"],
        "temporal_patch_size": vision["temporal_patch_size"],
        "merge_size": vision["spatial_merge_size"],
    }
    token_pixels = (vision["patch_size"] * vision["spatial_merge_size"]) ** 2
    size = {"shortest_edge": 4 * token_pixels, "longest_edge": IMAGE_TOKENS * token_pixels}
    return getattr(transformers, processor_class)(
        image_processor=getattr(transformers, image_class)(**patches, size=size),
        tokenizer=_byte_tokenizer(template, (*marks, *turns)),
        video_processor=getattr(transformers, video_class)(**patches),
        chat_template=template,
    )


def _name_tokens(config: dict[str, Any], tokenizer) -> None:
    """Write the tokenizer's size and special tokens into a configuration."""
    text = config.get("text_config") or config
    # Hardly more than the tokenizer's: vLLM never samples ids beyond it, the trainer would give them probability.
    text["vocab_size"] = -(-len(tokenizer) // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
    for part in {id(config): config, id(text): text}.values():
        part.update(bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    for field, marks in MARK_OF_FIELD.items():
        if field in config:
            known = [mark for mark in marks if mark in tokenizer.get_vocab()]
            config[field] = tokenizer.convert_tokens_to_ids(known[0]) if known else tokenizer.pad_token_id
