"""Compare estimates with published measurements.

    python -m benchmarks.estimate FILE.jsonl [--json]

FILE.jsonl has a measurement a line; docs/en/estimate.md names the fields. Without ``--json`` a table of errors by class
of rows is printed; with it, an object a line: ``id``, ``estimate`` in the row's unit (null where it is not modelled),
and for rows that say whether a run fitted, ``verdict``.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.estimate import memory_rows, time_rows
from benchmarks.estimate.table import table

# Of a row; one that is left out is not published.
# fmt: off
FIELDS = [
    "what", "value", "model", "engine", "gpu", "world", "tp", "pp", "vpp", "cp", "ep", "etp", "dp",
    "micro_batch", "token_budget", "seq_len", "prompt_len", "response_len", "global_batch", "n", "dtype",
    "distributed_optimizer", "recompute", "offload", "lora_rank", "sequence_parallel", "fp8", "attention",
    "engine_util", "confidence", "source",
]
# fmt: on


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimate", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, metavar="FILE.jsonl", help="measurements, one JSON object a line")
    parser.add_argument("--json", action="store_true", help="print the estimate of each row, one JSON object a line")
    args = parser.parse_args()
    try:
        rows = read(args.file)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    answers = [(row, estimate(row)) for row in rows]
    if args.json:
        for row, answer in answers:
            said: dict[str, Any] = {"id": row["id"], "estimate": answer.value}
            if row["what"] in ("fits", "oom"):
                said["verdict"] = answer.verdict
            print(json.dumps(said))
    else:
        print(table(answers))
    return 0


def read(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if a line is no object, or lacks id or what; the text names it.
    """
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{file}:{number}: not valid JSON: {error}") from error
        if not isinstance(row, dict) or not {"id", "what", "value"} <= set(row):
            raise ValueError(f"{file}:{number}: not an object with id, what and value")
        rows.append({**dict.fromkeys(FIELDS), **row, "extra": row.get("extra") or {}})
    return rows


def estimate(row: dict[str, Any]) -> memory_rows.Estimate:
    """Return the estimate of a row, of memory or of time."""
    try:
        return time_rows.estimate(row) if row["what"] in time_rows.KINDS else memory_rows.estimate(row)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # fields that nobody foresaw: a row that is not modelled
        return memory_rows.Estimate(kind="other", reason=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
