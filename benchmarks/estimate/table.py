"""The table of errors by class of rows."""

import statistics
from collections import defaultdict
from typing import Any

from benchmarks.estimate.memory_rows import Estimate

Answer = tuple[dict[str, Any], Estimate]


def table(answers: list[Answer]) -> str:
    """Return errors by class in Markdown, then what verdicts said, then how many rows are modelled."""
    by_kind: dict[str, list[Answer]] = defaultdict(list)
    for row, answer in answers:
        by_kind[answer.kind].append((row, answer))
    lines = [
        "| class | confidence | rows | modelled | median | 9 of 10 within | furthest |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in sorted(by_kind):
        if kind.endswith("verdict"):
            continue
        for confidence in "abc":
            members = [(r, a) for r, a in by_kind[kind] if r.get("confidence") == confidence]
            if members:
                lines.append(_row(kind, confidence, members))
    return "\n".join([*lines, "", *_verdicts(answers), _coverage(answers)])


def error(row: dict[str, Any], answer: Estimate) -> float | None:
    """Return the relative error of an estimate, above 0 if it is too high; None if there is none."""
    if answer.value is None or not row["value"] or row["what"] in ("fits", "oom"):
        return None
    return answer.value / row["value"] - 1


def _row(kind: str, confidence: str, members: list[Answer]) -> str:
    errors = [(abs(e), e, row) for row, answer in members if (e := error(row, answer)) is not None]
    if not errors:
        return f"| {kind} | {confidence} | {len(members)} | 0 | | | |"
    errors.sort(key=lambda each: each[0])
    sizes = [each[0] for each in errors]
    ninth = sizes[max(0, -(-len(sizes) * 9 // 10) - 1)]
    worst = errors[-1]
    return (
        f"| {kind} | {confidence} | {len(members)} | {len(errors)} | {statistics.median(sizes):.1%} | {ninth:.1%} "
        f"| {worst[1]:+.1%} `{worst[2]['id']}` |"
    )


def _verdicts(answers: list[Answer]) -> list[str]:
    lines = ["| measured | fits | tight | does not fit | not modelled |", "|---|---|---|---|---|"]
    for what, words in (("fits", "ran"), ("oom", "ran out of memory")):
        said = [answer.verdict for row, answer in answers if row["what"] == what]
        if said:
            counts = [said.count(word) for word in ("fits", "tight", "does not fit", None)]
            lines.append(f"| {words} | " + " | ".join(map(str, counts)) + " |")
    return [*lines, ""] if len(lines) > 2 else []


def _coverage(answers: list[Answer]) -> str:
    best = [answer for row, answer in answers if row.get("confidence") == "a"]
    modelled = sum(answer.value is not None for answer in best)
    return f"Modelled of rows with confidence a: {modelled} of {len(best)}."
