import sys
from pathlib import Path

import pytest

from grpo_launchpad import models

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "torch_trainer"
sys.path.insert(0, str(FOLDER))  # its modules find each other as in a run: beside the script


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    return models.resolve("tiny-arithmetic")
