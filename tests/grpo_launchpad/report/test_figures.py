import re
from xml.etree import ElementTree

import pytest

from grpo_launchpad.report.figures import PAGE_COLOURS, for_page, learning_curve, panels
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


def test_panels_say_what_was_not_measured(run_folder):
    run_folder.metrics({1: training(actor__entropy=0.3), 2: training(actor__entropy=None)})
    drawn = {panel.title for panel in panels(read_run(run_folder.path)) if panel.svg}
    assert drawn == {"Entropy", "Rollout against trainer", "Step time by part"}


def test_components_of_the_reward_are_drawn_by_name(run_folder):
    names = ("correctness", "format", "length<b>")
    run_folder.metrics({step: {f"val-aux/a/b/{n}/mean@1": step / 10 for n in names} for step in (0, 5)})
    svg = next(panel.svg for panel in panels(read_run(run_folder.path)) if panel.title == "Reward by component")
    assert set(names) <= set(texts(svg))


@pytest.mark.parametrize(("length", "axes"), [(0.5, 1), (-2500.0, 2)])
def test_components_of_another_size_get_axes_of_their_own(run_folder, length, axes):
    values = {"correctness": 0.5, "length": length}
    run_folder.metrics({step: {f"val-aux/a/{name}/mean@4": value for name, value in values.items()} for step in (0, 5)})
    svg = next(panel.svg for panel in panels(read_run(run_folder.path)) if panel.title == "Reward by component")
    assert set(values) <= set(texts(svg))
    assert texts(svg).count("5") == axes  # the last step, below each


def test_step_time_shows_only_parts_that_took_time(run_folder):
    run_folder.metrics({1: training(timing_s__testing=1.0, timing_s__ref=0.0)})
    svg = next(panel.svg for panel in panels(read_run(run_folder.path)) if panel.title == "Step time by part")
    assert {"generate", "other", "testing"} <= set(texts(svg))
    assert "reference" not in texts(svg)


def test_a_long_run_stays_small(run_folder):
    run_folder.metrics({step: training(reward=step % 7 / 7) for step in range(1, 1501)})
    run = read_run(run_folder.path)
    assert all(len(svg) < 200_000 for svg in [learning_curve(run), *(p.svg for p in panels(run) if p.svg)])


def test_page_drawings_follow_the_colour_scheme_and_the_width(healthy):
    svg = for_page(curve_of(healthy), "about")
    assert not [colour for colour in PAGE_COLOURS if colour in svg]
    assert "var(--ink)" in svg
    assert re.match(r'<svg role="img" aria-label="about"(?![^>]* (width|height)=)', svg)


def test_the_same_run_draws_the_same_file(healthy):
    assert curve_of(healthy) == curve_of(healthy)


def test_ids_of_drawings_in_one_page_do_not_collide(healthy):
    run = read_run(healthy.path)
    svgs = [learning_curve(run), *(panel.svg for panel in panels(run) if panel.svg)]
    ids = [name for svg in svgs for name in set(re.findall(r' id="([^"]*)"', svg))]
    assert ids
    assert len(ids) == len(set(ids))
