from grpo_launchpad.report.run_folder import read_run
from grpo_launchpad.report.samples import compare_validations
from tests.run_folders import training, validation


def test_the_same_prompt_is_paired_across_validations(healthy):
    comparison = compare_validations(read_run(healthy.path))
    assert (comparison.first_step, comparison.last_step, comparison.prompts) == (0, 3, 2)
    assert (comparison.improved, comparison.worsened) == (1, 1)
    assert [(then.output, now.output) for then, now in comparison.pairs] == [("3", "2"), ("4", "5")]


def test_losses_are_shown_next_to_gains(run_folder):
    run_folder.dump("validation", 0, [(f"q{i}", "then", "g", float(i == 9)) for i in range(10)])
    run_folder.dump("validation", 5, [(f"q{i}", "now", "g", float(i != 9)) for i in range(10)])
    comparison = compare_validations(read_run(run_folder.path))
    prompts = [now.prompt for _, now in comparison.pairs]
    assert prompts == ["q0", "q1", "q2", "q9", "q3", "q4"]


def test_one_validation_has_no_earlier_output(run_folder):
    run_folder.dump("validation", 4, [("q", "a", None, 1)])
    ((then, now),) = compare_validations(read_run(run_folder.path)).pairs
    assert then is None
    assert (now.output, now.gold) == ("a", "")


def test_a_dump_of_a_discarded_step_is_not_shown(run_folder):
    run_folder.metrics({0: validation(0), 1: training() | validation(1)})
    for step in (0, 1, 9):
        run_folder.dump("validation", step, [("q", f"at {step}", "g", 0)])
        run_folder.dump("train", step, [("q", f"at {step}", "g", 0)])
    run = read_run(run_folder.path)
    assert compare_validations(run).last_step == 1


def test_no_dumps_no_samples(run_folder):
    run = read_run(run_folder.path)
    assert compare_validations(run) is None
