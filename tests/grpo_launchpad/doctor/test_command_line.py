"""The verb: what it prints, its exit codes, and facts that travel as JSON."""

import json
import os
import subprocess
import sys

from grpo_launchpad.doctor.__main__ import main
from grpo_launchpad.doctor.facts import Facts
from grpo_launchpad.doctor.judge import judge
from grpo_launchpad.doctor.versions import ROOT


def test_facts_travel_as_json_and_are_judged_alike(machine):
    machine.gpus(2, used=9000, apps="1, python, 8000\n")
    facts = machine.facts()
    there = Facts.of_json(json.loads(json.dumps(facts.as_json())))
    assert there == facts
    assert judge(there) == judge(facts)


def test_json_has_findings_and_facts(machine, capsys):
    code = main(["--json"])
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"findings", "facts"}
    assert code == any(each["status"] == "fail" for each in printed["findings"])
    assert Facts.of_json(printed["facts"]).accelerators.kind == "cpu"


def test_what_fails_gives_1_and_its_remedy(machine, capsys):
    machine.gpus(1, mig="Enabled")
    assert main([]) == 1
    out = capsys.readouterr().out
    assert "fail  devices " in out
    assert "fix: nvidia-smi -mig 0" in out
    assert out.splitlines()[-1].endswith(" s")


def test_every_item_is_named_once_and_what_is_not_ok_has_a_remedy(machine):
    machine.gpus(1, used=50000, cuda="11.8")
    findings = judge(machine.facts())
    assert len({each.item for each in findings}) == len(findings)
    for each in findings:
        assert bool(each.remedy) == (each.status != "ok"), each


def test_no_engine_is_imported():
    script = (
        "import sys; from grpo_launchpad.doctor.__main__ import main; main(['--json']);"
        "print(sorted({'torch', 'vllm', 'verl', 'ray', 'transformers'} & set(sys.modules)), file=sys.stderr)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
