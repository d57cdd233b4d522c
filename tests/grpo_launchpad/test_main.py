"""The one door: python -m grpo_launchpad VERB."""

import os
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest

from grpo_launchpad.__main__ import VERBS, main
from grpo_launchpad.launch.plan import ROOT


def command(*arguments, **variables):
    words = [sys.executable, "-m", "grpo_launchpad", *arguments]
    return subprocess.run(
        words, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_names_every_verb(capsys, words):
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  ")]
    assert dict(lines) == {verb: meaning for verb, (_, meaning) in VERBS.items()}


def test_without_a_verb_it_shows_its_usage_and_fails(capsys):
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("usage: grpo-launchpad VERB")


@pytest.mark.parametrize(
    ("word", "hint"),
    [("chek", "is check meant?"), ("lunch", "is launch meant?"), ("Report", "is report meant?"), ("--version", "")],
)
def test_an_unknown_verb_is_refused_with_the_nearest_one(capsys, word, hint):
    assert main([word, "run_tiny_cpu_arithmetic"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"grpo-launchpad: there is no {word!r}{'; ' + hint if hint else ''}\n")
    assert "usage: grpo-launchpad" in err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_under_its_own_name(verb):
    done = command(verb, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: grpo-launchpad {verb} ")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "doctor"])
def test_every_verb_refuses_to_be_called_without_what_it_needs(verb):
    done = command(verb)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"usage: grpo-launchpad {verb} ")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_a_function_of_its_module(verb):
    assert callable(import_module(VERBS[verb][0]).main)


def test_a_users_mistake_exits_2_and_a_failure_1(tmp_path):
    assert command("report", tmp_path / "none").returncode == 2
    assert command("models", "no such model").returncode == 2
    (tmp_path / "run" / "launch").mkdir(parents=True)
    (tmp_path / "run" / "launch" / "run.json").write_text('{"name": "a"}')
    assert command("report", tmp_path / "run").returncode == 0
    (tmp_path / "run" / "summary.json").unlink()
    (tmp_path / "run" / "summary.json").mkdir()
    failed = command("report", tmp_path / "run")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "Traceback" not in failed.stderr


def test_models_prints_the_folder_alone():
    done = command("models", "tiny-arithmetic")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{ROOT / 'grpo_launchpad' / 'tiny_arithmetic'}\n"


def test_only_the_verb_that_is_asked_for_is_imported():
    code = "import sys, grpo_launchpad.__main__ as door; door.main(['help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert not {module for module, _ in VERBS.values()} & set(done.stdout.splitlines()[-1].split())


def test_the_program_of_its_name_is_the_same_door():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["grpo-launchpad"] == "grpo_launchpad.__main__:main"
