"""Whole data sets, for what only they can show. No test needs them: each has a sample, or is skipped and says why."""

import os
from pathlib import Path

import pytest

FULL_DATA = Path(os.environ.get("FULL_DATA") or "no folder")
SAMPLES = Path(__file__).resolve().parent / "samples"


def needs(*files: str) -> pytest.MarkDecorator:
    """Skip a test unless $FULL_DATA has all of these files."""
    lacking = [file for file in files if not (FULL_DATA / file).is_file()]
    reason = f"needs {', '.join(lacking)} in FULL_DATA=FOLDER; tests/samples/README.md says where they are published"
    return pytest.mark.skipif(bool(lacking), reason=reason)
