"""One thing that is wrong, said so that the reader can fix it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """What is wrong, where (a key, a file, a row), and the value or command that mends it."""

    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n    fix: {self.fix}"
