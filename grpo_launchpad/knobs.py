"""The launchers' knobs and the keys of verl that they set: the table examples/lib/knobs.txt."""

import functools
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).resolve().parents[1] / "examples" / "lib" / "knobs.txt"
ALL_BACKENDS = "all"


@dataclass(frozen=True)
class Knob:
    """A row of the table.

    Attributes:
        name: the variable that a user sets ("ROLLOUT_TP").
        backend: "all", "fsdp" or "megatron": the launchers in which it works.
        kind: what its value looks like; the table's head has the list.
        keys: the keys of verl that it sets, without the leading "+" of those that verl's tree lacks.
        meaning: for a reader.
    """

    name: str
    backend: str
    kind: str
    keys: tuple[str, ...]
    meaning: str


def read_knobs() -> list[Knob]:
    """Return all rows of the table, in its order."""
    return list(_table())


def knobs_of(backend: str) -> list[Knob]:
    """Return the rows that work in the launchers of a backend, "fsdp" or "megatron"."""
    return [knob for knob in _table() if knob.backend in (ALL_BACKENDS, backend)]


def knob_of(key: str, backend: str) -> Knob | None:
    """Return the knob that sets a key of verl in the launchers of a backend, "fsdp" or "megatron"."""
    return next((knob for knob in knobs_of(backend) if key in knob.keys), None)


@functools.cache
def _table() -> tuple[Knob, ...]:
    knobs = []
    for number, line in enumerate(TABLE.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        columns = line.split(maxsplit=4)
        if len(columns) < 5:
            raise ValueError(f"{TABLE}:{number}: {len(columns)} columns; a row is: knob backend kind key[,key] meaning")
        name, backend, kind, keys, meaning = columns
        knobs.append(Knob(name, backend, kind, tuple(key.lstrip("+") for key in keys.split(",")), meaning))
    return tuple(knobs)
