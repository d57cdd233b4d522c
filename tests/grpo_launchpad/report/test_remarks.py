import pytest

from grpo_launchpad.report.remarks import remarks
from grpo_launchpad.report.rollouts import collect
from grpo_launchpad.report.run_folder import read_run
from grpo_launchpad.report.summary import summarize
from grpo_launchpad.runs import attempts
from grpo_launchpad.runs.folder import RunFolder as Files
from tests.run_folders import START, training, validation


def remarks_on(run_folder):
    run = read_run(run_folder.path)
    return [remark.text for remark in remarks(run, summarize(run))]


def test_a_healthy_run_earns_no_remark(healthy):
    assert remarks_on(healthy) == []


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ({}, "no training step was finished"),
        ({5: training(actor__grad_norm=None)}, "NaN in actor/grad_norm (step 5)"),
        ({1: training(response_length__clip_ratio=0.8)}, "truncation: response clip ratio 0.80 (step 1)"),
        ({0: validation(0.5), 1: training() | validation(0.4)}, "held-out accuracy fell from 50.0% (step 0) to 40.0%"),
        ({0: validation(0.5), 1: training()}, "held-out accuracy was measured once, at step 0"),
        ({1: training()}, "no held-out accuracy was measured"),
        ({n: training() | validation(0.5) for n in (1, 2)}, "the first accuracy is that of step 1"),
        ({1: training()}, "launch/command.sh"),
    ],
)
def test_remark_with_its_evidence(run_folder, records, text):
    run_folder.metrics(records)
    assert text in "\n".join(remarks_on(run_folder))


def test_failures_of_the_reward_are_found_in_the_log(run_folder):
    failure = (
        "(RewardLoopWorker pid=7) scorer_error: component 'length' failed for data_source 'a' with ValueError: 'no'"
    )
    lines = [f"{failure}{number}; it counts as 0, and this kind is not logged again" for number in (1, 1, 2, 3, 4)]
    run_folder.attempt()
    run_folder.log([(START, "scorer_error: cut"), *((START + 1, line) for line in lines)])
    found = [text for text in remarks_on(run_folder) if text.startswith("scorer-failed: ")]
    assert len(found) == 3
    assert "component 'length' failed for data_source 'a' with ValueError: 'no'1" in found[0]


def test_the_log_line_is_the_one_that_the_reward_writes(run_folder, caplog, monkeypatch):
    from reward_score import composition, compute_score

    monkeypatch.setattr(composition, "_logged", {})
    compute_score("openai/gsm8k", "#### 18", None)
    (record,) = caplog.records
    run_folder.log([(START, record.getMessage())])
    (text,) = [text for text in remarks_on(run_folder) if "scorer-failed" in text]
    assert "openai/gsm8k" in text


def test_resumes_and_lost_steps(run_folder):
    run_folder.metrics({step: training() for step in range(1, 6)}, attempt=1)
    run_folder.metrics({3: training()}, attempt=2)
    run_folder.metrics({1: training()}, attempt=3)
    text = "\n".join(remarks_on(run_folder))
    assert "resumed at step 3 (attempt 2)" in text
    assert "started over at step 1 (attempt 3)" in text
    assert "lost when a later one resumed before them (steps 2, 3, 4, 5)" in text


def test_a_step_that_hung(run_folder):
    run_folder.attempt(1, ended_at=START + 1, exit_code=75)
    run_folder.metrics({6: training()})
    for step in (6, 7):
        attempts.record(Files(run_folder.path), 1, {"hung_step": step, "waited": 11.4})
    found = remarks(run := read_run(run_folder.path), summarize(run))
    hung = [(remark.level, remark.text[:40]) for remark in found if "step-hangs" in remark.text]
    assert hung == [
        ("bad", "step-hangs: step 7 had run for 11.4 s, fa"[:40]),
        ("warn", "step-hangs: step 6 had run for 11.4 s, fa"[:40]),
    ]


def test_how_the_run_ended(run_folder):
    run_folder.attempt(1, ended_at=START + 1, exit_code=7)
    assert any("attempt 1 ended with exit code 7" in text for text in remarks_on(run_folder))
    run_folder.attempt(2)
    assert any("attempt 2 has no end line" in text for text in remarks_on(run_folder))


def test_a_truncated_line_is_said(healthy):
    with (healthy.path / "rollouts/train/3.jsonl").open("a") as dump:
        dump.write('{"input": "cut')
    run = read_run(healthy.path)
    collect(run)
    assert any("3.jsonl, line 4" in remark.text for remark in remarks(run, summarize(run)))


@pytest.mark.parametrize(("longest", "said"), [(8, True), (4, False)])
def test_a_response_is_cut_off_only_at_the_configured_limit(run_folder, longest, said):
    run_folder.launch_files(config="data:\n  max_prompt_length: 16\n  max_response_length: 8\n")
    run_folder.metrics({1: training(response_length__clip_ratio=0.8, response_length__max=longest)})
    assert ("clip ratio" in "\n".join(remarks_on(run_folder))) is said
