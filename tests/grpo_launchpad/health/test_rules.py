import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_launchpad.health.history import Facts, facts_of
from grpo_launchpad.health.monitor import OWN_LINE, Monitor, said_steps
from grpo_launchpad.health.rules import ALL_RULES, LEVELS, LOG_RULES, RULES
from grpo_launchpad.launch.environment import PLACES
from grpo_launchpad.launch.knobs import read_knobs
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.settings import Settings

ROOT = Path(__file__).parents[3]


def training(**more) -> dict[str, float]:
    """The metrics of a sound step; `more` uses __ for / in the names."""
    sound = {
        "critic/rewards/mean": 0.5,
        "critic/rewards/max": 1.0,
        "critic/rewards/min": 0.0,
        "actor/entropy": 0.5,
        "actor/grad_norm": 1.0,
        "response_length/mean": 100.0,
        "response_length/max": 150.0,
        "timing_s/step": 2.0,
        "training/rollout_probs_diff_mean": 0.002,
        "rollout_corr/k3_kl": 0.0003,
        "groups/without_signal": 0.3,
        "groups/missing_answers": 0.0,
    }
    return sound | {name.replace("__", "/"): value for name, value in more.items()}


def named(steps: list[dict[str, float]], **facts) -> dict[str, int]:
    """Return rule -> the first step at which it found something; steps count from 0."""
    monitor = Monitor(Facts(**facts))
    found: dict[str, int] = {}
    for step, values in enumerate(steps):
        for finding in monitor.add(step, values):
            found.setdefault(finding.rule.name, step)
    return found


def accuracy(value: float) -> dict[str, float]:
    return {"val-core/x/acc/mean@1": value}


SOUND = [training() for _ in range(12)]


@pytest.mark.parametrize(
    ("rule", "bad", "steps"),
    [
        ("not-a-number", training(actor__grad_norm=float("nan")), 1),
        ("not-a-number", training(actor__pg_loss=float("inf")), 1),
        ("reward-at-floor", training(critic__rewards__mean=0.0), 5),
        ("reward-fell", training(critic__rewards__mean=0.1), 3),
        ("reward-at-ceiling", training(critic__rewards__mean=1.0), 5),
        ("no-signal", training(groups__without_signal=0.95), 5),
        ("entropy-collapse", training(actor__entropy=0.04), 3),
        ("entropy-explosion", training(actor__entropy=1.6), 1),
        ("length-explosion", training(response_length__mean=250.0), 3),
        ("truncation", training(response_length__clip_ratio=0.6), 1),
        ("kl-explosion", training(actor__kl_loss=1.2), 1),
        ("update-too-far", training(actor__ppo_kl=-0.2), 1),
        ("gradient-spike", training(actor__grad_norm=11.0), 1),
        ("rollout-mismatch", training(training__rollout_probs_diff_mean=0.02), 1),
        ("rollout-mismatch", training(rollout_corr__k3_kl=0.06), 1),
        ("growing-mismatch", training(training__rollout_probs_diff_mean=0.0095), 3),
        ("missing-answers", training(groups__missing_answers=0.01), 1),
        ("missing-answers", training(training__rollout_failure__evicted_samples=2), 1),
        ("missing-answers", training(response__aborted_ratio=0.1), 1),
        ("stale-groups", training(training__off_policy__evicted_samples=1), 1),
        ("filtered-groups", training(training__filter_groups__evicted_samples=97), 3),
        ("scorer-errors", training(reward__scorer_error__mean=0.03), 1),
        ("scorer-errors", training() | {"val-aux/x/scorer_error/mean@1": 0.1}, 1),
        ("scorer-stopped", training(reward__scorer_error__mean=1.0), 1),
        ("idle-device", training(perf__mfu__actor=0.04), 5),
    ],
)
def test_a_rule_finds_its_fault_after_sound_steps_and_nothing_before(rule, bad, steps):
    found = named([*SOUND, *[bad] * 12], batch=32)
    assert found[rule] == len(SOUND) + steps - 1
    assert min(found.values()) >= len(SOUND)


def test_sound_steps_have_no_finding():
    assert named([accuracy(0.5), *SOUND, training() | accuracy(0.6)]) == {}


def test_a_reward_that_never_differs():
    constant = training(critic__rewards__mean=0.5, critic__rewards__max=0.5, critic__rewards__min=0.5)
    assert named([constant] * 4)["constant-reward"] == 2


def test_a_solved_task_is_no_fault():
    solved = training(critic__rewards__mean=0.98, actor__entropy=0.01, groups__without_signal=0.97)
    assert named([*SOUND, *[solved] * 20]) == {}


@pytest.mark.parametrize(
    ("reward", "now", "rows", "rule"),
    [
        (0.8, 0.5, None, "reward-hacked"),
        (0.5, 0.5, None, "accuracy-fell"),
        (0.5, 0.56, None, None),
        (0.5, 0.5, 30, None),  # within the noise of 30 answers
        (0.5, 0.5, 10_000, "accuracy-fell"),
    ],
)
def test_accuracy_that_falls(reward, now, rows, rule):
    after = [training(critic__rewards__mean=reward) for _ in range(4)]
    after[-1] = after[-1] | accuracy(now)
    found = named([accuracy(0.6), *SOUND, *after], validation_rows=rows)
    assert set(found) == ({rule} if rule else set())


def test_random_weights_are_not_judged_by_what_they_learn():
    cut_off = training(response_length__clip_ratio=1.0, actor__ppo_kl=0.2)
    assert named([cut_off], smoke=True) == {}
    assert set(named([cut_off | {"actor/loss": float("nan")}], smoke=True)) == {"not-a-number"}


def test_a_smoke_run_is_known_by_its_record(tmp_path):
    run = RunFolder(tmp_path)
    assert not facts_of(run, Settings()).smoke
    run.launch.mkdir()
    for text, smoke in (('{"smoke": true}', True), ('{"name": "x"}', False), ("nonsense", False), ("[]", False)):
        run.identity.write_text(text)
        assert facts_of(run, Settings()).smoke is smoke


def test_longer_answers_that_earn_more_are_no_fault():
    steps = [training(response_length__mean=100 + 20 * n, critic__rewards__mean=0.3 + 0.02 * n) for n in range(20)]
    assert named(steps) == {}


def test_what_comes_again_after_quiet_is_news_again():
    monitor = Monitor(Facts())
    bad = training(response_length__clip_ratio=0.9)
    steps = [bad, bad, *[training()] * 25, bad]
    news = [step for step, values in enumerate(steps) if monitor.add(step, values)]
    assert news == [0, 27]
    (finding,) = monitor.findings.values()
    assert finding.where == "steps 0, 1, 27"


LINES = {
    "engine-died": "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.",
    "worker-died": "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.",
    "out-of-memory": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "disk-full": "OSError: [Errno 28] No space left on device: 'x'",
    "collective-timeout": "[rank3]: Watchdog caught collective operation timeout: WorkNCCL(SeqNum=8)",
    "rollout-failed": "(AgentLoopWorkerTQ pid=1) ERROR Error in _run_prompt for uid=7",
    "scorer-failed": "scorer_error: x failed for data_source 'a' with ValueError: 'b'; it counts as 0, and",
}


@pytest.mark.parametrize("rule", LOG_RULES, ids=lambda rule: rule.name)
def test_a_line_of_the_log_is_understood_once(rule):
    monitor = Monitor(Facts())
    assert monitor.add_line(LINES[rule.name]).rule is rule
    assert monitor.add_line(LINES[rule.name]) is None
    assert Monitor(Facts()).add_line(OWN_LINE + LINES[rule.name]) is None
    assert Monitor(Facts()).add_line("step:3 - actor/entropy:0.5") is None


@pytest.mark.parametrize("rule", LOG_RULES, ids=lambda rule: rule.name)
def test_a_line_is_found_in_a_whole_log(tmp_path, rule):
    noise = "".join(f"line {number}\n" for number in range(20_000))
    (tmp_path / "log.txt").write_text(f"{noise}{LINES[rule.name]}\n{noise}")
    monitor = Monitor(Facts())
    monitor.add_log(tmp_path / "log.txt")
    monitor.add_log(tmp_path / "missing.txt")
    assert [finding.rule for finding in monitor.findings.values()] == [rule]


def test_the_held_out_answers_are_counted_when_there_are_some(tmp_path):
    run = RunFolder(tmp_path)
    monitor = Monitor(lambda: facts_of(run, Settings(batch=4)))
    assert monitor.history.facts == Facts(batch=4)
    run.rollouts("validation").mkdir(parents=True)
    (run.rollouts("validation") / "0.jsonl").write_text("{}\n" * 30)
    monitor.add(0, accuracy(0.5))
    assert monitor.history.facts.validation_rows == 30


def test_rules_are_told_apart_and_told_well():
    names = [rule.name for rule in ALL_RULES]
    assert len(set(names)) == len(names)
    for rule in ALL_RULES:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
        assert rule.level in LEVELS
        assert all((rule.meaning, rule.threshold, rule.source, rule.remedy))
    assert all(rule.check for rule in RULES)


def test_every_setting_of_a_remedy_is_named_there_and_exists():
    from grpo_launchpad.preflight.compose import compose

    names = {knob.name for knob in read_knobs()} | PLACES.keys()
    config = compose(["model_engine=megatron"])
    for rule in ALL_RULES:
        for setting in rule.settings:
            assert setting.removeprefix("actor_rollout_ref.") in rule.remedy or setting.split(".")[-1] in rule.remedy
            if "." in setting:
                node = config
                for part in setting.split("."):
                    assert part in node, setting
                    node = node[part]
            else:
                assert setting in names
        mentioned = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", rule.remedy))
        assert mentioned - {"NCCL_SOCKET_IFNAME", "NCCL_DEBUG"} <= set(rule.settings) | names


@given(st.lists(st.dictionaries(st.sampled_from(sorted(training())), st.floats(), max_size=12), max_size=30))
def test_no_numbers_stop_the_rules(records):
    monitor = Monitor(Facts(batch=8, response_limit=4))
    for step, values in enumerate(records):
        monitor.add(step, values)
    assert all(str(finding) for finding in monitor.worst_first())


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12))
def test_said_steps_names_the_first_and_counts_all(steps):
    text = said_steps(steps)
    assert str(steps[0]) in text
    assert len(steps) <= 5 or f"{len(steps) - 5} more" in text
