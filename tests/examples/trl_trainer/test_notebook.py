"""The notebook as it is stored, and that it runs."""

import json
import re

import nbformat
import pytest
from nbclient import NotebookClient

from tests.examples.trl_trainer.conftest import FOLDER, ROOT

NOTEBOOK = FOLDER / "gsm8k.ipynb"


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(notebook) -> list:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def test_stored_outputs_are_of_one_run_from_top_to_bottom_without_errors(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {output.output_type for output in shown(notebook)} == {"stream", "execute_result", "display_data"}
    assert {output.name for output in shown(notebook) if output.output_type == "stream"} == {"stdout"}
    assert any("image/png" in output.get("data", {}) for output in shown(notebook))


def test_no_paths_of_a_machine_are_stored(notebook):
    outputs = json.dumps(shown(notebook)) + json.dumps(notebook.metadata)
    assert not re.search(r"/(work|root|tmp|home|usr|opt)\b", re.sub(r'"image/png": "[^"]+"', "", outputs))


def test_it_imports_rather_than_repeats(notebook):
    source = "\n".join(cell.source for cell in code_cells(notebook))
    assert "import gsm8k" in source
    assert "gsm8k.REWARDS" in source
    assert "gsm8k.SETTINGS" in source
    assert "adam_beta2" not in source


def test_it_runs(notebook, environment, tiny_model, tmp_path):
    settings = environment | {"NOTEBOOK_STEPS": "1", "NOTEBOOK_MODEL": str(tiny_model)}
    settings["PYTHONPATH"] = f"{FOLDER}:{ROOT}"
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}})
    client.execute(env=settings)
    assert "1 steps of 8 completions" in "".join(output.get("text", "") for output in shown(notebook))
