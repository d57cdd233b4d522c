"""The published architecture of a model: layers, heads, experts, context, without asking a hub.

``models.yaml`` beside this file has the fields of each model's published config.json that decide tensor shapes,
context and routing, with their sources. Nothing here imports torch or transformers.
"""

import copy
import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TABLE = Path(__file__).parent / "models.yaml"

# Names that different families give the same field of a mixture of experts (MoE).
EXPERT_COUNT_FIELDS = ("num_experts", "n_routed_experts", "num_local_experts")
EXPERTS_PER_TOKEN_FIELDS = ("num_experts_per_tok", "num_experts_per_token")


@dataclass(frozen=True)
class Architecture:
    """A model's configuration, and its dimensions under one name each, whatever the family calls them.

    The dimensions are those of the language model, which a vision-language model may nest as ``text_config``.
    Reading one that the configuration lacks raises ValueError, which names the field.

    Attributes:
        name: the launchers' model field ("qwen2-7b"), or the folder it was read from.
        hub_names: the repositories with this configuration; the first is the one the launchers name.
        config: the configuration as published (``config.json``); a copy, free to be changed.
        source: repository and path the values were taken from, or the folder's config.json.
        parameters: number of weights: tied embeddings once, the router's correction biases included, multi-token
            prediction layers not; None for a folder.
        published_size: number of parameters as the model card or the hub rounds it ("7.6B"); None for a folder.
    """

    name: str
    hub_names: tuple[str, ...]
    config: dict[str, Any] = field(hash=False)
    source: str
    parameters: int | None
    published_size: str | None = None

    @property
    def text_config(self) -> dict[str, Any]:
        """The language model's part of the configuration: ``text_config``, or all of it if that is not nested."""
        return self.config.get("text_config") or self.config

    @property
    def model_type(self) -> str:
        """The family as transformers names it, of the whole model ("qwen2_5_vl", not "qwen2_5_vl_text")."""
        if "model_type" not in self.config:
            raise ValueError(f"{self.name}: the model's configuration has no model_type")
        return self.config["model_type"]

    @property
    def layers(self) -> int:
        """Transformer layers, without multi-token prediction layers."""
        return self._required("num_hidden_layers")

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self._required("hidden_size")

    @property
    def intermediate_size(self) -> int:
        """Width of the dense feed-forward layers; 0 if the configuration has none, every layer being MoE."""
        if self.is_moe and self.text_config.get("intermediate_size") is None:
            return 0
        return self._required("intermediate_size")

    @property
    def attention_heads(self) -> int:
        """Query heads of an attention layer."""
        return self._required("num_attention_heads")

    @property
    def key_value_heads(self) -> int:
        """Key and value heads of an attention layer; as many as query heads if the configuration names none."""
        return self.text_config.get("num_key_value_heads") or self.attention_heads

    @property
    def head_dim(self) -> int:
        """Width of a query or key head; under latent attention its two parts together, without and with rotation."""
        if self.uses_latent_attention:
            return self._required("qk_nope_head_dim") + self._required("qk_rope_head_dim")
        return self.text_config.get("head_dim") or self.hidden_size // self.attention_heads

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding, which the family may have padded beyond its tokenizer."""
        return self._required("vocab_size")

    @property
    def context_length(self) -> int:
        """Longest sequence in tokens, prompt and response together (``max_position_embeddings``)."""
        return self._required("max_position_embeddings")

    @property
    def tied_embeddings(self) -> bool:
        """Whether the output layer is the embedding matrix; the outer configuration decides where both say."""
        text = self.text_config.get("tie_word_embeddings", False)
        return bool(self.config.get("tie_word_embeddings", text))

    @property
    def is_moe(self) -> bool:
        """Whether any layer is a mixture of experts."""
        return self.experts > 0

    @property
    def experts(self) -> int:
        """Routed experts of an MoE layer, shared ones not counted; 0 for a dense model."""
        return self._first(EXPERT_COUNT_FIELDS)

    @property
    def experts_per_token(self) -> int:
        """Routed experts a token passes through; 0 for a dense model."""
        return self._first(EXPERTS_PER_TOKEN_FIELDS) if self.is_moe else 0

    @property
    def moe_intermediate_size(self) -> int:
        """Width of one routed expert, which Mixtral-like families call intermediate_size; 0 for a dense model."""
        if not self.is_moe:
            return 0
        return self.text_config.get("moe_intermediate_size") or self._required("intermediate_size")

    @property
    def is_vision_language(self) -> bool:
        """Whether the model also takes images."""
        return bool(self.config.get("vision_config"))

    @property
    def uses_latent_attention(self) -> bool:
        """Whether keys and values are cached as one compressed vector a token (MLA, as DeepSeek-V3 does)."""
        return bool(self.text_config.get("kv_lora_rank"))

    def _required(self, field_name: str) -> Any:
        if self.text_config.get(field_name) is None:
            raise ValueError(f"{self.name}: the model's configuration has no {field_name}")
        return self.text_config[field_name]

    def _first(self, field_names: tuple[str, ...]) -> int:
        return next((self.text_config[name] for name in field_names if self.text_config.get(name)), 0)


def published(name: str) -> Architecture | None:
    """Return a model of the table, or None if it is not there.

    Args:
        name: the launchers' model field ("qwen2-7b") or a repository of a hub ("Qwen/Qwen2-7B-Instruct"); upper and
            lower case are the same.
    """
    return copy.deepcopy(_table_by_name().get(name.lower()))


def all_published() -> list[Architecture]:
    """Return every model of the table, in its order."""
    return copy.deepcopy(_table())


def of_model(model: str) -> Architecture | None:
    """Return the architecture of a model that a launcher names, or None if it is neither a folder nor in the table.

    Args:
        model: a folder with a config.json, or a name as ``published`` takes it.

    Raises:
        OSError: if the folder's config.json cannot be read.
        ValueError: if it is not a JSON object.
    """
    folder = Path(model).expanduser() if model.startswith("~/") else Path(model)
    config_file = folder / "config.json"
    if not model or not config_file.is_file():
        return published(model)
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{config_file}: not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{config_file}: not a JSON object")
    return Architecture(name=model, hub_names=(), config=config, source=str(config_file), parameters=None)


@functools.cache
def _table() -> list[Architecture]:
    # The loader in C reads the table ten times as fast; not every build of PyYAML has it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    entries = yaml.load(TABLE.read_text(encoding="utf-8"), Loader=loader)
    return [
        Architecture(
            name=name,
            hub_names=tuple(entry["hub_names"]),
            config=entry["config"],
            source=entry["source"],
            parameters=entry["parameters"],
            published_size=entry["published_size"],
        )
        for name, entry in entries.items()
    ]


@functools.cache
def _table_by_name() -> dict[str, Architecture]:
    return {name.lower(): model for model in _table() for name in (model.name, *model.hub_names)}
