"""Parquet files of a few rows, for tests that need some and do not care how they were made."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_split(out: Path, split: str, rows: list[dict]) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{split}.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file
