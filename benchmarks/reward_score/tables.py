"""Markdown tables, as they stand in README.md."""

from collections.abc import Iterable, Sequence


def markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table whose first column is left-aligned and all others right-aligned."""
    body = [[_cell(value) for value in row] for row in rows]
    widths = [max(2, *map(len, column)) for column in zip(columns, *body, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [column.ljust(width) for column, width in zip(columns, widths, strict=True)],
        rule,
        *([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in body),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", r"\|")


def percent(part: int, whole: int) -> str:
    """Return a share in per cent with its count: ``0.2 % (2)``."""
    return f"{100 * part / whole:.1f} % ({part})" if whole else "-"


def rate(per_second: float) -> str:
    """Return a rate with three significant digits: ``112,000``, ``4,350``, ``87.3``."""
    return f"{float(f'{per_second:.3g}'):,.0f}" if per_second >= 100 else f"{per_second:.3g}"
