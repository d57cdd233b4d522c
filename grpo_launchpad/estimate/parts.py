"""Named amounts of memory, and their sums."""

from collections.abc import Iterable
from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Part:
    """An amount of memory with its name.

    Attributes:
        name: as a reader sees it.
        size: bytes.
    """

    name: str
    size: float


@dataclass(frozen=True)
class Phase:
    """What one device holds at the peak of a phase of a step.

    Attributes:
        name: of the phase.
        parts: the amounts, none of them 0.
        process: whose memory it is, "trainer" or "device" for all processes of one.
    """

    name: str
    parts: tuple[Part, ...]

    @property
    def total(self) -> float:
        """All parts together, in bytes."""
        return total(self.parts)

    @property
    def largest(self) -> Part:
        """The largest part."""
        return max(self.parts, key=lambda part: part.size)


def parts_of(*named: tuple[str, float]) -> tuple[Part, ...]:
    """Return named amounts without those that are nothing."""
    return tuple(Part(name, size) for name, size in named if size > 0)


def total(parts: Iterable[Part]) -> float:
    """Return the sum of amounts, in bytes."""
    return sum(part.size for part in parts)
