import logging
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from reward_score import Composition, Sample, composition
from reward_score.components import COMPONENTS, TUTORIAL_NAMES

RIGHT = Sample("openai/gsm8k", "5 + 13 is 18.\n#### 18", "18")
WRONG = Sample("openai/gsm8k", "It is 17.", "18")
EVERY_COMPONENT = (
    "correctness,format,task,strict_format,soft_format(tags=reasoning),tag_count,integer_answer,mark,length(target=20),"
    "cosine_length(max_length=100),overlong(max_length=100,buffer_length=20),repetition(n=2),"
    "language_consistency(language=en)," + ",".join(TUTORIAL_NAMES)
)


@pytest.fixture(autouse=True)
def _nothing_logged_yet(monkeypatch):
    monkeypatch.setattr(composition, "_logged", {})


@pytest.fixture
def task(monkeypatch):
    """Replace the scorer of GSM8K."""

    def replace(scorer):
        monkeypatch.setattr(composition, "scorer_of", lambda data_source: scorer)

    return replace


def spelled(parsed: Composition) -> list[tuple]:
    return [(term.name, term.weight, term.options) for term in parsed.terms]


class TestParsing:
    @pytest.mark.parametrize(
        ("text", "terms"),
        [
            ("correctness", [("correctness", 1.0, {})]),
            (" correctness : 2 , format:-.5 ", [("correctness", 2.0, {}), ("format", -0.5, {})]),
            ("length(target=200):-1e-3", [("length", -0.001, {"target": 200})]),
            ("length( target = 200 , unit = words )", [("length", 1.0, {"target": 200, "unit": "words"})]),
            ("length(unit='words'):0", [("length", 0.0, {"unit": "words"})]),
            ("mark()", [("mark", 1.0, {})]),
            ("language_consistency(language=nl)", [("language_consistency", 1.0, {"language": "nl"})]),
            ("repetition(n=2,max_penalty=-1)", [("repetition", 1.0, {"n": 2, "max_penalty": -1})]),
        ],
    )
    def test_a_text(self, text, terms):
        assert spelled(Composition.parse(text)) == terms

    @pytest.mark.parametrize(
        "rewards",
        [
            {"correctness": 1, "length": {"weight": "-1e-3", "target": 20}},
            ["correctness:1", {"name": "length", "weight": -0.001, "target": 20}],
            ["correctness:1,length(target=20):-0.001"],
        ],
    )
    @pytest.mark.parametrize("made", [lambda given: given, OmegaConf.create], ids=["plain", "omegaconf"])
    def test_mappings_and_lists(self, rewards, made):
        assert str(Composition.parse(made(rewards))) == "correctness:1.0,length(target=20):-0.001"

    @pytest.mark.parametrize("suffix", [".yaml", ".yml"])
    def test_a_file(self, tmp_path, suffix):
        file = tmp_path / f"my rewards{suffix}"
        file.write_text("correctness: 1.0\nlength:\n  weight: -1e-3\n  target: 20\n")
        assert str(Composition.parse(f" {file}\n")) == "correctness:1.0,length(target=20):-0.001"

    def test_none_is_the_tasks_own_score_and_a_composition_itself(self):
        assert Composition.parse(None).terms == ()
        parsed = Composition.parse("format:1")
        assert Composition.parse(parsed) is parsed

    @given(
        st.lists(
            st.tuples(st.sampled_from(["correctness", "format", "task", "mark", "tag_count"]), st.floats(-1e6, 1e6)),
            min_size=1,
            unique_by=lambda term: term[0],
        ),
        st.integers(0, 1000),
        st.sampled_from(["characters", "words"]),
    )
    def test_the_text_of_a_composition_is_read_back(self, terms, target, unit):
        text = ",".join(f"{name}:{weight!r}" for name, weight in terms) + f",length(target={target},unit={unit}):0.5"
        parsed = Composition.parse(text)
        assert spelled(Composition.parse(str(parsed))) == spelled(parsed)

    @given(st.text(alphabet="correctness,:()=.0123 -'\"[]", max_size=60))
    def test_any_text_is_read_or_refused_as_a_value_error(self, text):
        try:
            parsed = Composition.parse(text)
        except ValueError:
            return
        assert parsed.terms

    @pytest.mark.parametrize(
        ("rewards", "message"),
        [
            ("", "names no component"),
            (" ", "names no component"),
            ([], "names no component"),
            ({}, "names no component"),
            ("corectness:1", "no reward component 'corectness' .did you mean 'correctness'"),
            ("zzz:1", r"no reward component 'zzz'; there are: correctness, format, .*language_consistency"),
            ("correctness:1,", "cannot read ''"),
            (":1", "cannot read ':1'"),
            ("correctness:1:2", "cannot read 'correctness:1:2'"),
            ("correctness:", "has a colon but no weight"),
            ("correctness:nan", "weight of 'correctness' is 'nan'; it must be a finite number"),
            ("correctness:inf", "must be a finite number"),
            ("correctness:much", "weight of 'correctness' is 'much'"),
            ({"correctness": True}, "weight of 'correctness' is True"),
            ({"correctness": None}, "weight of 'correctness' is None"),
            ({"correctness": [1]}, "weight of 'correctness' is \\[1\\]"),
            ("format:1,format:2", "'format' is named twice"),
            (["format:1", {"name": "format"}], "'format' is named twice"),
            ("correctness(method=strict):1", "'correctness' takes no options, got method"),
            ("length(targt=3)", "has no option 'targt' .did you mean 'target'.*its options: target, unit"),
            ("length(target=3.5)", "target=3.5 is not a whole number"),
            ("length(target=true)", "target=True is not a whole number"),
            ("length(target=-3)", "target=-3: write a whole number, 0 or more"),
            ("length(target=3,target=4)", "has the option 'target' twice"),
            ("length(target)", "cannot read the option 'target'"),
            ("length(target=)", "cannot read the option 'target='"),
            ("length(unit=lines)", "unit='lines': write one of"),
            ("length(target=3:1", "brackets or quotes do not match"),
            ("length(target=3)):1", "brackets or quotes do not match"),
            ("length(unit='words):1", "brackets or quotes do not match"),
            ("cosine_length:1", "needs the option 'max_length'"),
            ("cosine_length(max_length=10,acc=1.0)", "has no option 'acc'"),
            ("language_consistency(language=klingon)", "language='klingon'"),
            (3, "3 is int"),
            ([3], "3 is int"),
            ([{"weight": 1.0}], "has no 'name'"),
            ("/no/such/file.yaml", "/no/such/file.yaml cannot be read"),
        ],
    )
    def test_a_mistake_is_named(self, rewards, message):
        with pytest.raises(ValueError, match=message):
            Composition.parse(rewards)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("format: 1\nformat: 2\n", "names 'format' twice"),
            ("format: [1\n", "is not valid YAML"),
            ("", "None is NoneType"),
            ("length: {weight: 1, targt: 3}", "has no option 'targt'"),
        ],
    )
    def test_a_mistake_in_a_file_is_named(self, tmp_path, text, message):
        file = tmp_path / "rewards.yaml"
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            Composition.parse(str(file))

    def test_rewarding_what_is_to_be_punished_is_said_once(self, caplog):
        for _ in range(3):
            Composition.parse("length(target=200):0.1")
        assert [record.getMessage() for record in caplog.records] == [
            "rewards: 'length' is never below 0, so its weight of 0.1 rewards what it is there to punish; write -0.1"
        ]


class TestScore:
    def test_is_the_weighted_sum_of_raw_values(self):
        parsed = Composition.parse("correctness:1.0,format:0.2,length(target=20):-0.01")
        assert parsed.score(RIGHT) == {
            "score": pytest.approx(1.0 + 0.2 + 0.01 * -1),
            "acc": 1.0,
            "correctness": 1.0,
            "format": 1.0,
            "length": 1.0,
            "scorer_error": 0.0,
        }
        assert parsed.score(WRONG) == {
            "score": pytest.approx(0.01 * -11),
            "acc": 0.0,
            "correctness": 0.0,
            "format": 0.0,
            "length": 11.0,
            "scorer_error": 0.0,
        }

    def test_without_a_composition_it_is_the_tasks_own(self):
        parsed = Composition.parse(None)
        sample = RIGHT._replace(options={"format_weight": 0.1})
        assert parsed.score(sample) == {"score": pytest.approx(1.1), "acc": 1.0, "format": 1.0, "scorer_error": 0.0}

    def test_task_is_the_tasks_own_score(self):
        result = Composition.parse("task:2").score(RIGHT._replace(options={"format_weight": 0.5}))
        assert (result["task"], result["score"], result["acc"]) == (1.5, 3.0, 1.0)

    def test_a_component_may_need_the_verdict(self):
        parsed = Composition.parse("cosine_length(max_length=100)")
        assert parsed.score(RIGHT)["cosine_length"] > 0.5
        assert parsed.score(WRONG)["cosine_length"] < -0.5

    def test_the_tutorials_functions_have_their_values(self):
        parsed = Composition.parse("correctness_reward_func,reward_len,int_reward_func,xmlcount_reward_func")
        result = parsed.score(Sample("openai/gsm8k", "<answer>18</answer>", "18"))
        assert [result[name] for name in parsed.names()] == [2.0, -31.0, 0.5, 0.0]

    def test_a_weight_of_zero_reports_only(self):
        result = Composition.parse("correctness:1,length:0").score(RIGHT)
        assert (result["score"], result["length"]) == (1.0, 29.0)

    def test_every_component_can_be_named(self):
        parsed = Composition.parse(EVERY_COMPONENT)
        assert parsed.names() == tuple(COMPONENTS)
        assert parsed.score(RIGHT)["scorer_error"] == 0.0

    def test_no_option_is_called_like_a_part_of_the_yaml_form(self):
        for part in COMPONENTS.values():
            assert not {"weight", "name"} & set(part.option_hints())

    def test_a_composition_can_be_sent_to_another_process(self):
        parsed = Composition.parse("correctness:1,length(target=20):-0.01")
        assert pickle.loads(pickle.dumps(parsed)).score(RIGHT) == parsed.score(RIGHT)

    @pytest.mark.parametrize("truth", [18, 18.0, b"18", "numpy.int64", "numpy.float32", "numpy.str"])
    def test_a_truth_that_is_no_text_is_read_as_one(self, truth):
        numpy = pytest.importorskip("numpy")
        made = {"numpy.int64": numpy.int64(18), "numpy.float32": numpy.float32(18), "numpy.str": numpy.str_("18")}
        assert Composition.parse(None).score(RIGHT._replace(ground_truth=made.get(truth, truth)))["acc"] == 1.0

    def test_a_response_of_bytes_is_read_as_text(self):
        assert Composition.parse(None).score(RIGHT._replace(response=b"#### 18 \xff"))["acc"] == 1.0

    @given(st.text(), st.text())
    def test_every_row_has_the_same_keys_and_finite_values(self, response, truth):
        parsed = Composition.parse(EVERY_COMPONENT)
        result = parsed.score(Sample("openai/gsm8k", response, truth))
        assert list(result) == ["score", "acc", *COMPONENTS, "scorer_error"]
        assert all(type(value) is float and math.isfinite(value) for value in result.values())


class TestFailure:
    REWARDS = "correctness:1.0,format:0.2,length(target=20):-0.01"

    @pytest.mark.parametrize(
        "sample",
        [
            RIGHT._replace(ground_truth=None),
            RIGHT._replace(ground_truth={"target": 18}),
            RIGHT._replace(ground_truth=[18]),
            RIGHT._replace(ground_truth=10**5000),
            RIGHT._replace(data_source="no/such/source"),
            RIGHT._replace(data_source=None),
            RIGHT._replace(data_source=["openai/gsm8k"]),
            RIGHT._replace(options={"format_weigth": 1.0}),
            RIGHT._replace(options={"method": "loose"}),
            RIGHT._replace(options={"format_weight": "much"}),
        ],
    )
    def test_of_the_task_leaves_the_other_components(self, sample):
        result = Composition.parse(self.REWARDS).score(sample)
        assert result == {
            "score": -0.01,
            "acc": 0.0,
            "correctness": 0.0,
            "format": 0.0,
            "length": 1.0,
            "scorer_error": 1.0,
        }
        own = {"score": 0.0, "acc": 0.0, "format": 0.0, "scorer_error": 1.0}
        assert Composition.parse(None).score(sample) == own

    @pytest.mark.parametrize("response", [None, 18, ["#### 18"], {"content": "#### 18"}])
    def test_of_the_response_leaves_nothing(self, response):
        result = Composition.parse(self.REWARDS).score(RIGHT._replace(response=response))
        assert result.pop("scorer_error") == 1.0
        assert set(result.values()) == {0.0}
        assert list(result) == ["score", "acc", "correctness", "format", "length"]

    @pytest.mark.parametrize(
        "found",
        [
            None,
            1.0,
            {},
            {"score": 1.0, "acc": 1.0},
            {"score": math.nan, "acc": 1.0, "format": 1.0},
            {"score": math.inf, "acc": 1.0, "format": 1.0},
            {"score": "1.0", "acc": 1.0, "format": 1.0},
            {"score": None, "acc": 1.0, "format": 1.0},
            RecursionError(),
            MemoryError(),
            AssertionError("no"),
        ],
        ids=repr,
    )
    def test_of_a_scorers_result(self, task, found):
        def scorer(response, truth):
            if isinstance(found, Exception):
                raise found
            return found

        task(scorer)
        expected = {"score": 0.0, "acc": 0.0, "format": 0.0, "scorer_error": 1.0}
        assert Composition.parse(None).score(RIGHT) == expected

    def test_of_a_task_that_no_component_needs_is_none(self, caplog):
        for sample in (RIGHT._replace(ground_truth=None), RIGHT._replace(data_source="wiki")):
            result = Composition.parse("length(target=20):-0.01").score(sample)
            assert result == {"score": -0.01, "acc": 0.0, "length": 1.0, "scorer_error": 0.0}
        assert caplog.records == []
        assert Composition.parse("length,cosine_length(max_length=9)").score(sample)["scorer_error"] == 1.0

    def test_that_the_scorer_itself_reports_is_logged_once(self, task, caplog):
        task(lambda response, truth: {"score": 0.1, "acc": 0.0, "format": 1.0, "scorer_error": 1.0})
        for _ in range(3):
            Composition.parse("correctness").score(RIGHT)
        (record,) = caplog.records
        assert record.getMessage().startswith("scorer_error: the task's scorer failed for data_source 'openai/gsm8k'")
        assert "gave no verdict" in record.getMessage()
        assert Composition.parse("length").score(RIGHT)["scorer_error"] == 0.0

    def test_whose_text_cannot_be_read_is_one(self, task, caplog):
        class UnreadableError(Exception):
            def __str__(self):
                raise TypeError("no text")

        def scorer(response, truth):
            raise UnreadableError

        task(scorer)
        assert Composition.parse(None).score(RIGHT)["scorer_error"] == 1.0
        assert "UnreadableError: its text cannot be read" in caplog.records[0].getMessage()

    def test_that_the_scorer_itself_reports_is_counted(self, task):
        task(lambda response, truth: {"score": 0.1, "acc": 0.0, "format": 1.0, "scorer_error": 1.0})
        assert Composition.parse(None).score(RIGHT) == {"score": 0.1, "acc": 0.0, "format": 1.0, "scorer_error": 1.0}
        assert Composition.parse("format:1").score(RIGHT)["scorer_error"] == 1.0

    def test_of_the_task_is_no_verdict_for_components_that_need_one(self):
        parsed = Composition.parse("cosine_length(max_length=100):1.0")
        assert parsed.score(RIGHT._replace(ground_truth=None))["cosine_length"] == 0.0

    @pytest.mark.parametrize("value", [math.nan, math.inf, None, "1", ValueError("no"), KeyError("x")], ids=repr)
    def test_of_a_component_leaves_the_others(self, monkeypatch, value):
        def broken(response, *, target=50, unit="characters", tokenizer=None):
            if isinstance(value, Exception) and response:
                raise value
            return value if response else 0.0

        parsed = Composition.parse(self.REWARDS)
        monkeypatch.setitem(vars(COMPONENTS["length"]), "function", broken)
        result = parsed.score(RIGHT)
        assert (result["correctness"], result["length"], result["scorer_error"]) == (1.0, 0.0, 1.0)
        assert result["score"] == 1.2

    def test_of_the_sum_by_overflow(self):
        result = Composition.parse("correctness:1e308,format:1e308").score(RIGHT)
        assert (result["score"], result["scorer_error"]) == (0.0, 1.0)

    def test_is_logged_once_a_kind_with_its_reason(self, caplog):
        parsed = Composition.parse(None)
        for _ in range(5):
            parsed.score(RIGHT._replace(ground_truth=None))
            parsed.score(RIGHT._replace(data_source="half a pair \ud800"))
        first, second = [record.getMessage() for record in caplog.records]
        assert first.startswith(
            "scorer_error: the task's scorer failed for data_source 'openai/gsm8k' with TypeError: "
        )
        assert "\\ud800" in second
        assert {record.levelno for record in caplog.records} == {logging.WARNING}

    def test_does_not_fill_the_log(self, caplog):
        parsed = Composition.parse(None)
        for number in range(500):
            parsed.score(RIGHT._replace(data_source=f"source {number}"))
        assert len(caplog.records) == 100
