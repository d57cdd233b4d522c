import base64
import gzip
import json

import pytest

from grpo_launchpad.report.__main__ import main
from grpo_launchpad.report.compare import COLOURS, differences, names_of
from grpo_launchpad.report.run_folder import read_run
from tests.run_folders import RunFolder, training, validation


def two_runs(tmp_path, **second):
    folders = []
    for name, reward in (("one", 0.4), ("two", 0.8)):
        folder = RunFolder(tmp_path / name)
        folder.metrics(
            {0: validation(0.2), **{step: training(reward) for step in (1, 2)}, 3: training() | validation(reward)}
        )
        folder.launch_files(config=f"actor:\n  lr: {reward}\n  clip: 0.2\ntrainer:\n  experiment_name: {name}\n")
        folders.append(folder.path)
    return folders


def data_of(page):
    packed = page.partition('id="data">')[2].partition("<")[0]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_curves_of_all_runs_share_a_picture(tmp_path, capsys):
    folders = two_runs(tmp_path)
    assert main(list(map(str, folders))) == 0
    target = tmp_path / "comparison.html"
    assert capsys.readouterr().out == f"{target}\n"
    page = target.read_text()
    charts = {chart["title"]: chart["lines"] for chart in data_of(page)["charts"]}
    assert [(line["label"], line["values"]) for line in charts["Held-out accuracy"]] == [
        ("one", [0.2, 0.4]),
        ("two", [0.2, 0.8]),
    ]
    assert [line["values"][0] for line in charts["Mean training reward"]] == [0.4, 0.8]
    assert len({line["colour"] for line in charts["Mean training reward"]}) == 2
    assert "actor.lr" in page
    assert "actor.clip" not in page
    assert "experiment_name" not in page
    assert not (folders[0] / "report.html").exists()


def test_runs_of_one_name_are_told_apart_by_their_path(tmp_path):
    for place in ("a", "b"):
        RunFolder(tmp_path / place / "run")
    assert names_of([read_run(tmp_path / place / "run") for place in ("a", "b")]) == ["a/run", "b/run"]


def test_a_run_without_a_configuration_differs_in_nothing():
    assert differences(["a: 1\n", None]) == []
    assert differences(["a: 1\n", "a: 2\nb: x\n"]) == [("a", ["1", "2"]), ("b", ["–", "x"])]
    assert differences(["a: [\n", "a: 2\n"]) == [("a", ["–", "2"])]


def test_more_runs_than_colours_are_a_users_mistake(tmp_path, capsys):
    folders = [RunFolder(tmp_path / f"run{number}").path for number in range(len(COLOURS) + 1)]
    assert main(list(map(str, folders))) == 2
    assert "can tell 8 apart" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["", "nonsense"])
def test_one_that_is_no_run_is_a_users_mistake(tmp_path, capsys, broken):
    folders = two_runs(tmp_path)
    assert main([str(folders[0]), str(tmp_path / "none" / broken)]) == 2
    assert "no such run folder" in capsys.readouterr().err
    assert not (tmp_path / "comparison.html").exists()
