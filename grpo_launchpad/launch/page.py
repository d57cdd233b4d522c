"""A launcher as a text: its header, and the line of each key with the knob and the default that stand in it.

The one reader of the form of a launcher:

    ARRAY=(
        "key=${KNOB:=default}" # reason
        "key=value"
    )
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

# A default holds no quotes and no braces but those of other variables: "${DATA_DIR}/gsm8k/train.parquet".
EXPANSION = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?::=(?P<default>(?:[^{}$]|\$\{[A-Z0-9_]+\})*))?\}")
ELEMENT = re.compile(r'\s+"(?P<prefix>[+~]*)(?P<key>[^"=]+)=(?P<value>[^"]*)"(?:\s+# (?P<reason>.*\S))?\s*')
ARRAY = re.compile(r"(?P<name>[A-Z]+)=\((?:\s+# .*)?")
FRAME = "set -euo pipefail"


@dataclass(frozen=True)
class Line:
    """One element of a launcher's arrays.

    Attributes:
        number: of the line in the file, from 1.
        array: the name of the array that it stands in.
        prefix: Hydra's "+", "++" or "".
        key: of verl.
        text: what stands after the "=", as written.
        knob: the variable in it that can be set, or "".
        default: the knob's value if it is not set, or the text if there is no knob.
        reason: the comment behind it, or "".
    """

    number: int
    array: str
    prefix: str
    key: str
    text: str
    knob: str
    default: str
    reason: str


@dataclass(frozen=True)
class Page:
    """A launcher's file."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8", errors="replace")

    @property
    def header(self) -> list[str]:
        """The comment at the top, without the "#" and the first line, which names the shell."""
        above = self.text.partition(f"{FRAME}\n")[0].splitlines()
        return [line.removeprefix("#").removeprefix(" ") for line in above if line.startswith("#")][1:]

    @cached_property
    def lines(self) -> list[Line]:
        """The elements of its arrays, from top to bottom."""
        lines = []
        array = ""
        for number, text in enumerate(self.text.splitlines(), start=1):
            if opening := ARRAY.fullmatch(text):
                array = opening["name"]
            elif array and (element := ELEMENT.fullmatch(text)):
                knob = next(
                    (found for found in EXPANSION.finditer(element["value"]) if found["default"] is not None), None
                )
                lines.append(
                    Line(
                        number=number,
                        array=array,
                        prefix=element["prefix"],
                        key=element["key"],
                        text=element["value"],
                        knob=knob["name"] if knob else "",
                        default=knob["default"] if knob else element["value"],
                        reason=element["reason"] or "",
                    )
                )
        return lines

    @property
    def knobs(self) -> dict[str, str]:
        """The knobs that it names, with its defaults."""
        return {line.knob: line.default for line in reversed(self.lines) if line.knob}

    def line_of(self, key: str) -> int:
        """Return the number of the line that sets a key, or 0."""
        return next((line.number for line in reversed(self.lines) if line.key == key), 0)

    def overrides(self, variables: Mapping[str, str]) -> list[str]:
        """Return the elements as bash would expand them.

        Args:
            variables: what is set; a knob that is not, or is empty, has its default from then on, as with ``:=``.
        """
        known = dict(variables)
        return [f"{line.prefix}{line.key}={_expand(line.text, known)}" for line in self.lines]


def _expand(text: str, known: dict[str, str]) -> str:
    def value(found: re.Match) -> str:
        name = found["name"]
        if not known.get(name) and found["default"] is not None:
            known[name] = _expand(found["default"], known)
        return known[name]

    return EXPANSION.sub(value, text)
