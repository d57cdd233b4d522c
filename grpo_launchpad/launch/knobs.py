"""The launchers' knobs, the keys of verl that they set, and how a value is written for Hydra: the table knobs.txt."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("knobs.txt")
ALL_BACKENDS = "all"
BACKENDS = (ALL_BACKENDS, "fsdp", "megatron")
COLUMNS = 6

# kind -> what a value looks like, and its name in a message. Any text will do for the other kinds.
PATTERNS = {
    "count": (re.compile(r"[1-9][0-9]*"), "a whole number above 0"),
    "integer": (re.compile(r"0|-?[1-9][0-9]*"), "a whole number"),
    "number": (re.compile(r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"), "a number"),
    "flag": (re.compile(r"[Tt]rue|[Ff]alse"), "True or False"),
    "word": (re.compile(r"\S+"), "a single word"),
}
KINDS = (*PATTERNS, "text", "files")


@dataclass(frozen=True)
class Knob:
    """A row of the table.

    Attributes:
        name: the variable that a user sets ("ROLLOUT_TP").
        backend: "all", "fsdp" or "megatron": the launchers in which it works.
        kind: what its value looks like; the table's head has the list.
        keys: the keys of verl that it sets, without the leading "+" of those that verl's tree lacks.
        also: names of the same thing in verl's own scripts.
        meaning: for a reader.
        prefix: "++" if verl's tree lacks the keys, else "".
    """

    name: str
    backend: str
    kind: str
    keys: tuple[str, ...]
    also: tuple[str, ...]
    meaning: str
    prefix: str = ""

    def fault(self, value: str) -> str:
        """Return what a value should be if it is not that ("a whole number"), else ""."""
        pattern, name = PATTERNS.get(self.kind, (None, ""))
        return "" if pattern is None or pattern.fullmatch(value) else name

    def hydra_value(self, value: str) -> str:
        """Return a value as Hydra reads it back unchanged."""
        if self.kind == "text" or (self.kind == "files" and not value.startswith("[")):
            return quoted(value)
        return value


def quoted(text: str) -> str:
    """Return a text in Hydra's single quotes; for Hydra, a backslash before a quote belongs to the quote."""
    text = re.sub(r"(\\+)('|\Z)", r"\1\1\2", text)
    return "'" + text.replace("'", r"\'") + "'"


def read_knobs() -> list[Knob]:
    """Return all rows of the table, in its order."""
    return list(_table())


def knobs_of(backend: str) -> list[Knob]:
    """Return the rows that work in the launchers of a backend, "fsdp" or "megatron"."""
    return [knob for knob in _table() if knob.backend in (ALL_BACKENDS, backend)]


def knob_of(key: str, backend: str) -> Knob | None:
    """Return the knob that sets a key of verl in the launchers of a backend, "fsdp" or "megatron"."""
    return _by_key(backend).get(key)


@functools.cache
def _by_key(backend: str) -> dict[str, Knob]:
    return {key: knob for knob in knobs_of(backend) for key in knob.keys}


@functools.cache
def _table() -> tuple[Knob, ...]:
    knobs = []
    for number, line in enumerate(TABLE.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        columns = [column.strip() for column in line.split(" | ", maxsplit=COLUMNS - 1)]
        if len(columns) < COLUMNS or columns[1] not in BACKENDS or columns[2] not in KINDS:
            raise ValueError(f"{TABLE}:{number}: a row is: knob | backend | kind | key[,key] | also[,also] | meaning")
        name, backend, kind, keys, also, meaning = columns
        prefix = "++" if keys.startswith("++") else ""
        knobs.append(
            Knob(
                name,
                backend,
                kind,
                tuple(key.lstrip("+") for key in keys.split(",")),
                () if also == "-" else tuple(also.split(",")),
                meaning,
                prefix,
            )
        )
    return tuple(knobs)
