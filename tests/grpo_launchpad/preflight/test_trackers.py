import ast
from importlib.util import find_spec
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from grpo_launchpad.preflight import trackers
from grpo_launchpad.preflight.trackers import PACKAGES, check_trackers


def problems_of(logger):
    return check_trackers(OmegaConf.create({"trainer": {"logger": logger}}))


@pytest.mark.parametrize("logger", ["console", ["console", "file"], ["console", "wandb", "tensorboard"], []])
def test_trackers_that_are_here_are_accepted(logger):
    assert problems_of(logger) == []


def test_an_unknown_tracker_is_named_with_those_there_are():
    (problem,) = problems_of(["console", "wandv"])
    assert "'wandv'" in problem.what
    assert "wandb" in problem.fix


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    (problem,) = problems_of(["console", "file", "rl_insight"])
    assert problem.where == "trainer.logger"
    assert problem.fix == "pip install rl-insight, or leave rl_insight out of LOGGER"


def test_the_trackers_are_those_of_verl():
    source = Path(find_spec("verl").submodule_search_locations[0], "utils", "tracking.py").read_text()
    lists = [
        ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "supported_backend"
    ]
    assert [set(names) | {"tracking"} for names in lists] == [set(PACKAGES)]
    imported = {module for module, _ in filter(None, PACKAGES.values())} - {"tensorboard"}
    assert all(f"import {module}" in source for module in imported)
