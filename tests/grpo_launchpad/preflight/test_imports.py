"""What the checks import, and what lies in the current folder and would be imported instead of the engine."""

import os
import subprocess
import sys

import pytest

from grpo_launchpad import models
from grpo_launchpad.launch.plan import ROOT
from grpo_launchpad.preflight.machine import check_imports

CHECKING = """
import sys
from pathlib import Path
from grpo_launchpad.preflight.check import check, check_machine
from grpo_launchpad.preflight.compose import compose
overrides = sys.argv[1:]
config = compose(overrides)
assert check(config, overrides, Path("run")) == []
assert check_machine(config, "cpu", Path("run")) == ([], [])
print(sorted({"torch", "ray", "verl", "vllm", "transformers", "modelscope"} & set(sys.modules)))
"""
LOCATING = """
import sys
from grpo_launchpad import models
print(models.locate("Qwen/Qwen2-7B-Instruct"), "modelscope" in sys.modules)
"""


def python(code, *arguments, cwd=ROOT, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {"PYTHONPATH": str(ROOT)} | variables
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_the_checks_import_nothing_heavy(launch):
    """Importing torch or verl takes longer than all checks together."""
    done = python(CHECKING, *launch.overrides())
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_looking_for_a_model_does_not_import_modelscope(tmp_path):
    done = python(LOCATING, HF_HOME=str(tmp_path), MODELSCOPE_CACHE=str(tmp_path), HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stdout) == (0, "None False\n"), done.stderr


def test_looking_for_a_smoke_model_builds_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GRPO_LAUNCHPAD_CACHE", str(tmp_path / "cache"))
    name = "smoke:Qwen/Qwen2-7B-Instruct"
    with pytest.raises(models.ModelNotFoundError, match=f"python -m grpo_launchpad.models {name}"):
        models.resolve(name, download=False)
    assert models.locate(name) is None
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("package", ["verl", "vllm", "torch", "transformers", "ray"])
def test_a_package_of_the_engine_in_the_current_folder_is_refused(launch, tmp_path, monkeypatch, package):
    (tmp_path / "here" / package).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert launch.problems() == []  # a folder without __init__.py does not beat an installed package
    (tmp_path / "here" / package / "__init__.py").touch()
    problem = launch.problem()
    assert problem.where == "current folder"
    assert f"{tmp_path / 'here' / package} would be imported" in problem.what
    assert problem.fix == "start the launcher from another folder"


def test_the_engine_that_is_installed_from_the_current_folder_is_right(tmp_path):
    """A checkout of verl, installed as it is, and a launch from its folder."""
    (tmp_path / "verl").mkdir()
    (tmp_path / "verl" / "__init__.py").touch()
    code = "from grpo_launchpad.preflight.machine import check_imports; print(check_imports())"
    done = python(code, cwd=tmp_path, PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert "would be imported" in python(code, cwd=tmp_path).stdout


def test_an_ordinary_folder_is_right(tmp_path, monkeypatch):
    for folder in (tmp_path, ROOT):
        monkeypatch.chdir(folder)
        assert check_imports() == []
