"""The data card: what somebody should know about a prepared data set before training on it."""

import re
from pathlib import Path

from data_prep.pipeline.length_picture import draw

NAME = "card.md"
PICTURE = "prompt_lengths.svg"
LONGEST_EXAMPLE = 2000


def write(manifest: dict, folder: Path) -> str:
    """Write the card and its picture, and return the card's text.

    Raises:
        OSError: if they cannot be written.
    """
    lengths = {name: split["prompt_length"] for name, split in manifest["splits"].items()}
    unit = next(iter(lengths.values()))["unit"]
    alike = {name: length for name, length in lengths.items() if length["unit"] == unit}
    (folder / PICTURE).write_text(draw(alike, unit), encoding="utf-8")
    text = markdown(manifest)
    (folder / NAME).write_text(text, encoding="utf-8")
    return text


def markdown(manifest: dict) -> str:
    """Return the card."""
    splits = manifest["splits"]
    parts = [
        f"# {manifest['name']}: {manifest['title']}\n",
        f"{manifest['homepage']} · {manifest['licence']}\n",
        _table(["split", "rows in", "left out", "rows", "files", "source"], [_sizes(*item) for item in splits.items()]),
        *(_findings(name, split) for name, split in splits.items()),
        "## Prompt length\n",
        _table(
            ["split", "shortest", "median", "90 %", "99 %", "longest", "counted in"],
            [_lengths(name, split["prompt_length"]) for name, split in splits.items()],
        ),
        f"![Prompt lengths]({PICTURE})\n",
        "## Answers\n",
        _answers(splits),
        "## One row as the model will see it\n",
        _example(next(iter(splits.values()))["example"]),
    ]
    return "\n".join(part for part in parts if part)


def _lengths(name: str, length: dict) -> list[str]:
    counted_in = f"tokens of {length['tokenizer']}" if length["tokenizer"] else "characters; tokens with --tokenizer"
    return [name, *(f"{length[key]:,}" for key in ("min", "p50", "p90", "p99", "max")), counted_in]


def _sizes(name: str, split: dict) -> list[str]:
    source, revision = split["source"]["name"], split["source"]["revision"]
    source += f" at {revision[:12]}" if revision else ""
    left_out = split["rows_in"] - split["rows_out"]
    return [name, f"{split['rows_in']:,}", f"{left_out:,}", f"{split['rows_out']:,}", str(len(split["files"])), source]


def _findings(name: str, split: dict) -> str:
    lines = []
    for verdict, key in (("left out", "left_out"), ("kept", "kept")):
        for reason, found in split[key].items():
            lines.append(f"- {name}, {reason}: {found['rows']:,} {verdict}")
            lines += [f"  - {message}" for message in found["first"]]
    if name == "train" and not split["compared_with_held_out_problems"]:
        lines.append("- train: there was no held-out split to compare it with")
    return "\n".join([*lines, ""]) if lines else ""


def _answers(splits: dict[str, dict]) -> str:
    kinds = list(dict.fromkeys(kind for split in splits.values() for kind in split["answer_types"]))
    rows = [[name, *(f"{split['answer_types'].get(kind, 0):,}" for kind in kinds)] for name, split in splits.items()]
    return _table(["split", *kinds], rows)


def _example(example: dict) -> str:
    truth = example["ground_truth"]
    if isinstance(truth, dict):
        truth = "\n\n".join(f"{name}:\n{value}" for name, value in truth.items())
    return f"{_block(example['prompt'])}\nGround truth:\n\n{_block(truth)}"


def _block(text: str) -> str:
    """Return a text as a Markdown block that nothing in it can end, long ones without their end."""
    if len(text) > LONGEST_EXAMPLE:
        text = f"{text[:LONGEST_EXAMPLE]}\n... ({len(text):,} characters)"
    fence = "~" * max(4, 1 + max(map(len, re.findall("~+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table whose columns are also straight in a terminal."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    cells = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
