"""Sums of two numbers below 100, as verl parquet: a task that a tiny model learns on a laptop.

    python data_prep/arithmetic.py

All 10,000 sums exist once; a seeded shuffle holds out 256 of them as the test set, so no test problem is ever
trained on. The same seed gives the same files, byte for byte.
"""

import argparse
import random
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: make the project's packages importable
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data_prep.verl_parquet import make_row, write_split

DATA_SOURCE = "arithmetic"
UPPER = 100
TEST_ROWS = 256


def problems(seed: int = 0) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the (train, test) pairs of addends, disjoint, in the order the seed gives."""
    pairs = [(a, b) for a in range(UPPER) for b in range(UPPER)]
    random.Random(seed).shuffle(pairs)
    return pairs[TEST_ROWS:], pairs[:TEST_ROWS]


def to_row(index: int, split: str, pair: tuple[int, int]) -> dict:
    """Turn one pair of addends into a row in verl's schema."""
    a, b = pair
    return make_row(
        data_source=DATA_SOURCE,
        messages=[{"role": "user", "content": f"{a}+{b}="}],
        ability="math",
        ground_truth=str(a + b),
        extra_info={"split": split, "index": index},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data/arithmetic"), help="folder for {train,test}.parquet")
    parser.add_argument("--seed", type=int, default=0, help="decides which problems are held out (default: 0)")
    args = parser.parse_args()
    for split, pairs in zip(("train", "test"), problems(args.seed), strict=True):
        write_split(args.out, split, [to_row(i, split, pair) for i, pair in enumerate(pairs)])


if __name__ == "__main__":
    main()
