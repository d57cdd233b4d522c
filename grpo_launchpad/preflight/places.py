"""Where a key of verl got its value, in the words of who set it: a knob, a line of the launcher, or an argument."""

import re
from pathlib import Path

from grpo_launchpad.knobs import TABLE, knobs_of
from grpo_launchpad.preflight.override import backend_of, key_of


class Places:
    """Names the place of a key in one launch.

    ``launch.sh`` gives its own overrides first, among them those of the knobs in one piece and in the table's order;
    then the launcher's arrays; then the user's arguments. The last override of a key wins, so its place is the answer.
    """

    def __init__(self, launcher: Path, overrides: list[str]):
        self.overrides = overrides
        self.launcher_name = launcher.name
        self.launcher_lines = _lines(launcher)
        self.library_lines = [line for file in sorted(TABLE.parent.glob("*.sh")) for line in _lines(file)]
        self.knobs = knobs_of(backend_of(overrides))
        self.set_by_knobs = self._set_by_knobs()

    def of(self, key: str) -> str:
        """Return a key with the place it was set, or anything else as it is: a file, a variable, a key nobody set."""
        settings = [index for index, override in enumerate(self.overrides) if key_of(override) == key]
        if not settings:
            return key
        if settings[-1] in self.set_by_knobs:
            knob = next(knob.name for knob in self.knobs if key in knob.keys)
            return f"{self._at(_line_with(f'{knob}=', self.launcher_lines))}{knob} ({key})"
        element = rf'"[+]*{re.escape(key)}='
        line = _line_with(rf"\s*{element}", self.launcher_lines)
        written = (line > 0) + sum(re.search(element, text) is not None for text in self.library_lines)
        if len([index for index in settings if index not in self.set_by_knobs]) > written:
            return f"argument {self.overrides[settings[-1]]}"
        return f"{self._at(line)}{key}"

    def _set_by_knobs(self) -> set[int]:
        """Return which overrides the knobs gave: from the first knob's on, while they come in the table's order."""
        order = {key: position for position, key in enumerate(key for knob in self.knobs for key in knob.keys)}
        found: list[int] = []
        position = -1
        for index, override in enumerate(self.overrides):
            previous, position = position, order.get(key_of(override), -1)
            if found and position <= previous:
                break
            if found or position == 0:
                found.append(index)
        return set(found)

    def _at(self, line: int) -> str:
        return f"{self.launcher_name}:{line} " if line else ""


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []


def _line_with(pattern: str, lines: list[str]) -> int:
    """Return the number of the first line that begins with a pattern, or 0."""
    return next((number for number, line in enumerate(lines, start=1) if re.match(pattern, line)), 0)
