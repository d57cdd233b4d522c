import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.length import cosine_length, length_distance, overlong, pieces


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> str:
    """A folder with a tokenizer of whole words, which adds a start token and has a truncation stored."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[BOS]": 1, "two": 2, "four": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="[BOS] $A", special_tokens=[("[BOS]", 1)])
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", bos_token="[BOS]").save_pretrained(folder)
    stored = json.loads((folder / "tokenizer.json").read_text())
    stored["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(stored))
    return str(folder)


class TestLengthDistance:
    @pytest.mark.parametrize(("length", "distance"), [(0, 50.0), (49, 1.0), (50, 0.0), (51, 1.0), (1050, 1000.0)])
    def test_the_target_is_50_characters(self, length, distance):
        assert length_distance("x" * length) == distance

    def test_another_target_in_another_unit(self):
        assert length_distance("two and two make four", target=3, unit="words") == 2.0
        assert length_distance("two and two make four", target=0) == 21.0

    @given(st.text(), st.integers(0, 1000))
    def test_zero_at_the_target_alone(self, response, target):
        assert length_distance(response, target=target) >= 0.0 == length_distance(response, target=len(response))

    @pytest.mark.parametrize("target", [-1, 50.0, "50", True, None])
    def test_a_target_that_is_no_length_is_refused(self, target):
        with pytest.raises(ValueError, match="target=.*: write a whole number, 0 or more"):
            length_distance("x", target=target)


class TestCosineLength:
    @pytest.mark.parametrize(
        ("length", "right", "wrong"),
        [
            (0, 1.0, -1.0),
            (250, 0.75 + 0.25 * math.sqrt(0.5), -0.75 - 0.25 * math.sqrt(0.5)),
            (500, 0.75, -0.75),
            (1000, 0.5, -0.5),
            # Without the clamp a right response of twice the length is back at 1.0.
            (1500, 0.5, -0.5),
            (2000, 0.5, -0.5),
            (100_000, 0.5, -0.5),
        ],
    )
    def test_value(self, length, right, wrong):
        assert cosine_length("x" * length, acc=1.0, max_length=1000) == pytest.approx(right)
        assert cosine_length("x" * length, acc=0.0, max_length=1000) == pytest.approx(wrong)

    def test_other_bounds(self):
        bounds = {"min_value_wrong": -10, "max_value_wrong": 0, "min_value_correct": 1, "max_value_correct": 2}
        assert cosine_length("", acc=0.0, max_length=10, **bounds) == -10.0
        assert cosine_length("x" * 10, acc=0.0, max_length=10, **bounds) == 0.0
        assert cosine_length("", acc=1.0, max_length=10, **bounds) == 2.0
        assert cosine_length("x" * 10, acc=1.0, max_length=10, **bounds) == 1.0

    def test_in_words(self):
        assert cosine_length("two and two make four", acc=1.0, max_length=10, unit="words") == pytest.approx(0.75)

    @given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 200))
    def test_a_longer_response_earns_less_when_right_and_more_when_wrong(self, one, other, max_length):
        short, long = sorted((one, other))
        right = [cosine_length("x" * length, acc=1.0, max_length=max_length) for length in (short, long)]
        wrong = [cosine_length("x" * length, acc=0.0, max_length=max_length) for length in (short, long)]
        assert 1.0 >= right[0] >= right[1] >= 0.5
        assert -1.0 <= wrong[0] <= wrong[1] <= -0.5

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_length": 0}, "max_length=0: write a whole number, 1 or more"),
            ({"max_length": 1e3}, "max_length=1000.0: write a whole number"),
            ({"min_value_wrong": 0.0}, "min_value_wrong=0.0: write at most max_value_wrong, which is -0.5"),
            ({"max_value_correct": 0.0}, "min_value_correct=0.5: write at most max_value_correct, which is 0.0"),
            ({"max_value_correct": math.inf}, "max_value_correct=inf: write a finite number"),
            ({"min_value_correct": math.nan}, "min_value_correct=nan: write a finite number"),
            ({"min_value_wrong": "-1"}, "min_value_wrong='-1': write a finite number"),
        ],
    )
    def test_an_option_that_is_not_allowed_is_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            cosine_length("x", acc=1.0, **{"max_length": 10} | options)


class TestOverlong:
    @pytest.mark.parametrize(
        ("length", "reward"),
        [(0, 0.0), (80, 0.0), (81, -0.05), (90, -0.5), (99, -0.95), (100, -1.0), (101, -1.0), (100_000, -1.0)],
    )
    def test_value(self, length, reward):
        assert overlong("x" * length, max_length=100, buffer_length=20) == pytest.approx(reward)

    def test_the_papers_setting(self):
        paper = {"max_length": 20480, "buffer_length": 4096, "unit": "words"}
        lengths = (16384, 18432, 20480, 30000)
        assert [overlong("x " * length, **paper) for length in lengths] == [0.0, -0.5, -1.0, -1.0]

    @given(st.integers(0, 300), st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
    def test_never_above_nothing_nor_below_minus_one(self, length, limits):
        max_length, buffer_length = limits
        reward = overlong("x" * length, max_length=max_length, buffer_length=buffer_length)
        assert -1.0 <= reward <= 0.0
        assert (reward == 0.0) == (length <= max_length - buffer_length)
        assert (reward == -1.0) == (length >= max_length)

    @pytest.mark.parametrize(
        ("max_length", "buffer_length", "message"),
        [
            (100, 0, "buffer_length=0: write a whole number, 1 or more"),
            (0, 1, "max_length=0: write a whole number, 1 or more"),
            (100, 101, "buffer_length=101: write at most max_length, which is 100"),
            (100, 2.5, "buffer_length=2.5: write a whole number"),
        ],
    )
    def test_limits_that_make_no_sense_are_refused(self, max_length, buffer_length, message):
        with pytest.raises(ValueError, match=message):
            overlong("x", max_length=max_length, buffer_length=buffer_length)


class TestPieces:
    def test_characters_and_words(self):
        assert len(pieces("two  and\ntwo", "characters")) == 12
        assert pieces("two  and\ntwo", "words") == ["two", "and", "two"]
        assert len(pieces("二加二等于四", "words")) == 1

    def test_tokens_are_counted_without_special_tokens_and_without_truncation(self, tokenizer):
        assert pieces("two and two: four", "tokens", tokenizer) == [2, 0, 2, 0, 3]
        assert length_distance("two and two: four", target=4, unit="tokens", tokenizer=tokenizer) == 1.0

    def test_threads_count_alike(self, tokenizer):
        texts = ["two four " * length for length in range(200)]
        with ThreadPoolExecutor(8) as pool:
            counts = list(pool.map(lambda text: len(pieces(text, "tokens", tokenizer)), texts))
        assert counts == [2 * length for length in range(200)]

    def test_a_tokenizer_is_loaded_once(self, tokenizer, tmp_path):
        folder = tmp_path / "copy"
        shutil.copytree(tokenizer, folder)
        assert pieces("two", "tokens", str(folder)) == [2]
        shutil.rmtree(folder)
        assert pieces("four", "tokens", str(folder)) == [3]

    @pytest.mark.parametrize("text", ["\ud800", "two \udfff", "\0", ""])
    def test_no_text_is_too_odd_for_a_tokenizer(self, tokenizer, text):
        assert length_distance(text, unit="tokens", tokenizer=tokenizer) >= 0.0

    @pytest.mark.parametrize("unit", ["lines", "", None, ["words"]])
    def test_an_unknown_unit_is_refused(self, unit):
        with pytest.raises(ValueError, match="unit=.*'characters', 'words', 'tokens'"):
            length_distance("x", unit=unit)

    def test_tokens_need_a_tokenizer_and_nothing_else_takes_one(self, tmp_path):
        with pytest.raises(ValueError, match="tokenizer=None: unit='tokens' needs"):
            length_distance("x", unit="tokens")
        with pytest.raises(ValueError, match="only unit='tokens' takes one, but unit='words'"):
            length_distance("x", unit="words", tokenizer="gpt2")
        (tmp_path / "tokenizer.json").write_text("{")
        with pytest.raises(ValueError, match="tokenizer=.*can be loaded"):
            length_distance("x", unit="tokens", tokenizer=str(tmp_path))


@pytest.mark.parametrize("response", ["a" * 10**6, "a " * 10**5, "\0" * 10**6, "\ud800" * 10**5, "é" * 10**5])
def test_time_is_bounded_on_hostile_text(response, tokenizer, cpu_seconds):
    pieces("", "tokens", tokenizer)
    for unit, folder in (("characters", None), ("words", None), ("tokens", tokenizer)):
        with cpu_seconds(2):
            overlong(response, max_length=100, buffer_length=20, unit=unit, tokenizer=folder)
