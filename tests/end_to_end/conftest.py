"""Data for the real runs."""

import subprocess
import sys
from pathlib import Path

import pytest
from end_to_end_run import ROOT


@pytest.fixture(scope="session")
def arithmetic_data(tmp_path_factory) -> Path:
    """The arithmetic parquet files, in a folder whose name has a space."""
    data = tmp_path_factory.mktemp("the data")
    prepare = [sys.executable, str(ROOT / "data_prep" / "arithmetic.py"), "--out", str(data / "arithmetic")]
    subprocess.run(prepare, check=True)
    return data
