import json

import pytest

from grpo_launchpad import verification
from tools import launchers, record_composed
from tools.launchers import FOLDER, Launcher, NoLauncherError, all_launchers, find_launcher

MEGATRON = "run_qwen2-7b_megatron_gsm8k"


@pytest.fixture
def changed(tmp_path):
    """A launcher of the project with another text, in a folder of its own."""

    def change(name, old, new):
        path = tmp_path / f"{name}.sh"
        text = find_launcher(name).text
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return Launcher(path)

    return change


def adding(line):
    return "CLUSTER=(\n", f'CLUSTER=(\n    "{line}"\n'


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("PPO_MINI_BATCH_SIZE:=256", "PPO_MINI_BATCH_SIZE:=300", "does not divide"),
        ("ROLLOUT_N:=5", "ROLLOUT_N:=five", "ROLLOUT_N=five is not a whole number"),
        (*adding("actor_rollout_ref.actor.no_such_key=1"), "no_such_key"),
        (*adding("actor_rollout_ref.nccl_timeout=600"), "never reads"),
    ],
)
def test_what_is_wrong_is_said(changed, old, new, complaint):
    launcher = changed(MEGATRON, old, new)
    said = record_composed.complaint(launcher)
    assert complaint in said


def test_a_problem_names_the_line_of_the_launcher(changed):
    launcher = changed(MEGATRON, "PPO_MINI_BATCH_SIZE:=256", "PPO_MINI_BATCH_SIZE:=300")
    line = launcher.page.line_of("actor_rollout_ref.actor.ppo_mini_batch_size")
    assert f"{MEGATRON}.sh:{line} PPO_MINI_BATCH_SIZE (" in record_composed.complaint(launcher)


def test_no_launcher_of_the_project_has_a_complaint(launcher):
    assert record_composed.complaint(launcher) == ""


def test_nothing_from_the_environment_counts(monkeypatch, changed):
    launcher = changed(MEGATRON, "PPO_MINI_BATCH_SIZE:=256", "PPO_MINI_BATCH_SIZE:=300")
    monkeypatch.setenv("PPO_MINI_BATCH_SIZE", "256")
    assert "does not divide" in record_composed.complaint(launcher)
    monkeypatch.setenv("PPO_MINI_BATCH_SIZE", "300")
    assert record_composed.complaint(find_launcher(MEGATRON)) == ""


def test_the_commands_say_what_a_smoke_run_changes(launcher):
    commands = record_composed.commands(launcher.path)
    assert commands["plain"]["trainer.nnodes"] == launcher.knobs["NNODES"]
    if "refused" not in commands["smoke"]:
        assert commands["smoke"]["actor_rollout_ref.model.path"].strip("'").startswith("smoke:")
        assert all(commands["plain"].get(key) != value for key, value in commands["smoke"].items())


def test_records_what_composes_and_names_what_does_not(changed, monkeypatch, tmp_path, capsys):
    good = changed("run_tiny_cpu_arithmetic", "", "")
    changed(MEGATRON, "PPO_MINI_BATCH_SIZE:=256", "PPO_MINI_BATCH_SIZE:=300")
    records, commands = tmp_path / "verified.jsonl", tmp_path / "commands.json"
    monkeypatch.setattr(record_composed, "COMMANDS", commands)
    monkeypatch.setattr(record_composed, "all_launchers", lambda: all_launchers(tmp_path))
    monkeypatch.setattr(record_composed, "read", lambda: verification.read(records))
    monkeypatch.setattr(record_composed, "write", lambda record: verification.write(record, records))
    monkeypatch.setattr("sys.argv", ["record_composed"])
    for printed in ("run_tiny_cpu_arithmetic: composes\n", ""):  # the second time the record still fits
        with pytest.raises(SystemExit) as end:
            record_composed.main()
        assert end.value.code == 1
        out, err = capsys.readouterr()
        assert out == printed
        assert f"{MEGATRON}: preflight: 1 problem" in err
    (record,) = verification.read(records)
    assert verification.level_of(good.path, [record]) == "C"
    assert set(json.loads(commands.read_text())) == {"run_tiny_cpu_arithmetic", MEGATRON}


def test_an_unknown_launcher_is_named_with_its_neighbours():
    with pytest.raises(NoLauncherError, match=f"did you mean {MEGATRON}"):
        find_launcher("run_qwen2-7b_megatron_gsm9k")
    assert find_launcher(str(FOLDER / "run_tiny_cpu_arithmetic.sh")).model == "tiny"
    assert launchers.find_launcher("run_tiny_cpu_arithmetic").architecture is None
