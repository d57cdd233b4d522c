import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.language import SCRIPTS, language_consistency

GSM8K = Path(__file__).resolve().parents[2] / "data_prep" / "samples" / "gsm8k"


def test_english_problems_are_english_and_nothing_else():
    rows = [json.loads(line) for line in (GSM8K / "test.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 64
    for row in rows:
        assert language_consistency(row["question"], language="en") == 1.0, row
        assert language_consistency(row["question"], language="zh") == 0.0, row


@pytest.mark.parametrize(
    ("language", "response"),
    [
        ("en", "<think>\nTwo and two make four.\n</think>\n<answer>\n4\n</answer>"),
        ("fr", "L'été est très chaud, où est-il ?"),
        ("vi", "Tổng cộng là bốn quả táo."),
        ("zh", "<think>\n设苹果有x个，梨有y个，则x+y=10，x-y=2，解得x=6，y=4。\n</think>\n<answer>6</answer>"),
        ("ja", "りんごは四つ、カレーは二つです。"),
        ("ko", "사과는 모두 네 개입니다."),
        ("ru", "Всего четыре яблока."),
        ("ar", "المجموع أربع تفاحات."),
        ("he", "בסך הכל ארבעה תפוחים."),
        ("el", "Συνολικά τέσσερα μήλα."),
        ("hi", "कुल चार सेब हैं।"),
        ("th", "รวมทั้งหมดสี่ผล"),
    ],
)
def test_text_of_one_language(language, response):
    assert language_consistency(response, language=language) == 1.0
    for other in set(SCRIPTS) - {language}:
        if not set(SCRIPTS[language]) & set(SCRIPTS[other]):
            assert language_consistency(response, language=other) == 0.0, other


@pytest.mark.parametrize(
    ("language", "response", "share"),
    [
        ("zh", "答案 yes", 2 / 5),
        ("en", "答案 yes", 3 / 5),
        ("ko", "사과 蘋果", 1 / 2),
        ("ja", "答えは四", 1.0),
        ("zh", "答えは四", 1 / 2),
        # combining accents belong to their letter
        ("en", "caf\u0065\u0301 是", 4 / 5),
    ],
)
def test_mixed_text(language, response, share):
    assert language_consistency(response, language=language) == pytest.approx(share)


@pytest.mark.parametrize(
    "formal",
    [
        *(
            "42",
            "3 + 4 = 7",
            "x",
            "x + y",
            "α",
            "$ax + bc = 10$",
            "$$\nab\n$$",
            r"\(ab\)",
            r"\[\nab\n\]",
            r"\frac{1}{2}",
        ),
        *("`print`", "```python\nprint('four')\n```", "<answer>", "</reasoning>", "ー", "ª", "𝑎𝑏"),
    ],
)
def test_what_is_no_language_does_not_count(formal):
    assert language_consistency(f"答案 {formal} 是四", language="zh") == 1.0
    assert language_consistency(formal, language="en") == 0.0


@pytest.mark.parametrize(
    "response",
    [
        *(
            "$答案是四$ four",
            "`答案是四` four",
            "```\n答案是四\n``` four",
            r"\(答案是四\) four",
            r"\text{答案是四} four",
        ),
        "<答案是四> four",
    ],
)
def test_another_script_cannot_hide_in_math_or_code(response):
    assert language_consistency(response, language="en") == 1 / 2


@pytest.mark.parametrize(
    "response",
    ["It costs $5", "It costs $5\nor $6 in all", r"It costs \$5 and \$6 in all", "It's `so\nit is` so", "$$ so it is"],
)
def test_an_unclosed_delimiter_hides_nothing(response):
    letters = sum(len(word) for word in "".join(c if c.isalpha() else " " for c in response).split() if len(word) > 1)
    assert language_consistency(response + " 是", language="en") == pytest.approx(letters / (letters + 1))


@pytest.mark.parametrize("response", ["", " ", "42", "$everything in here$", "a b c"])
def test_a_response_in_which_nothing_counts_earns_nothing(response):
    assert language_consistency(response, language="en") == 0.0


@pytest.mark.parametrize("language", ["english", "EN", "xx", "", None, ["en"]])
def test_an_unknown_language_is_refused(language):
    with pytest.raises(ValueError, match="language=.*: write one of 'en', "):
        language_consistency("four", language=language)


@given(st.text())
def test_the_shares_of_different_scripts_add_up_to_one_at_most(response):
    shares = [
        language_consistency(response, language=language) for language in ("en", "zh", "ko", "ru", "ar", "he", "el")
    ]
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert sum(shares) <= 1.0 + 1e-9


@given(
    st.lists(
        st.sampled_from(["答", "yes", " ", "$", "$$", "`", "```", "\n", r"\(", r"\)", r"\[", r"\]", "\\"]), max_size=30
    )
)
def test_letters_of_another_script_always_count(pieces):
    response = "".join(pieces)
    assert (language_consistency(response, language="zh") > 0) == ("答" in response)


@pytest.mark.parametrize(
    "response",
    [
        *(
            "a" * 10**5,
            "\0" * 10**5,
            "\ud800" * 10**5,
            "a" + "\u0301" * 10**5,
            "答" * 10**5,
            "\\" * 10**5,
            "<a" * 10**5,
        ),
        *("$" * 99_999, "$\n" * 50_000, "`\n" * 50_000, r"\(" * 50_000, r"\[" * 50_000, r"$`\(\[$$```" * 9_000),
    ],
    ids=lambda text: repr(text[:10]),
)
def test_time_is_bounded_on_hostile_text(response, cpu_seconds):
    with cpu_seconds(1):
        language_consistency(response, language="zh")
