"""Sums of two numbers below 100, as verl parquet: a task that a tiny model learns on a laptop.

    python data_prep/arithmetic.py

All 10,000 sums exist once; a seeded shuffle holds out 256 of them as the test set, so no test problem is ever
trained on. The same seed gives the same files, byte for byte.

Every script of this folder has the same options; docs/en/data.md explains them.
"""

import sys

if __package__ in (None, ""):  # run as a script: import from the project, and nothing from this folder
    sys.path[: 0 if sys.flags.safe_path else 1] = [f"{__file__.rpartition('/')[0] or '.'}/.."]

import random
from collections.abc import Iterator

from data_prep.pipeline import command_line
from data_prep.pipeline.data_set import DataSet, Problem, Split

UPPER = 100
TEST_ROWS = 256


def problems(seed: int = 0) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the (train, test) pairs of addends, disjoint, in the order the seed gives."""
    pairs = [(a, b) for a in range(UPPER) for b in range(UPPER)]
    random.Random(seed).shuffle(pairs)
    return pairs[TEST_ROWS:], pairs[:TEST_ROWS]


def generate(split: str, seed: int) -> Iterator[dict]:
    """Yield the sums of a split."""
    for a, b in problems(seed)[split == "test"]:
        yield {"a": a, "b": b}


def to_problem(record: dict) -> Problem:
    """Write one sum as a question."""
    return Problem(f"{record['a']}+{record['b']}=", str(record["a"] + record["b"]))


DATA_SET = DataSet(
    name="arithmetic",
    title="sums of two numbers below 100",
    homepage="made here",
    licence="Apache-2.0",
    splits=(Split("train", data_source="arithmetic"), Split("test", data_source="arithmetic")),
    to_problem=to_problem,
    generate=generate,
    keep=("long", "near-overlap"),
)

if __name__ == "__main__":
    command_line.main(DATA_SET, __doc__)
