"""How long prompts are: in tokens, as the model will see them, or in characters if no tokenizer is named."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from data_prep.pipeline.data_set import DataError

TOKENIZER_FILES = ["tokenizer*", "*token*.json", "config.json", "chat_template*", "vocab*", "merges.txt"]
QUANTILES = (0.5, 0.9, 0.99)


@cache
def load_tokenizer(name: str):
    """Return a tokenizer with a chat template, from a folder, a hub's cache or a hub.

    Raises:
        DataError: if there is none under this name, or it has no chat template.
    """
    from transformers import AutoTokenizer

    path = find_tokenizer(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except Exception as error:  # damaged files make the tokenizers library raise nothing narrower
        raise DataError(f"--tokenizer {name}: {_first_line(error)} Give a folder or a hub's owner/name.") from error
    if not tokenizer.chat_template:
        raise DataError(f"--tokenizer {name}: has no chat template. Give that of the instruction-tuned model.")
    return tokenizer


def as_the_model_sees_it(messages: Sequence[Mapping[str, str]], tokenizer: str | None) -> str:
    """Return a prompt through the chat template, or its messages one under the other without a tokenizer."""
    if tokenizer is None:
        return "\n".join(f"{message['role']}: {message['content']}" for message in messages)
    from jinja2 import TemplateError

    try:
        return load_tokenizer(tokenizer).apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        what = f"its chat template does not take these prompts: {_first_line(error)}"
        raise DataError(f"--tokenizer {tokenizer}: {what} Try --system-prompt ''.") from error


def prompt_lengths(prompts: Sequence[Sequence[Mapping[str, str]]], tokenizer: str | None) -> list[int]:
    """Return the length of each prompt: tokens through the chat template, or characters of all messages.

    The tokens that images add are not counted.
    """
    if tokenizer is None:
        return [sum(len(message["content"]) for message in messages) for messages in prompts]
    if not prompts:
        return []
    rendered = [as_the_model_sees_it(messages, tokenizer) for messages in prompts]
    return [len(ids) for ids in load_tokenizer(tokenizer)(rendered, add_special_tokens=False)["input_ids"]]


def summary(lengths: Counter[int]) -> dict[str, int]:
    """Return the smallest and largest length and the quantiles, each a length that occurs."""
    ordered = sorted(lengths)
    total = lengths.total()
    named = {"min": ordered[0]}
    for quantile in QUANTILES:
        reached = 0
        for length in ordered:
            reached += lengths[length]
            if reached >= quantile * total:
                named[f"p{quantile * 100:g}"] = length
                break
    return named | {"max": ordered[-1]}


@cache
def find_tokenizer(name: str) -> Path | str:
    """Return the folder of a model, or of its tokenizer alone, fetched if need be; the name itself if there is none.

    Raises:
        DataError: if it cannot be fetched or made.
    """
    from grpo_launchpad import models
    from grpo_launchpad.hubs import HubError, from_hugging_face, from_modelscope

    if Path(name).is_dir():
        return Path(name)
    if models.is_made_here(name):
        try:
            return models.resolve(name)
        except (OSError, models.ModelNotFoundError) as error:
            raise DataError(f"--tokenizer {name}: {error}") from error
    if found := models.locate(name):
        return found
    answers = []
    for download in (from_hugging_face, from_modelscope) if models.is_repository_name(name) else ():
        try:
            return download(name, wanted=TOKENIZER_FILES)
        except HubError as error:
            answers.append(str(error))
    if answers:
        raise DataError(f"--tokenizer {name}: {'; '.join(answers)}. Give a folder or a hub's owner/name.")
    return name


def _first_line(error: Exception) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0].strip()
    return "holds no tokenizer that can be loaded." if line.endswith(":") else f"{line.rstrip('.')}."
