import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.export_launcher import export
from tools.launchers import ROOT, find_launcher

# Stands for Python: begins the attempt that launch.sh asks for, and writes down what the trainer is given.
RECORDING_PYTHON = """#!/bin/sh
case "$*" in
"-m grpo_launchpad.attempt begin "*) printf '1\\n/the model\\n' ;;
"-m verl.trainer.main_ppo "*) printf '%s\\n' "$@" >"${RECORD}" ;;
esac
"""
FORK_SERVER = re.compile(r"/tmp/grpo-launchpad\.\w+")  # a new folder each time


@pytest.fixture
def exported(program):
    """Exports a launcher to a file of another name, far from the project."""
    return lambda launcher: program("another name.sh", export(launcher))


@pytest.fixture
def run(tmp_path, program):
    """Runs a shell file where no program is real."""
    python = program("python", RECORDING_PYTHON)

    def start(script, *arguments, **environment):
        record = tmp_path / "record"
        record.unlink(missing_ok=True)
        paths = {"RUN_DIR": str(tmp_path / "run"), "PYTHON": str(python), "RECORD": str(record)}
        done = subprocess.run(
            ["bash", script, *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LAUNCH_ROOT": str(ROOT), **paths, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        given = FORK_SERVER.sub("FOLDER", record.read_text()) if record.exists() else None
        return done.returncode, done.stdout, done.stderr.replace(str(script), "FILE"), given

    return start


def test_prints_the_command_of_the_original(launcher, exported, run):
    original = run(launcher.path, "trainer.seed='1 2'", DRY_RUN="1")
    assert original[0] == 0, original[2]
    assert "-m verl.trainer.main_ppo" in original[1]
    assert run(exported(launcher), "trainer.seed='1 2'", DRY_RUN="1") == original


def test_gives_the_trainer_what_the_original_gives(launcher, exported, run):
    original = run(launcher.path, "trainer.seed='1 2'")
    assert original[0] == 0, original[2]
    assert "trainer.seed='1 2'\n" in original[3]
    assert run(exported(launcher), "trainer.seed='1 2'") == original


def test_smokes_as_the_original_does(launcher, exported, run):
    assert run(exported(launcher), SMOKE="1", DRY_RUN="1") == run(launcher.path, SMOKE="1", DRY_RUN="1")


def test_says_where_its_knobs_begin(launcher):
    lines = export(launcher).splitlines()
    (line,) = (int(found[1]) for text in lines if (found := re.search(r"Its knobs begin in line (\d+)\.", text)))
    first_knob = next(iter(launcher.knobs))
    assert lines[line - 1].startswith(f"{first_knob}=") or lines[line - 1].startswith("#")
    assert lines[line - 2] == ""


@pytest.mark.parametrize("command", [["shellcheck"], ["shfmt", "-d", "-i", "4", "-ci"]], ids=lambda words: words[0])
def test_is_clean(tmp_path, command):
    """One of each backend: the rest differs in its values only, and every launcher is checked as it is."""
    for name in ("run_tiny_cpu_arithmetic", "run_qwen2-7b_megatron_gsm8k"):
        (tmp_path / f"{name}.sh").write_text(export(find_launcher(name)))
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run([program, *command[1:], *tmp_path.glob("*.sh")], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_names_what_is_wrong_with_a_knob(exported, run):
    code, _, stderr, _ = run(exported(find_launcher("run_tiny_cpu_arithmetic")), DRY_RUN="1", ROLLOUT_N="many")
    assert code == 2
    assert "ROLLOUT_N=many is not a whole number above 0" in stderr


@pytest.mark.parametrize("where", ["set", "repository", "importable"])
def test_finds_the_project(exported, run, program, tmp_path, where):
    """From LAUNCH_ROOT, else from the current repository, else from Python."""
    program("git", f"#!/bin/sh\n[ {where} = repository ] && echo {ROOT}\n")
    code, stdout, stderr, _ = run(
        exported(find_launcher("run_tiny_cpu_arithmetic")),
        SMOKE="1",  # prints without checks
        DRY_RUN="1",
        LAUNCH_ROOT=str(ROOT) if where == "set" else "",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        **({"PYTHON": sys.executable} if where == "importable" else {}),
    )
    assert code == 0, stderr
    assert f"export PYTHONPATH={ROOT}\n" in stdout


def test_says_when_there_is_no_project(exported, run, program, tmp_path):
    program("git", "#!/bin/sh\nexit 128\n")
    python = program("python", "#!/bin/sh\nexit 1\n")
    path = f"{tmp_path}:{os.environ['PATH']}"
    script = exported(find_launcher("run_tiny_cpu_arithmetic"))
    code, _, stderr, _ = run(script, LAUNCH_ROOT="", PATH=path, PYTHON=str(python))
    assert code == 2
    assert "set LAUNCH_ROOT" in stderr


def command(*arguments):
    words = [sys.executable, "-m", "tools.export_launcher", *map(str, arguments)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


def test_command_writes_a_program(tmp_path):
    done = command("run_tiny_cpu_arithmetic.sh", "-o", tmp_path / "tiny.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.access(tmp_path / "tiny.sh", os.X_OK)
    assert command("run_tiny_cpu_arithmetic").stdout == (tmp_path / "tiny.sh").read_text()


def test_command_refuses_what_it_cannot_do(tmp_path):
    unknown = command("run_tiny_cpu_aritmetic")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "did you mean run_tiny_cpu_arithmetic" in unknown.stderr
    unwritable = command("run_tiny_cpu_arithmetic", "-o", tmp_path / "none" / "tiny.sh")
    assert unwritable.returncode == 2
    assert "-o" in unwritable.stderr
