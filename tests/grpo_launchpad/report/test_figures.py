from xml.etree import ElementTree

import pytest

from grpo_launchpad.report.figures import learning_curve
from grpo_launchpad.report.run_folder import read_run
from tests.run_folders import training, validation


def curve_of(run_folder):
    return learning_curve(read_run(run_folder.path))


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_curve_labels_first_and_last_accuracy(healthy):
    found = texts(curve_of(healthy))
    assert {"held-out accuracy", "mean training reward", "25.0%", "75.0%", "training step"} <= set(found)


def test_no_curve_without_a_measurement(run_folder):
    assert curve_of(run_folder) is None


@pytest.mark.parametrize("records", [{0: validation(0.5)}, {1: training()}, {1: training(reward=-3.0) | validation(0)}])
def test_the_curve_of_a_single_point(run_folder, records):
    run_folder.metrics(records)
    ElementTree.fromstring(curve_of(run_folder))


def test_data_source_names_are_text_whatever_they_hold(run_folder):
    name = "a<b>&$\\frac{$\x07 数学"
    run_folder.metrics({0: validation(0.1, name) | validation(0.2, "other")})
    assert "a<b>&$\\frac{$ 数学" in texts(curve_of(run_folder))


def test_a_long_run_stays_small(run_folder):
    run_folder.metrics({step: training(reward=step % 7 / 7) for step in range(1, 1501)})
    assert len(curve_of(run_folder)) < 200_000


def test_the_same_run_draws_the_same_file(healthy):
    assert curve_of(healthy) == curve_of(healthy)
