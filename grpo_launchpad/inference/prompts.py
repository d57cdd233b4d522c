"""Prompts as training has them: by verl's own builder, which is the only path by which its agent loop makes tokens."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


class PromptError(Exception):
    """A model's folder cannot make prompts; the text says why and what mends it."""


class Prompts:
    """Chat messages to token ids and answers to text, for one model."""

    def __init__(self, folder: Path, chat_template_kwargs: Mapping[str, object] | None = None):
        """Read a model's tokenizer.

        Args:
            folder: of the model.
            chat_template_kwargs: what verl's ``data.apply_chat_template_kwargs`` holds, such as
                ``{"enable_thinking": False}``.

        Raises:
            PromptError: if the folder has no tokenizer, or that no chat template.
        """
        from verl.utils.tokenizer import hf_tokenizer
        from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

        try:
            self._tokenizer = hf_tokenizer(str(folder))
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise PromptError(f"{folder}: no tokenizer can be read from it ({reason})") from error
        if not self._tokenizer.chat_template:
            raise PromptError(
                f"{folder}: its tokenizer has no chat template, without which verl cannot train it either; put the "
                "template of its family into chat_template.jinja there"
            )
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.longest = longest_context(config)
        self._builder = create_continuous_token_builder(
            self._tokenizer,
            hf_model_type=config.get("model_type"),
            chat_template_kwargs=dict(chat_template_kwargs or {}),
        )

    def tokens(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return the token ids of a chat, with the opening of the answer."""
        return self._builder.build_initial_tokens([dict(message) for message in messages])

    def text(self, tokens: Sequence[int]) -> str:
        """Return an answer's text without special tokens, as verl's reward manager gives it to the scorer."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True)


def longest_context(config: Mapping) -> int | None:
    """Return how many tokens a model can read, None if its config.json does not say."""
    text = config.get("text_config") or {}
    return config.get("max_position_embeddings") or text.get("max_position_embeddings")
