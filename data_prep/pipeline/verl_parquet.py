"""verl's row schema, and parquet files written piece by piece."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.pipeline.data_set import DataSet

# A row group ends at whichever comes first; images make rows large.
ROW_GROUP_ROWS = 10_000
ROW_GROUP_BYTES = 32 << 20
COLUMNS = {"data_source", "prompt", "ability", "reward_model", "extra_info"}
TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def make_row(
    *,
    data_source: str,
    messages: list[dict],
    ability: str,
    ground_truth: str | dict[str, object],
    extra_info: dict,
) -> dict:
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


def schema_of(data_set: DataSet) -> pa.Schema:
    """Return the columns of a data set's parquet files. All its files have the same, whatever is in them."""
    text = pa.string()
    fields = data_set.truth_fields
    types = fields if isinstance(fields, Mapping) else dict.fromkeys(fields, text)
    truth = pa.struct(list(types.items())) if types else text
    extra = [(name, TYPES[kind]) for name, kind in data_set.extra.items()]
    columns = [
        ("data_source", text),
        ("prompt", pa.list_(pa.struct([("role", text), ("content", text)]))),
        ("ability", text),
        ("reward_model", pa.struct([("style", text), ("ground_truth", truth)])),
        ("extra_info", pa.struct([("split", text), ("index", pa.int64()), *extra])),
    ]
    if data_set.image_column:
        columns.append(("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", text)]))))
    return pa.schema(columns)


def is_prepared(record: Mapping[str, object]) -> bool:
    """Say whether a record is a row as ``make_row`` builds it; DAPO-Math is published with these columns, but its rows
    do not say of which split they are."""
    about = record.get("extra_info")
    return record.keys() - {"images"} == COLUMNS and isinstance(about, dict) and bool(about.get("split"))


class ShardWriter:
    """Writes one parquet file, in row groups of bounded size. To be used in a ``with`` statement."""

    def __init__(self, path: Path, schema: pa.Schema):
        self.schema = schema
        self.waiting: list[pa.Table] = []
        self.file = pq.ParquetWriter(path, schema)

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        try:
            if kind is None:
                self._write_group()
        finally:
            self.file.close()

    def write(self, rows: Sequence[dict]) -> None:
        """Add rows, at most a few thousand.

        Raises:
            OSError: if the disk is full.
        """
        self.write_table(pa.Table.from_pylist(list(rows), schema=self.schema))

    def write_table(self, table: pa.Table) -> None:
        """Add rows that are a table already."""
        if not table.num_rows:
            return
        rows_of_a_group = max(1, ROW_GROUP_BYTES * table.num_rows // max(1, table.nbytes))
        while table.num_rows:
            rows = sum(waiting.num_rows for waiting in self.waiting)
            size = sum(waiting.nbytes for waiting in self.waiting)
            taken = table.slice(0, min(rows_of_a_group, ROW_GROUP_ROWS - rows))
            if self.waiting and (rows == ROW_GROUP_ROWS or size + taken.nbytes > ROW_GROUP_BYTES):
                self._write_group()
                continue
            self.waiting.append(taken)
            table = table.slice(taken.num_rows)

    def _write_group(self) -> None:
        if self.waiting:
            table = pa.concat_tables(self.waiting).combine_chunks()
            self.file.write_table(table, row_group_size=table.num_rows)
        self.waiting = []
