import pytest

from grpo_launchpad.report.remarks import remarks
from grpo_launchpad.report.run_folder import read_run
from grpo_launchpad.report.samples import last_training_groups
from grpo_launchpad.report.summary import summarize

from .conftest import START, training, validation


def remarks_on(run_folder):
    run = read_run(run_folder.path)
    found = last_training_groups(run)
    return [remark.text for remark in remarks(run, summarize(run), found[1] if found else [])]


def test_a_healthy_run_earns_no_remark(healthy):
    assert remarks_on(healthy) == []


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ({}, "no training step was finished"),
        ({5: training(actor__grad_norm=None)}, "NaN in actor/grad_norm at step 5"),
        ({1: training(a__x=None), 2: training(a__x=None)}, "NaN in a/x at steps 1, 2"),
        ({1: training(critic__rewards__max=0.0)}, "reward std is zero in 1 step"),
        ({1: training(response_length__clip_ratio=0.8)}, "clip ratio above 0.5 in 1 step (highest 0.80)"),
        ({1: training(training__rollout_probs_diff_mean=0.03)}, "probability difference above 0.01 in 1 step"),
        ({1: training(rollout_corr__k3_kl=0.5)}, "divergence (k3) above 0.05 in 1 step (highest 0.5000, step 1)"),
        ({1: training(actor__entropy=0.5), 2: training(actor__entropy=0.01)}, "entropy fell from 0.5 (step 1)"),
        ({0: validation(0.5), 1: training() | validation(0.4)}, "held-out accuracy fell from 50.0% to 40.0%"),
        ({0: validation(0.5), 1: training()}, "held-out accuracy was measured once, at step 0"),
        ({1: training()}, "no held-out accuracy was measured"),
        ({n: training() | validation(0.5) for n in (1, 2)}, "the first accuracy is that of step 1"),
        ({1: training()}, "launch/command.sh"),
    ],
)
def test_remark_with_its_evidence(run_folder, records, text):
    run_folder.metrics(records)
    assert text in "\n".join(remarks_on(run_folder))


@pytest.mark.parametrize(("share", "said"), [(0.0, False), (0.03125, True)])
def test_answers_that_the_reward_could_not_score(run_folder, share, said):
    run_folder.metrics({step: {"val-aux/arithmetic/scorer_error/mean@1": share * step} for step in (0, 1, 2)})
    text = "the reward could not score up to 6.2% of the held-out answers (steps 1, 2)"
    assert (text in "\n".join(remarks_on(run_folder))) is said


def test_failures_of_the_reward_are_found_in_the_log(run_folder):
    failure = (
        "(RewardLoopWorker pid=7) scorer_error: component 'length' failed for data_source 'a' with ValueError: 'no'"
    )
    lines = [f"{failure}{number}; it counts as 0, and this kind is not logged again" for number in (1, 1, 2, 3, 4)]
    run_folder.log([(START, "scorer_error: cut"), *((START + 1, line) for line in lines)])
    found = [text for text in remarks_on(run_folder) if text.startswith("the reward failed in attempt 1: ")]
    assert len(found) == 3
    assert found[0].endswith("component 'length' failed for data_source 'a' with ValueError: 'no'1")


def test_the_log_line_is_the_one_that_the_reward_writes(run_folder, caplog, monkeypatch):
    from reward_score import composition, compute_score

    monkeypatch.setattr(composition, "_logged", {})
    compute_score("openai/gsm8k", "#### 18", None)
    (record,) = caplog.records
    run_folder.log([(START, record.getMessage())])
    (text,) = [text for text in remarks_on(run_folder) if "the reward failed" in text]
    assert "openai/gsm8k" in text


def test_resumes_and_lost_steps(run_folder):
    run_folder.metrics({step: training() for step in range(1, 6)}, attempt=1)
    run_folder.metrics({3: training()}, attempt=2)
    run_folder.metrics({1: training()}, attempt=3)
    text = "\n".join(remarks_on(run_folder))
    assert "resumed at step 3 (attempt 2)" in text
    assert "started over at step 1 (attempt 3)" in text
    assert "lost when a later one resumed before them (steps 2, 3, 4, 5)" in text


def test_how_the_run_ended(run_folder):
    run_folder.attempt(1, ended_at=START + 1, exit_code=7)
    assert any("attempt 1 ended with exit code 7" in text for text in remarks_on(run_folder))
    run_folder.attempt(2)
    assert any("attempt 2 has no end line" in text for text in remarks_on(run_folder))


def test_groups_that_teach_nothing(healthy):
    healthy.dump("train", 3, [(f"q{i}", "a", "a", 1.0) for i in range(4)])
    assert any("4 of 4 groups of the last step have equal scores" in text for text in remarks_on(healthy))


def test_a_truncated_line_is_said(healthy):
    with (healthy.path / "rollouts/train/3.jsonl").open("a") as dump:
        dump.write('{"input": "cut')
    assert any("3.jsonl, line 4" in text for text in remarks_on(healthy))


@pytest.mark.parametrize(("longest", "said"), [(8, True), (4, False)])
def test_a_response_is_cut_off_only_at_the_configured_limit(run_folder, longest, said):
    run_folder.launch_files(config="data:\n  max_prompt_length: 16\n  max_response_length: 8\n")
    run_folder.metrics({1: training(response_length__clip_ratio=0.8, response_length__max=longest)})
    assert ("clip ratio above" in "\n".join(remarks_on(run_folder))) is said
