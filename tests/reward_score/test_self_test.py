import json
from pathlib import Path

import pytest

from reward_score import SCORERS, UnknownDataSourceError, composition, self_test
from reward_score.data_sources import TASKS, scorer_of
from reward_score.extraction import last_boxed
from reward_score.isolation import IsolatedModule
from reward_score.math_equivalence import symbolic
from reward_score.self_test import UNTESTABLE, WRITERS, Row, as_response
from tests.full_data import FULL_DATA, needs

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data_prep" / "samples"


def run(rows, *arguments, **more):
    return self_test.self_test(rows, *arguments, **more)


def arithmetic(*golds):
    return [Row(number, "arithmetic", gold) for number, gold in enumerate(golds, start=1)]


def test_every_task_can_be_written_or_says_why_not():
    assert set(WRITERS) | set(UNTESTABLE) == set(TASKS)
    assert not set(WRITERS) & set(UNTESTABLE)


@pytest.mark.parametrize("task", sorted(WRITERS))
def test_the_tasks_example_is_right_as_a_response(task):
    source = next(source for source, name in SCORERS.items() if name == task)
    example = TASKS[task].example
    result = scorer_of(source)(as_response(source, example), example)
    assert (result["acc"], result["format"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("data_source", "truth", "response"),
    [
        ("openai/gsm8k", 18, "#### 18"),
        ("arithmetic", "42", "42"),
        ("lighteval/MATH", r"\frac{1}{2}", r"\boxed{\frac{1}{2}}"),
        ("lighteval/MATH", "[-9,9]", r"\boxed{[-9,9]}"),
        ("hiyouga/geometry3k", {"answer": "B", "choices": ["1", "2"]}, r"\boxed{B}"),
        ("multiple_choice", '{"answer": "B", "choices": ["Rome", "Paris"]}', "<answer>\nB\n</answer>"),
        ("searchR1_nq", {"target": ["Paris", "City of Paris"]}, "<answer>\nParis\n</answer>"),
        ("searchR1_nq", '["Paris"]', "<answer>\nParis\n</answer>"),
        ("searchR1_nq", "[REC]", "<answer>\n[REC]\n</answer>"),
        ("hiyouga/geometry3k", "[1,2]", r"\boxed{[1,2]}"),
        ("kk_logic", ' {"solution_text_format": "Zoey is a knave"}', "<answer>\nZoey is a knave\n</answer>"),
        ("kk_logic", "(1) Zoey is a knave", "<answer>\n(1) Zoey is a knave\n</answer>"),
    ],
)
def test_a_gold_as_a_response(data_source, truth, response):
    assert as_response(data_source, truth).endswith(response)


def test_arrays_are_truths_as_well():
    numpy = pytest.importorskip("numpy")
    truth = {"target": numpy.int64(98), "numbers": numpy.array([44, 19, 35])}
    assert scorer_of("countdown")(as_response("countdown", truth), truth)["acc"] == 1.0
    assert as_response("searchR1_nq", {"target": numpy.array(["Paris"], dtype=object)}).count("Paris") == 1


def test_a_countdown_without_solution_is_refused():
    with pytest.raises(ValueError, match="do not make the target"):
        as_response("countdown", {"target": 1000, "numbers": [1, 2]})


class TestRealData:
    def test_gsm8k_sample_passes(self):
        golds = [
            json.loads(line)["answer"].split("####")[1].strip()
            for line in (SAMPLE / "gsm8k" / "train.jsonl").open(encoding="utf-8")
        ]
        rows = [Row(number, "openai/gsm8k", gold) for number, gold in enumerate(golds)]
        result = run(rows, "correctness:1.0,format:0.2", {"method": "strict"})
        assert (result.tested, result.failures, result.untested) == (len(golds), [], {})

    def test_knights_and_knaves_pass(self):
        lines = (SAMPLE / "kk_logic" / "train.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [Row(at, "kk_logic", json.loads(line)["solution_text_format"]) for at, line in enumerate(lines)]
        assert (run(rows).tested, run(rows).failures) == (64, [])

    def test_math_sample_passes(self):
        lines = (SAMPLE / "math" / "train.jsonl").read_text(encoding="utf-8").splitlines()
        golds = [last_boxed(json.loads(line)["solution"]) for line in lines]
        result = run([Row(at, "lighteval/MATH", gold) for at, gold in enumerate(golds)])
        assert (result.tested, result.failures) == (128, [])

    @needs("math/train.jsonl")
    def test_math_passes_but_for_the_rows_whose_gold_is_broken(self, cpu_seconds, monkeypatch):
        # Ten rows need computer algebra, whose half second may be too short on a busy machine.
        patient = IsolatedModule("reward_score.math_equivalence.algebra", 60, symbolic.MEGABYTES)
        monkeypatch.setattr(symbolic, "_ALGEBRA", patient)
        lines = (FULL_DATA / "math" / "train.jsonl").read_text(encoding="utf-8").splitlines()
        golds = [json.loads(line)["answer"] for line in lines]
        with cpu_seconds(60):
            result = run([Row(at, "lighteval/MATH", gold) for at, gold in enumerate(golds)])
        assert result.tested == 7500
        empty = [at for at, gold in enumerate(golds) if not gold.strip()]
        assert {failure.number for failure in result.failures} <= {*empty, 6811}  # 2007+\frac{\}{p}i2
        assert {failure.number for failure in result.failures} >= set(empty)


class TestFailure:
    @pytest.fixture
    def scorer(self, monkeypatch):
        def replace(function):
            monkeypatch.setattr(composition, "scorer_of", lambda data_source: function)
            monkeypatch.setattr(composition, "_logged", {})

        return replace

    def test_an_own_gold_that_is_wrong_is_named(self):
        result = run([*arithmetic("1", "2"), Row(7, "openai/gsm8k", "many")])
        assert result.tested == 3
        (failure,) = result.failures
        assert str(failure).startswith("row 7 (openai/gsm8k, gold 'many'): its own gold scores acc 0 as ")

    @pytest.mark.parametrize("gold", [None, "", " ", {"a": 1}, ["18"], b""])
    def test_a_gold_without_the_tasks_form_is_named(self, gold):
        (failure,) = run([Row(1, "openai/gsm8k", gold), Row(2, "openai/gsm8k", "3")]).failures
        assert failure.number == 1
        assert "empty, or not of the form" in failure.reason

    def test_a_scorer_that_takes_everything_fails_in_every_row(self, scorer):
        scorer(lambda response, truth: {"score": 1.0, "acc": 1.0, "format": 1.0})
        result = run(arithmetic("1", "2", "3"))
        assert [failure.number for failure in result.failures] == [1, 2, 3]
        assert all("the gold of another row scores acc 1 as well" in failure.reason for failure in result.failures)

    def test_a_scorer_that_fails_is_found(self, scorer):
        scorer(lambda response, truth: 1 / 0)
        result = run(arithmetic("1", "2"))
        assert {failure.reason for failure in result.failures} == {
            "scoring its own gold failed; the log has the reason"
        }

    def test_a_component_that_fails_is_found(self, monkeypatch):
        from reward_score import length

        monkeypatch.setattr(length, "pieces", lambda text, unit, tokenizer: 1 / 0 if text else "")
        assert len(run(arithmetic("1", "2"), "correctness:1,length:0.1").failures) == 2

    def test_two_spellings_of_one_answer_are_no_failure(self):
        assert run([Row(at, "openai/gsm8k", gold) for at, gold in enumerate(["18", "18.0", "$18", "7"])]).failures == []
        assert run([Row(at, "math", gold) for at, gold in enumerate(["0.5", r"\frac{1}{2}", "7"])]).failures == []

    @pytest.mark.parametrize(
        "gold", ["1e999999999", "9" * 10_000, "[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900]
    )
    @pytest.mark.parametrize("data_source", ["arithmetic", "openai/gsm8k", "searchR1_nq", "kk_logic"])
    def test_hostile_golds_end(self, gold, data_source, cpu_seconds):
        with cpu_seconds(5):
            result = run([Row(1, data_source, gold), Row(2, data_source, "7")])
        assert result.tested == 2

    def test_rows_with_the_same_gold_cannot_be_confused(self):
        assert run(arithmetic("5", "5", "5")).failures == []
        assert run(arithmetic("5")).tested == 1

    def test_the_order_is_the_rows_and_the_result_is_always_the_same(self):
        rows = [Row(at, "openai/gsm8k", "many" if at % 3 else str(at)) for at in range(60)]
        rows += [Row(at, "arithmetic", "x y") for at in range(60, 70)]
        first, second = run(rows), run(rows)
        assert first.failures == second.failures
        numbers = [failure.number for failure in first.failures]
        assert numbers == sorted(numbers)
        assert len(numbers) == 40

    def test_a_gold_is_shown_without_control_characters_and_not_in_full(self):
        (failure,) = run([Row(1, "openai/gsm8k", "\x1b[31m\ud800 數學" + "x" * 1000)]).failures
        assert "\x1b" not in str(failure)
        assert "\ud800" not in str(failure)
        assert "數學" in str(failure)
        assert len(str(failure)) < 300


def test_tasks_that_cannot_be_tested_are_said():
    rows = [Row(1, "mlabonne/smoltldr", None), Row(2, "code_tests", "{}"), Row(3, "arithmetic", "1")]
    result = run(rows, None, {"execute": True})
    assert result.tested == 1
    assert result.failures == []
    assert result.untested == {
        ("mlabonne/smoltldr", "the task has no ground truth"): 1,
        ("code_tests", "its ground truth is a set of tests, not a solution"): 1,
    }


class TestCountdown:
    UNSOLVABLE = {"target": 999_983, "numbers": [71, 73, 79, 83, 89, 97, 61, 67]}

    def test_a_puzzle_that_takes_too_long_is_left_out(self, cpu_seconds):
        rows = [Row(1, "countdown", self.UNSOLVABLE), Row(2, "countdown", {"target": 6, "numbers": [1, 2, 3]})]
        with cpu_seconds(10):
            result = run(rows)
        assert (result.tested, result.failures) == (1, [])
        assert result.untested == {("countdown", "not solved within 100,000 steps"): 1}

    @pytest.mark.parametrize("numbers", [[1] * 9, [1] * 100_000, [10**18, 2]])
    def test_a_puzzle_that_is_too_large_is_left_out(self, numbers):
        result = run([Row(1, "countdown", {"target": 7, "numbers": numbers})])
        ((_, reason),) = result.untested
        assert reason.startswith("not solved: more than 8 numbers")

    @pytest.mark.parametrize(
        ("target", "numbers"), [(24, [3, 3, 8, 8]), (7, [7]), (0, [5, 5]), (-3, [2, 5]), (446, [50, 9, 25, 7, 3])]
    )
    def test_a_solution_is_found(self, target, numbers):
        truth = {"target": target, "numbers": numbers}
        assert scorer_of("countdown")(as_response("countdown", truth), truth)["acc"] == 1.0

    @pytest.mark.parametrize("truth", [{"target": 1000, "numbers": [1, 2]}, {"target": 1000, "numbers": [1] * 5}])
    def test_that_there_is_none_is_a_failure(self, truth):
        (failure,) = run([Row(1, "countdown", truth)]).failures
        assert "its numbers do not make the target" in failure.reason


@pytest.mark.parametrize("data_source", ["mlabonne/smoltldr", "code_tests", "countdown", "searchR1_nq", "kk_logic"])
@pytest.mark.parametrize("truth", [None, [], {}, {"numbers": 3}, {"target": float("inf"), "numbers": [1]}])
def test_what_cannot_be_written_is_a_value_error(data_source, truth):
    with pytest.raises(ValueError, match=r"."):
        as_response(data_source, truth)


@pytest.mark.parametrize(
    ("rows", "rewards", "options", "error"),
    [
        ([Row(1, "wiki", "1")], None, {}, UnknownDataSourceError),
        ([Row(1, ["arithmetic"], "1")], None, {}, UnknownDataSourceError),
        (arithmetic("1"), "corectness", {}, ValueError),
        (arithmetic("1"), None, {"method": "strict"}, ValueError),
    ],
)
def test_a_wrong_configuration_is_refused(rows, rewards, options, error):
    with pytest.raises(error):
        run(rows, rewards, options)


def test_progress_is_told_once_a_row():
    ticks = []
    run(arithmetic("1", "2", "3"), tick=lambda: ticks.append(1))
    assert len(ticks) == 3
