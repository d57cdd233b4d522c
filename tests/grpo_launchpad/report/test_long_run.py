"""The run that benchmarks/report makes is one that the report can read."""

from benchmarks.report.long_run import write
from grpo_launchpad.report.remarks import health
from grpo_launchpad.report.rollouts import collect
from grpo_launchpad.report.run_folder import read_run


def test_a_made_run_is_whole_and_raises_no_alarm(tmp_path):
    write(tmp_path / "run", steps=30, groups=2, answers=5)
    run = read_run(tmp_path / "run")
    assert run.training_steps() == list(range(1, 31))
    assert run.missing == []
    found = collect(run)
    assert (len(found.score), len(found.texts), found.unit) == (300, 300, "tokens")
    assert health(run).alarms() == []
