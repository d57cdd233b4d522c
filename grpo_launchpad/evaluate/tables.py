"""The results as Markdown, for a reader and for the terminal."""

from collections.abc import Iterator, Mapping, Sequence

NOT_MEASURED = "-"


def markdown(results: Mapping) -> str:
    """Return the whole result as Markdown.

    Args:
        results: what results.json holds.
    """
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Mapping) -> Iterator[str]:
    sampling = results["sampling"]
    yield f"# Evaluation: {', '.join(model['name'] for model in results['models'])}"
    yield ""
    count = results["samples"]
    yield (
        f"{count} {'answer' if count == 1 else 'answers'} a problem (preset {results['preset']}): temperature "
        f"{sampling['temperature']:g}, top-p {sampling['top_p']:g}, at most {sampling['max_tokens']:,} tokens, seed "
        f"{sampling['seed']}. Scorer: {results['scorer']}. Engine: {results['engine']}. In brackets: 95 % intervals "
        "over problems."
    )
    for data in results["data"]:
        rows = [row for row in results["results"] if row["data"] == data["name"]]
        yield from ("", f"## {data['name']}, {data['problems']} problems", "")
        yield from _table(
            ["in %", *(row["model"] for row in rows)],
            [
                *([name, *(percent(row["metrics"].get(name)) for row in rows)] for name in rows[0]["metrics"]),
                ["mean reward", *(f"{row['reward']:.3f}" for row in rows)],
                ["tokens, mean", *(f"{row['length']['mean']:.1f}" for row in rows)],
                ["tokens, 95th percentile", *(f"{row['length']['p95']:.0f}" for row in rows)],
                ["cut off at the limit", *(f"{row['truncated']:.1%}" for row in rows)],
            ],
        )
        errors = {row["model"]: row["scorer_errors"] for row in rows if row["scorer_errors"]}
        if errors:
            told = ", ".join(f"{share:.1%} of {model}'s answers" for model, share in errors.items())
            yield from ("", f"The scorer gave no verdict on {told}; they count as wrong.")
        differences = [row for row in results["differences"] if row["data"] == data["name"]]
        if differences:
            yield from ("", f"Against {differences[0]['than']}, problem by problem:", "")
            yield from _table(
                ["percentage points", *(row["model"] for row in differences)],
                [
                    [name, *(points(row["metrics"].get(name)) for row in differences)]
                    for name in differences[0]["metrics"]
                ],
            )
        yield from _by_group(rows)


def _by_group(rows: Sequence[Mapping]) -> Iterator[str]:
    for column, groups in rows[0]["by"].items():
        name = next(iter(rows[0]["metrics"]))
        yield from ("", f"{name} by {column}:", "")
        yield from _table(
            [column, "problems", *(row["model"] for row in rows)],
            [
                [value, str(group["problems"]), *(percent(row["by"].get(column, {}).get(value)) for row in rows)]
                for value, group in groups.items()
            ],
        )


def percent(metric: Mapping | None) -> str:
    """Return a share with its interval: 64.1 [58.0, 69.9] percent."""
    if metric is None:
        return NOT_MEASURED
    value = f"{100 * metric['value']:.1f}"
    return value if metric["low"] is None else f"{value} [{100 * metric['low']:.1f}, {100 * metric['high']:.1f}]"


def points(metric: Mapping | None) -> str:
    """Return a difference in percentage points with its interval."""
    if metric is None:
        return NOT_MEASURED
    value = f"{100 * metric['value']:+.1f}"
    return value if metric["low"] is None else f"{value} [{100 * metric['low']:+.1f}, {100 * metric['high']:+.1f}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
