"""Time and memory of data_prep/gsm8k.py over the number of rows, on synthetic rows."""

import json
import random
import sys
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

from benchmarks.data_prep.child import MIB, Failure, Usage, measure
from benchmarks.reward_score.tables import markdown, rate

ROWS = [10_000, 100_000, 1_000_000, 10_000_000]
TEST_ROWS = 1000
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]


class Result(NamedTuple):
    """What one number of training rows took; ``usage`` is None if the program failed, as it does without memory."""

    rows: int
    usage: Usage | None
    written: int  # bytes


def records() -> Iterator[dict[str, str]]:
    """Yield problems like GSM8K's, always the same ones, some 260 bytes of JSON each; no two are alike.

    Three made-up words in each keep problems apart, as they would be nearly the same with numbers alone.
    """
    draw = random.Random(0)
    for order in count(1):
        person, thing, place = ("".join(draw.choices(SYLLABLES, k=3)) for _ in range(3))
        boxes, each, lost = draw.randrange(3, 100), draw.randrange(12, 100), draw.randrange(1, 36)
        packed = boxes * each
        yield {
            "question": f"{person.title()} packs {boxes} boxes with {each} {thing}s each for order {order}. "
            f"On the way to {place.title()}, {lost} {thing}s fall off the truck. How many arrive?",
            "answer": f"{person.title()} packs {boxes}*{each}=<<{boxes}*{each}={packed}>>{packed} {thing}s.\n"
            f"Of them {packed}-{lost}=<<{packed}-{lost}={packed - lost}>>{packed - lost} arrive.\n"
            f"#### {packed - lost}",
        }


def write_source(out: Path, rows: int) -> None:
    """Write TEST_ROWS test rows and ``rows`` training rows as JSONL, one at a time."""
    out.mkdir()
    problems = records()
    for split, number in (("test", TEST_ROWS), ("train", rows)):
        with (out / f"{split}.jsonl").open("w") as file:
            file.writelines(json.dumps(problem) + "\n" for problem in islice(problems, number))


def run(rows: int, engine: str | None) -> Result:
    """Prepare ``rows`` synthetic rows, and say on stderr how that ended."""
    with tempfile.TemporaryDirectory(prefix="data_prep-") as temporary:
        source, out = Path(temporary, "source"), Path(temporary, "out")
        write_source(source, rows)
        options = ["--engine", engine] if engine else []
        try:
            usage = measure(["data_prep/gsm8k.py", "--source", source, "--out", out, "--force", *options], tree=True)
        except Failure as failure:
            print(f"{rows:,} rows: {failure}", file=sys.stderr)
            return Result(rows, None, 0)
        written = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{rows:,} rows: {usage.seconds:.1f} s", file=sys.stderr)
    return Result(rows, usage, written)


def table(results: list[Result]) -> str:
    """Return one row per number of training rows as Markdown."""
    columns = ["rows", "s", "rows/s", "output MiB", "largest process, MiB", "all: RSS", "PSS", "USS"]
    return markdown(columns, [[f"{result.rows:,}", *_cells(result)] for result in results])


def _cells(result: Result) -> list[str]:
    if result.usage is None:
        return ["failed", *"------"]
    seconds, _, *peaks = result.usage
    return [
        f"{seconds:.1f}",
        rate((result.rows + TEST_ROWS) / seconds),
        f"{result.written / MIB:,.1f}",
        *(f"{peak / MIB:,.0f}" for peak in peaks),
    ]


def plot(results: list[Result], target: Path) -> None:
    """Draw the peak memory of the process tree over the number of rows, as SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    from grpo_launchpad.report.figures import BLUE, RC

    done = [result for result in results if result.usage]
    rows = [result.rows for result in done]
    with matplotlib.rc_context({**RC, "svg.hashsalt": "data_prep"}):
        figure = Figure(figsize=(6, 3), layout="constrained")
        axes = figure.subplots()
        axes.plot(rows, [result.usage.pss / MIB for result in done], "o-", color=BLUE)
        axes.set(xscale="log", xlabel="rows", ylabel="peak PSS of all processes, MiB")
        axes.set_xticks(rows, [f"{number:,}" for number in rows])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        figure.savefig(target, format="svg", metadata={"Date": None})
