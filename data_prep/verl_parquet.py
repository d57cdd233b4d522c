"""verl's row schema, and parquet files that are either whole or absent."""

import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def make_row(*, data_source: str, messages: list[dict], ability: str, ground_truth: str, extra_info: dict) -> dict:
    """Build one row as verl's ``RLHFDataset`` and reward loop read it.

    Source: ``verl/utils/dataset/rl_dataset.py`` and ``verl/experimental/reward_loop`` in verl 0.9.1.

    Args:
        data_source: routes the row to its scorer in ``reward_score``.
        messages: the prompt as chat messages, each with ``role`` and ``content``.
        ability: the kind of task, for grouping in reports.
        ground_truth: what the scorer compares the response with.
        extra_info: anything else the scorer or a reader may want; ``split`` and ``index`` by convention.
    """
    return {
        "data_source": data_source,
        "prompt": messages,
        "ability": ability,
        "reward_model": {"style": "rule", "ground_truth": ground_truth},
        "extra_info": extra_info,
    }


def write_split(out: Path, split: str, rows: list[dict]) -> Path:
    """Write ``<out>/<split>.parquet`` atomically and say so.

    The file appears by a rename when it is complete, so an interrupted run or a full disk leaves the old file or none.

    Raises:
        OSError: if the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{split}.parquet"
    handle, temporary = tempfile.mkstemp(dir=out, prefix=f".{split}.", suffix=".parquet.partial")
    os.close(handle)
    try:
        pq.write_table(pa.Table.from_pylist(rows), temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    print(f"{target}: {len(rows):,} rows")
    return target
