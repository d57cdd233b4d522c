"""Write the tables of docs/{en,zh}/launchers.md, cpu.md and watching.md from the data of grpo_launchpad.

    python -m tools.launch_tables             writes them
    python -m tools.launch_tables --check     exits with 1 if one is out of date

The Chinese of each text is in docs/zh/phrases.yaml. A text that it lacks is an error, and so is one that no table has.
`make recipes` runs it.
"""

import argparse
import html
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml

from grpo_launchpad.__main__ import VERBS
from grpo_launchpad.health.rules import ALL_RULES
from grpo_launchpad.launch.devices import DEVICES
from grpo_launchpad.launch.environment import ELSEWHERE, FLAGS, PLACES
from grpo_launchpad.launch.knobs import Knob, read_knobs
from grpo_launchpad.launch.plan import CONSEQUENCES
from grpo_launchpad.launch.smoke import TABLE as SMOKE_TABLE
from grpo_launchpad.launch.trackers import TRACKERS
from tools.launchers import ROOT
from tools.marked_text import update, with_marked_text

PHRASES = ROOT / "docs" / "zh" / "phrases.yaml"
LANGUAGES = ("en", "zh")
ENGINES = {"fsdp": "FSDP2", "megatron": "Megatron"}
ANY = "all"

Say = Callable[[str], str]


class PhraseError(Exception):
    """docs/zh/phrases.yaml does not fit the tables; the message names the texts."""


class Phrases:
    """English texts and their Chinese, with a record of those that were asked for.

    Args:
        chinese: English -> Chinese.
    """

    def __init__(self, chinese: dict[str, str]):
        self.chinese = chinese
        self.used: dict[str, None] = {}

    def __call__(self, text: str) -> str:
        if not any(map(str.isalpha, text)):  # a number
            return text
        self.used[text] = None
        return self.chinese.get(text, text)

    def refuse_misfits(self) -> None:
        """Raise PhraseError if a text that was asked for is missing, or one that is there was not asked for."""
        missing = [f"missing: {text}" for text in self.used if not self.chinese.get(text)]
        unused = [f"unused: {text}" for text in self.chinese if text not in self.used]
        if missing or unused:
            raise PhraseError(f"{PHRASES}:\n  " + "\n  ".join([*missing, *unused]))


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(header)
    cells = [titles, *rows]
    lines = ["|" + "".join(f" {cell} |" if cell else " |" for cell in row) for row in cells]
    lines.insert(1, "|" + "---|" * len(titles))
    return "\n".join(lines)


def code(*texts: str) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def prose(text: str) -> str:
    """Return a text that Markdown shows as it is, but for what stands in backticks."""
    parts = text.split("`")
    parts[::2] = [html.escape(part, quote=False) for part in parts[::2]]
    return "`".join(parts).replace("|", "\\|")


def knobs(say: Say) -> str:
    """One row a name, with the keys of each backend where they differ."""
    by_name: dict[str, list[Knob]] = {}
    for knob in read_knobs():
        by_name.setdefault(knob.name, []).append(knob)
    rows = []
    for name, members in by_name.items():
        everywhere = len(members) == len(ENGINES) or members[0].backend == ANY
        keys = "".join(
            f"<br>{ENGINES[knob.backend] + ': ' if len(members) > 1 else ''}`{key}`"
            for knob in members
            for key in knob.keys
        )
        also = dict.fromkeys(other for knob in members for other in knob.also)
        rows.append(
            (
                code(name),
                say(ANY) if everywhere else ENGINES[members[0].backend],
                members[0].kind,
                prose(say(members[0].meaning)) + keys,
                code(*also),
            )
        )
    titles = ("knob", "launchers", "value", "meaning, and verl's key", "also taken, from verl's scripts")
    return markdown_table(map(say, titles), rows)


def flags(say: Say) -> str:
    rows = [
        (code(name), say("on" if default else "off"), prose(say(meaning))) for name, (default, meaning) in FLAGS.items()
    ]
    return markdown_table(map(say, ("flag", "if not set", "effect")), rows)


def places(say: Say) -> str:
    rows = [(code(name), prose(say(meaning)), code(*also)) for name, (also, meaning) in PLACES.items()]
    return markdown_table(map(say, ("variable", "meaning", "also taken, from verl's scripts")), rows)


def elsewhere(say: Say) -> str:
    rows = [(code(name), prose(say(instead))) for name, instead in ELSEWHERE.items()]
    return markdown_table(map(say, ("in verl's scripts", "here")), rows)


def consequences(say: Say) -> str:
    rows = [
        (code(each.key), code(*each.of), engine_name(each.engine, say), prose(say(each.reason)))
        for each in CONSEQUENCES
    ]
    return markdown_table(map(say, ("key", "follows from", "launchers", "what it becomes")), rows)


def device(name: str, say: Say) -> str:
    """The variables of a device, then its keys."""
    rows = []
    for variable in DEVICES[name].variables:
        value = f"={variable.value}" if isinstance(variable.value, str) else ""
        cell = code(variable.name + value)
        if not value:
            cell += f": {say('the number of cores')}"
        if variable.fixed:
            cell += f", {say('always')}"
        rows.append((cell, engine_name(variable.engine, say), prose(say(variable.reason))))
    for key in DEVICES[name].keys:
        rows.append((code(key.override), engine_name(key.engine, say), prose(say(key.reason))))
    return markdown_table(map(say, ("variable or key", "launchers", "why")), rows)


def engine_name(engine: str, say: Say) -> str:
    return ENGINES[engine] if engine else say(ANY)


def trackers(say: Say) -> str:
    rows = []
    for tracker in TRACKERS:
        used_when = [
            f"{variable}={value}" if value else variable
            for variable, values in tracker.used_when
            for value in values or ("",)
        ]
        rows.append((tracker.name, code(*used_when), prose(say(tracker.writes))))
    titles = ("tracker", "used when one of these is set", "named in `LOGGER` and nothing else set, it writes")
    return markdown_table(map(say, titles), rows)


def smoke(say: Say) -> str:
    rows = [(prose(say(what)), prose(say(how))) for what, how in SMOKE_TABLE]
    return markdown_table(("", say("in a smoke run")), rows)


def verbs(say: Say) -> str:
    rows = [(code(f"grpo-launchpad {verb}"), prose(say(meaning))) for verb, (_, meaning) in VERBS.items()]
    return markdown_table(map(say, ("command", "effect")), rows)


def health(say: Say) -> str:
    rows = [
        (
            code(rule.name),
            *(prose(say(text)) for text in (rule.meaning, rule.threshold, rule.remedy, rule.source)),
        )
        for rule in ALL_RULES
    ]
    titles = ("rule", "what is wrong", "when it is said", "what to do", "source")
    return markdown_table(map(say, titles), rows)


# page -> marker -> table
TABLES: dict[str, dict[str, Callable[[Say], str]]] = {
    "launchers.md": {
        "flags": flags,
        "places": places,
        "verbs": verbs,
        "knobs": knobs,
        "elsewhere": elsewhere,
        "consequences": consequences,
        "npu": lambda say: device("npu", say),
        "trackers": trackers,
        "smoke": smoke,
    },
    "watching.md": {"health": health},
    "cpu.md": {"cpu": lambda say: device("cpu", say)},
}


def tables(say: Say) -> dict[str, dict[str, str]]:
    """Return page -> marker -> its table in the language of ``say``."""
    return {page: {name: make(say) for name, make in made.items()} for page, made in TABLES.items()}


def read_phrases(path: Path = PHRASES) -> Phrases:
    return Phrases({pair["en"]: pair["zh"] for pair in yaml.safe_load(path.read_text(encoding="utf-8"))})


def wanted(docs: Path = ROOT / "docs", phrases: Phrases | None = None) -> dict[Path, str]:
    """Return the pages with tables, and what they should be.

    Raises:
        PhraseError: if a phrase is missing or unused.
        ValueError: if a page lacks a table's markers.
    """
    phrases = phrases or read_phrases()
    by_language = {"en": tables(str), "zh": tables(phrases)}
    phrases.refuse_misfits()
    found = {}
    for language, pages in by_language.items():
        for page, made in pages.items():
            path = docs / language / page
            for name, table in made.items():
                found[path] = with_marked_text(path, name, table, found.get(path))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.launch_tables", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table is out of date")
    args = parser.parse_args()
    try:
        stale = update(wanted(), check=args.check)
    except (PhraseError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    if args.check and stale:
        print(f"out of date: {', '.join(map(str, stale))}; run: make recipes", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
