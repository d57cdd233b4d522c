"""Write the file of published runs by which estimates of time are calibrated.

    python -m benchmarks.estimate.published FILE.jsonl [--out grpo_launchpad/estimate/measured.jsonl]

FILE.jsonl has a measurement a line, as for ``python -m benchmarks.estimate``. Of runs that time the phases of a step of
verl, the ratio of measured to estimated time of each phase is written, with the source.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.estimate import time_rows
from benchmarks.estimate.__main__ import read
from grpo_launchpad.estimate.calibration import PUBLISHED, Measured
from grpo_launchpad.estimate.duration import OLD, REFERENCE, ROLLOUT, SYNC, UPDATE

PHASES = {
    "generate_s": ROLLOUT,
    "old_log_prob_s": OLD,
    "ref_log_prob_s": REFERENCE,
    "update_s": UPDATE,
    "sync_s": SYNC,
}


def measured_of(rows: Iterable[dict[str, Any]]) -> list[Measured]:
    """Return the runs of rows that time phases on a device and with a batch that are published."""
    ratios: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    first: dict[str, dict[str, Any]] = {}
    for row in rows:
        key = PHASES.get(row["what"])
        if key is None or "+" not in str(row["engine"]) or not row["value"]:
            continue
        if key == ROLLOUT and row["source"]["repo"] in time_rows.OLD_LOGS:
            continue  # another engine than today's
        estimated = time_rows.estimate(row).value
        if estimated:
            first.setdefault(row["split_group"], row)
            ratios[row["split_group"]][key].append(row["value"] / estimated)
    return [_measured(first[group], phases) for group, phases in ratios.items()]


def _measured(row: dict[str, Any], phases: dict[str, list[float]]) -> Measured:
    source = row["source"]
    return Measured(
        id=row["run"],
        source=f"{source['repo']} {source['path']} at {source['commit']}",
        date=str(source["date"] or source["snapshot_date"]),
        device=time_rows.device_of_row(row)[0].name,
        trainer="megatron" if str(row["engine"]).startswith("megatron") else "fsdp",
        adapters=bool(row["lora_rank"]),
        parameters=time_rows.shape_of_time_row(row).active,
        phases={key: round(statistics.median(found), 3) for key, found in phases.items()},
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.estimate.published", description=__doc__.splitlines()[0]
    )
    parser.add_argument("file", type=Path, metavar="FILE.jsonl", help="measurements, one JSON object a line")
    parser.add_argument("--out", type=Path, default=PUBLISHED, help="the file to write")
    args = parser.parse_args(arguments)
    try:
        runs = measured_of(read(args.file))
        args.out.write_text("".join(json.dumps(asdict(run)) + "\n" for run in runs), encoding="utf-8")
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(f"{len(runs)} runs in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
