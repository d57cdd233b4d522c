"""What should not stand in a question: marks of a chat template, and characters of a wrong encoding."""

import re

# Marks that tokenizers have as one token, and the headings of prompts for models without a chat template.
_MARKERS = re.compile(
    r"<\|[A-Za-z][\w▁ -]{1,40}\|>|<｜[^<>｜\n]{1,40}｜>|\[/?INST\]|<</?SYS>>|</?s>(?=\s*(?:\[INST\]|\Z))"
    r"|<(?:start|end)_of_turn>|<begin_of_image>|###\s?(?:Response|Assistant|Human)\s*:|(?:\A|\n)Human:(?=.*\n+Assistant:)"
    r"|\n\s*(?:Assistant|ASSISTANT|助手)\s*[:：]\s*(?:<think>\s*)?\Z",
    re.DOTALL,
)
# Bytes of UTF-8 read as Latin-1 or Windows-1252, and runs of bytes of GBK read so, which hold marks between letters.
_HIGH = re.compile(r"[\x80-\xffŒœŠšŸŽžƒˆ˜–—‘’‚“”„†‡•…‰‹›€™]{2,}")
_MARKS_BETWEEN = re.compile(r"[\x80-\xbf×÷€™ŒœŠšŸŽžƒˆ˜‚„†‡•…‰‹›]")
_LOST = "\ufffd"


def chat_markers(question: str) -> str | None:
    """Return what is wrong if a question has marks of a chat template."""
    if "<" not in question and "[" not in question and "#" not in question and ":" not in question[-40:]:
        return None
    if found := _MARKERS.search(question):
        fix = "The template is added again when the model is asked. Take such marks out of the question."
        return f"a chat template's {found.group().strip()!r} stands in the question. {fix}"
    return None


def wrong_encoding(text: str) -> str | None:
    """Return what is wrong if a text was read in a wrong encoding, with what it may have been."""
    if text.isascii():
        return None
    if _LOST in text:
        return (
            f"characters are lost ({_around(text, text.index(_LOST))}). Make the file anew from its source, as UTF-8."
        )
    for run in _HIGH.finditer(text):
        for encoding in ("utf-8", "gb18030"):
            meant = _meant(run.group(), encoding)
            if meant is not None:
                was = f"{run.group()[:20]!r} seems to be {meant[:10]!r}, read in a wrong encoding"
                return f"{was}. Save the original as UTF-8: iconv -f {encoding} -t utf-8 OLD > NEW"
    return None


def _meant(run: str, encoding: str) -> str | None:
    try:
        content = b"".join(character.encode("latin-1" if character <= "\xff" else "cp1252") for character in run)
        if encoding == "utf-8":
            return content.decode("utf-8")
        if len(content) < 6 or not _MARKS_BETWEEN.search(run):
            return None
        meant = content[: len(content) // 2 * 2].decode(encoding)
    except UnicodeError:
        return None
    usual = sum("\u4e00" <= character <= "\u9fff" or character in "，。？（）：；、！“”" for character in meant)
    return meant if usual >= 0.8 * len(meant) else None


def _around(text: str, at: int) -> str:
    return repr(text[max(0, at - 10) : at + 10])
