import pytest

from grpo_launchpad.report.charts import learning, panels
from grpo_launchpad.report.run_folder import read_run
from tests.run_folders import training, validation


def drawn(run_folder):
    """Title -> label -> (steps, values)."""
    run = read_run(run_folder.path)
    charts = [*learning(run), *panels(run)]
    return {
        chart.title: {line.label: (line.steps, line.values) for line in chart.lines} for chart in charts if chart.lines
    }


def test_accuracy_and_reward_share_a_picture(healthy):
    lines = drawn(healthy)["Held-out accuracy and mean reward"]
    assert lines == {"mean training reward": ([1, 2, 3], [0.3, 0.4, 0.6]), "held-out accuracy": ([0, 3], [0.25, 0.75])}


def test_a_reward_that_is_no_share_gets_a_picture_of_its_own(run_folder):
    run_folder.metrics({0: validation(0.5), 1: training(-3.0) | validation(0.6)})
    found = drawn(run_folder)
    assert list(found["Held-out accuracy"]) == ["held-out accuracy"]
    assert found["Mean reward"]["mean training reward"] == ([1], [-3.0])


def test_nothing_measured_nothing_drawn(run_folder):
    assert drawn(run_folder) == {}


def test_panels_that_were_not_measured_have_no_lines(run_folder):
    run_folder.metrics({1: training(actor__entropy=0.3), 2: training(actor__entropy=None)})
    found = drawn(run_folder)
    assert found["Entropy"]["nats per token"] == ([1], [0.3])
    assert not {"Gradient norm", "Staleness", "Reward by component"} & found.keys()


def test_staleness_is_drawn_where_there_is_any(run_folder):
    stale = {"training__off_policy__trajectory_staleness__mean": 0.5}
    run_folder.metrics({1: training(**stale)})
    assert drawn(run_folder)["Staleness"]["mean, steps"] == ([1], [0.5])
    run_folder.metrics({1: training(**dict.fromkeys(stale, 0))})
    assert "Staleness" not in drawn(run_folder)


@pytest.mark.parametrize(("length", "pictures"), [(0.5, 1), (-2500.0, 2)])
def test_components_of_another_size_get_axes_of_their_own(run_folder, length, pictures):
    values = {"correctness": 0.5, "length<b>": length}
    run_folder.metrics({step: {f"val-aux/a/{name}/mean@4": value for name, value in values.items()} for step in (0, 5)})
    found = [lines for title, lines in drawn(run_folder).items() if title.startswith("Reward by component")]
    assert len(found) == pictures
    assert {name for lines in found for name in lines} == set(values)


def test_step_time_is_parts_that_add_up(run_folder):
    run_folder.metrics({1: training(seconds=4.0, timing_s__testing=1.0, timing_s__ref=0.0)})
    parts = drawn(run_folder)["Step time by part, seconds"]
    assert {name: values for name, (_, values) in parts.items()} == {
        "generate": [2.0],
        "other": [2.0],
        "testing": [1.0],
    }
