"""A tokenizer that needs no download: the 256 bytes, special tokens, no merges."""

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def build_byte_tokenizer(chat_template: str, max_length: int, more_specials: tuple[str, ...] = ()):
    """Return a tokenizer of one token a byte, 256 and the special ones.

    A word-level tokenizer would not do: for model type qwen2, transformers rebuilds it as ``Qwen2Tokenizer`` and drops
    the newline, which verl's agent loop then refuses.

    Args:
        chat_template: Jinja text over ``messages`` and ``add_generation_prompt``.
        max_length: the model's context in tokens.
        more_specials: tokens that are never split, beside the end of text and the two marks of a turn.
    """
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    tokens = sorted(ByteLevel.alphabet()) + [*SPECIALS, *more_specials]
    tokenizer = Qwen2Tokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[],
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", *more_specials],
        model_max_length=max_length,
    )
    tokenizer.chat_template = chat_template
    return tokenizer
