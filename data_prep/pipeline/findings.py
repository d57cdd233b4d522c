"""What was found wrong with rows, by reason, and whether they may be left out for it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from data_prep.pipeline.data_set import REASONS, DataSet

TOLD = 5
LISTED = 1000


@dataclass(frozen=True)
class Policy:
    """What happens to rows with a fault: for reasons in neither list, nothing is written at all.

    Attributes:
        drop: reason -> the largest share of a split's rows that may be left out.
        keep: reasons that are reported only.
    """

    drop: Mapping[str, float]
    keep: frozenset[str]

    @classmethod
    def of(cls, data_set: DataSet, drop: Iterable[str], keep: Iterable[str]) -> "Policy":
        """Return the data set's own policy as the user changes it; what the user drops has no limit."""
        drop, keep = set(drop), set(keep)
        own = {reason: share for reason, share in data_set.drop.items() if reason not in keep}
        return cls(own | dict.fromkeys(drop, 1.0), frozenset((set(data_set.keep) | keep) - drop))


@dataclass
class Findings:
    """Counts of faults, with the places of the first ones. Bounded however many there are.

    Attributes:
        rows: reason -> how many rows.
        told: reason -> the first few, as messages.
        indices: reason -> the rows' ``extra_info.index``, the first thousand of them.
    """

    rows: Counter[str] = field(default_factory=Counter)
    told: dict[str, list[str]] = field(default_factory=dict)
    indices: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, index: int, message: str) -> None:
        """Note one row."""
        self.rows[reason] += 1
        told, indices = self.told.setdefault(reason, []), self.indices.setdefault(reason, [])
        if len(told) < TOLD:
            told.append(message)
        if len(indices) < LISTED:
            indices.append(index)

    def is_full(self, reason: str) -> bool:
        """Say whether another row would only be counted."""
        return self.rows[reason] >= LISTED

    def join(self, other: "Findings") -> None:
        """Add what was found in the rows behind."""
        self.rows += other.rows
        for reason in other.rows:
            self.told[reason] = [*self.told.get(reason, []), *other.told[reason]][:TOLD]
            self.indices[reason] = [*self.indices.get(reason, []), *other.indices[reason]][:LISTED]

    def forbidden(self, policy: Policy, rows_in: int) -> list[str]:
        """Return the reasons for which this split may not be written."""
        return [
            reason
            for reason in REASONS
            if self.rows[reason] > policy.drop.get(reason, 0.0) * rows_in and reason not in policy.keep
        ]

    def listing(self, reasons: Iterable[str]) -> str:
        """Return the faults that were found for these reasons, as a user reads them."""
        lines = []
        for reason in filter(self.rows.get, reasons):
            lines.append(f"  {reason}: {_rows(self.rows[reason])}; {REASONS[reason]}")
            lines += [f"    {message}" for message in self.told[reason]]
            if self.rows[reason] > len(self.told[reason]):
                lines.append(f"    and {self.rows[reason] - len(self.told[reason]):,} more")
        return "\n".join(lines)


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"
