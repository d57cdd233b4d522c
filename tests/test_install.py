import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("requirements/cpu.lock", "pyproject.toml", "packaging/vllm/pyproject.toml")


@pytest.fixture
def project(tmp_path) -> Path:
    project = (tmp_path / "project").resolve()
    for name in (*SOURCES, "requirements/install.sh"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    return project


def python_stub(folder: Path, version: str) -> Path:
    """An interpreter that answers questions about itself, records everything, and can do nothing else."""
    fits = 0 if version.startswith("3.11.") else 1
    stub = folder / f"python-{version}"
    stub.write_text(
        f'#!/bin/sh\necho "$1" >>{folder}/calls\ncase $1 in\n'
        f'--version) echo "Python {version}" ;;\n-c) exit {fits} ;;\n*) exit 9 ;;\nesac\n'
    )
    stub.chmod(0o755)
    return stub


def install(project: Path, python: Path | str) -> subprocess.CompletedProcess:
    command = ["sh", str(project / "requirements/install.sh"), str(python), ".venv", "requirements/cpu.lock"]
    environment = {"PATH": os.defpath, "HOME": str(project)}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def stamp(project: Path) -> str:
    text = b"".join((project / name).read_bytes() for name in SOURCES) + f"{project}\n".encode()
    return hashlib.sha256(text).hexdigest()


def test_missing_python_is_named_with_the_fix(project):
    done = install(project, "no-such-python")
    assert done.returncode == 2
    assert "no-such-python not found" in done.stderr
    assert "BASE_PYTHON=" in done.stderr


@pytest.mark.parametrize("version", ["3.9.2", "3.12.1"])
def test_another_python_is_refused_with_its_version(project, version):
    done = install(project, python_stub(project, version))
    assert done.returncode == 2
    assert f"Python {version} found" in done.stderr
    assert not (project / ".venv").exists()


def test_matching_environment_is_left_alone(project):
    (project / ".venv").mkdir()
    (project / ".venv/.installed").write_text(stamp(project) + "\n")
    done = install(project, python_stub(project, "3.11.9"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (project / "calls").read_text() == "-c\n"


@pytest.mark.parametrize("changed", SOURCES)
def test_environment_of_another_lock_or_project_is_made_anew(project, changed):
    (project / ".venv").mkdir()
    (project / ".venv/.installed").write_text(stamp(project) + "\n")
    with (project / changed).open("a") as stream:
        stream.write("# changed\n")
    done = install(project, python_stub(project, "3.11.9"))
    assert done.returncode == 1
    assert "creating the virtual environment failed" in done.stderr
    assert not (project / ".venv/.installed").exists()
