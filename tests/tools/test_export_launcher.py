"""A launcher as one file gives the same command, from any folder and under any name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.export_launcher import export
from tools.launchers import ROOT, Launcher, LauncherError, find_launcher

TINY = "run_tiny_cpu_arithmetic"


@pytest.fixture
def exported(program):
    """Exports a launcher to a file of another name, far from the project."""
    return lambda launcher: program("another name.sh", export(launcher))


@pytest.fixture
def run(tmp_path):
    """Runs a shell file from a folder that is neither its own nor the project's."""
    (tmp_path / "elsewhere").mkdir()

    def run(script, *arguments, **environment):
        given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHON": sys.executable, "LAUNCH_ROOT": str(ROOT)}
        return subprocess.run(
            ["bash", script, *arguments],
            env={name: value for name, value in (given | environment).items() if value},
            cwd=tmp_path / "elsewhere",
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def test_prints_the_command_of_the_original(launcher, exported, run):
    for variables in ({}, {"ACTOR_LR": "7e-7", "RUN_NAME": "it's mine"}):
        arguments = ["trainer.experiment_name='1 2'", "++data.seed=3"]
        original = run(launcher.path, *arguments, DRY_RUN="1", PREFLIGHT="0", **variables)
        assert original.returncode == 0, original.stderr
        assert "-m verl.trainer.main_ppo" in original.stdout
        assert run(exported(launcher), *arguments, DRY_RUN="1", PREFLIGHT="0", **variables).stdout == original.stdout


def test_smokes_as_the_original_does(launcher, exported, run):
    original = run(launcher.path, SMOKE="1", DRY_RUN="1", PREFLIGHT="0")
    smoked = run(exported(launcher), SMOKE="1", DRY_RUN="1", PREFLIGHT="0")
    assert (smoked.returncode, smoked.stdout) == (original.returncode, original.stdout)
    if original.returncode:
        assert smoked.stderr == original.stderr


def test_says_where_the_launcher_goes_on(launcher):
    text = export(launcher)
    (line,) = re.findall(r"The launcher goes on in line (\d+)\.$", text, re.MULTILINE)
    after = launcher.text.partition('/lib/launch.sh"\n')[2]
    assert after
    assert "\n".join(text.splitlines()[int(line) - 1 :]) + "\n" == after.lstrip("\n")


def test_is_the_launcher_with_the_librarys_text_inside(launcher):
    text = export(launcher)
    before, after = re.split(r"# shellcheck source=.*\nsource .*\n", launcher.text)
    library = (ROOT / "examples" / "lib" / "launch.sh").read_text()
    assert text.startswith(before.partition("set -euo")[0])
    assert text.endswith(after)
    assert library.partition("\n")[2] in text
    assert 'lib/launch.sh"' not in text


@pytest.mark.parametrize("command", [["shellcheck"], ["shfmt", "-d", "-i", "4", "-ci"]], ids=lambda words: words[0])
def test_is_clean(tmp_path, command):
    """One of each backend: the rest differs in its values only, and every launcher is checked as it is."""
    for name in (TINY, "run_qwen2-7b_megatron_gsm8k"):
        (tmp_path / f"{name}.sh").write_text(export(find_launcher(name)))
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run([program, *command[1:], *tmp_path.glob("*.sh")], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_names_its_own_lines_and_the_launchers_name(exported, run, tmp_path):
    script = exported(find_launcher(TINY))
    done = run(script, DRY_RUN="1", DATA_DIR=str(tmp_path / "no data"))
    assert done.returncode == 2
    (line,) = re.findall(r"^  another name\.sh:(\d+) TRAIN_FILES", done.stderr, re.MULTILINE)
    assert '"data.train_files=' in script.read_text().splitlines()[int(line) - 1]
    done = run(script, DRY_RUN="1", ROLLOUT_N="many")
    assert (done.returncode, done.stderr) == (2, f"{TINY}: ROLLOUT_N=many is not a whole number above 0\n")


def test_has_the_help_of_the_original(exported, run):
    done = run(exported(find_launcher(TINY)), "--help")
    assert done.returncode == 0
    assert "Exported from grpo-launchpad" in done.stdout
    for line in run(find_launcher(TINY).path, "--help").stdout.splitlines():
        assert line in done.stdout


@pytest.mark.parametrize("where", ["set", "repository", "importable"])
def test_finds_the_project(exported, run, program, tmp_path, where):
    """From LAUNCH_ROOT, else from the current repository, else from Python."""
    program("git", f"#!/bin/sh\n[ {where} = repository ] && echo '{ROOT}'\n")
    done = run(
        exported(find_launcher(TINY)),
        DRY_RUN="1",
        PREFLIGHT="0",
        LAUNCH_ROOT=str(ROOT) if where == "set" else "",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        PYTHONPATH=str(ROOT) if where == "importable" else "",
    )
    assert done.returncode == 0, done.stderr
    assert f"export PYTHONPATH={ROOT}\n" in done.stdout


def test_says_when_there_is_no_project(exported, run, program, tmp_path):
    program("git", "#!/bin/sh\nexit 128\n")
    python = program("python", "#!/bin/sh\nexit 1\n")
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = run(exported(find_launcher(TINY)), LAUNCH_ROOT="", PATH=path, PYTHON=str(python))
    assert (done.returncode, done.stdout) == (2, "")
    assert "set LAUNCH_ROOT" in done.stderr


@pytest.mark.parametrize("text", ["", "set -euo pipefail\n", "source launch.sh\n"])
def test_a_launcher_out_of_form_is_refused(tmp_path, text):
    (tmp_path / "run_x_fsdp_y.sh").write_text(text)
    with pytest.raises(LauncherError, match="source launch.sh once"):
        export(Launcher(tmp_path / "run_x_fsdp_y.sh"))


def command(*arguments):
    words = [sys.executable, "-m", "tools.export_launcher", *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


def test_command_writes_a_program(tmp_path):
    done = command(f"{TINY}.sh", "-o", tmp_path / "tiny.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.access(tmp_path / "tiny.sh", os.X_OK)
    assert command(TINY).stdout == (tmp_path / "tiny.sh").read_text()


def test_command_refuses_what_it_cannot_do(tmp_path):
    unknown = command("run_tiny_cpu_aritmetic")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert f"did you mean {TINY}" in unknown.stderr
    unwritable = command(TINY, "-o", tmp_path / "none" / "tiny.sh")
    assert unwritable.returncode == 2
    assert "-o" in unwritable.stderr
