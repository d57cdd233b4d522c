"""Write the tables of recipes from the launchers and the records of their verification.

    python -m tools.recipe_table             writes them: examples/grpo_trainer/README.md, and a short one in README.md
    python -m tools.recipe_table --check     exits with 1 if one is out of date

`make recipes` runs it.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from grpo_launchpad.verification import LEVELS, Record, current, level_of, read
from tools.launchers import FOLDER, ROOT, Launcher, LauncherError, all_launchers
from tools.marked_text import update, with_marked_text

PAGE = FOLDER / "README.md"
FRONT_PAGE = ROOT / "README.md"

# How a model's name begins, and its group. Launchers for a CPU and those on images are groups of their own.
FAMILIES = {
    "qwen2": "Qwen2 and Qwen2.5",
    "qwen3": "Qwen3 and Qwen3.5",
    "deepseek": "DeepSeek and Moonlight",
    "moonlight": "DeepSeek and Moonlight",
    "glm": "GLM",
}
ON_A_CPU, VISION_LANGUAGE, OTHERS = "On a CPU", "Vision-language models", "Others"
IMAGE_TASKS = ("geo3k",)
WAYS = {"FSDP2": "FSDP2", "Megatron": "Megatron", "LoRA": "LoRA", "npu": "on NPUs"}  # for the front page
DEVICES = {"cuda": "GPU", "npu": "NPU"}
# For a reader who does not know the levels.
LEVEL_WORDS = {"C": "composes", "S": "ran shrunken on a CPU", "G": "ran in full on accelerators"}
MEMORY = re.compile(r"^# Hardware: .*?(\d+ Gi?B)\b", re.MULTILINE)
SIZE = re.compile(r"(\d+(?:\.\d+)?)")


def groups(launchers: list[Launcher]) -> dict[str, list[Launcher]]:
    """Return the launchers by group, models by size within each."""
    found: dict[str, list[Launcher]] = {title: [] for title in (ON_A_CPU, *FAMILIES.values(), OTHERS, VISION_LANGUAGE)}
    for launcher in sorted(launchers, key=in_order_of_size):
        found[group(launcher)].append(launcher)
    return {title: members for title, members in found.items() if members}


def group(launcher: Launcher) -> str:
    if launcher.device == "cpu":
        return ON_A_CPU
    if launcher.task in IMAGE_TASKS:
        return VISION_LANGUAGE
    return next((title for begin, title in FAMILIES.items() if launcher.model.startswith(begin)), OTHERS)


def in_order_of_size(launcher: Launcher) -> tuple:
    """Sort key: names by their words, but numbers in them by value."""
    parts = SIZE.split(launcher.name.replace("_", "\0"))
    return tuple((float(part), "") if SIZE.fullmatch(part) else (-1.0, part) for part in parts)


def trains_with(launcher: Launcher) -> str:
    engine = "Megatron" if launcher.backend.startswith("megatron") else "FSDP2"
    return f"{engine}, LoRA" if "-lora" in launcher.backend else engine


def hardware(launcher: Launcher) -> str:
    """Return nodes x devices with the memory of each, or what a machine without GPUs needs.

    Raises:
        LauncherError: if the header does not say how much memory.
    """
    memory = MEMORY.search(launcher.text)
    if memory is None:
        raise LauncherError(f"{launcher.path}: write the memory of a GPU into '# Hardware: ...', such as 80 GB")
    if launcher.device == "cpu":
        return f"CPU, {memory[1]}"
    nodes, devices = launcher.knobs["NNODES"], launcher.knobs["NGPUS_PER_NODE"]
    return f"{nodes} x {devices} {DEVICES[launcher.device]}, {memory[1]}"


def verified(launcher: Launcher, records: list[Record]) -> str:
    """Return its level, with what a run on accelerators was done on."""
    level = level_of(launcher.path, records)
    hardware = current(launcher.path, records)["G"].hardware if level == "G" else None
    return f"G ({hardware})" if hardware else level


def recipes(launchers: list[Launcher], records: list[Record]) -> str:
    """Return the tables of all recipes, by group, as Markdown."""
    blocks = [count_by_level(launchers, records)]
    for title, members in groups(launchers).items():
        rows = [
            "| launcher | model | trains with | task | hardware | verified |",
            "|---|---|---|---|---|---|",
        ]
        for launcher in members:
            model, _, task = launcher.identity
            cells = (
                f"[{launcher.name}]({launcher.path.name})",
                model,
                trains_with(launcher),
                task,
                hardware(launcher),
                verified(launcher, records),
            )
            rows.append(f"| {' | '.join(cells)} |")
        blocks.append(f"### {title}\n\n" + "\n".join(rows))
    blocks.append(not_on_a_cpu(launchers, records))
    return "\n\n".join(filter(None, blocks))


def count_by_level(launchers: list[Launcher], records: list[Record]) -> str:
    """Return how many launchers have reached each level at most, and how many none, as one sentence."""
    counts = Counter(level_of(launcher.path, records) for launcher in launchers)
    parts = [f"{counts[level]} {level} ({LEVEL_WORDS[level]})" for level in LEVELS]
    if counts[""]:
        parts.append(f"{counts['']} not verified as they are now")
    return f"{len(launchers)} launchers, by the highest level reached: {', '.join(parts)}."


def not_on_a_cpu(launchers: list[Launcher], records: list[Record]) -> str:
    """Return which launchers cannot be smoke-run, by reason; "" if none."""
    by_reason: dict[str, list[str]] = {}
    for launcher in launchers:
        record = current(launcher.path, records).get("S")
        if record and record.reason:
            by_reason.setdefault(record.reason, []).append(launcher.name)
    if not by_reason:
        return ""
    lines = [f"- {reason}:\n  {', '.join(f'`{name}`' for name in names)}" for reason, names in by_reason.items()]
    return "### What cannot run on a CPU\n\nIn the launchers' own words:\n\n" + "\n".join(lines)


def overview(launchers: list[Launcher], records: list[Record]) -> str:
    """Return one row a group as Markdown, and the levels reached, for the front page."""
    rows = ["| | models | trained with | tasks | launchers |", "|---|---|---|---|---|"]
    for title, members in groups(launchers).items():
        models = distinct(launcher.identity[0].removesuffix("-Instruct") for launcher in members)
        found = " ".join(f"{trains_with(launcher)} {launcher.device}" for launcher in members)
        ways = ", ".join(way for word, way in WAYS.items() if word in found)
        tasks = distinct(launcher.identity[2] for launcher in members)
        rows.append(f"| {title} | {models} | {ways} | {tasks} | {len(members)} |")
    return "\n".join([*rows, "", count_by_level(launchers, records)])


def distinct(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def wanted() -> dict[Path, str]:
    """Return the files with tables of recipes, and what they should be."""
    launchers, records = all_launchers(), read()
    return {
        PAGE: with_marked_text(PAGE, "recipes", recipes(launchers, records)),
        FRONT_PAGE: with_marked_text(FRONT_PAGE, "recipes", overview(launchers, records)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.recipe_table", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table is out of date")
    args = parser.parse_args()
    try:
        stale = update(wanted(), check=args.check)
    except (LauncherError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    if args.check and stale:
        print(f"out of date: {', '.join(map(str, stale))}; run: make recipes", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
