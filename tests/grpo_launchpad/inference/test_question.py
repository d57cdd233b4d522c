"""What a run's prompts have around their questions."""

from hypothesis import given
from hypothesis import strategies as st

from data_prep.pipeline.templates import TEMPLATES
from grpo_launchpad.inference.question import QuestionForm, form_of

QUESTIONS = [
    *(f"Ann has {n} apples and eats {n // 2}. How many are left?" for n in range(3, 30)),
    *(f"What is {n} + {n}?" for n in range(9)),
    "Name a prime.",
]


def chats(questions, template):
    return [TEMPLATES[template].messages(question, True, None) for question in questions]


def test_the_instruction_of_each_template_is_found():
    for name in TEMPLATES:
        form = form_of(chats(QUESTIONS, name))
        assert form.messages("Why?") == TEMPLATES[name].messages("Why?", True, None), name


def test_sums_end_in_an_equals_sign():
    form = form_of([[{"role": "user", "content": f"{a}+{a + 1}="}] for a in range(20)])
    assert form == QuestionForm(after="=")
    assert form.messages("3+4") == form.messages("3+4=") == [{"role": "user", "content": "3+4="}]


def test_text_before_the_question_is_kept():
    before = "Solve the following problem step by step.\n\n"
    form = form_of([[{"role": "user", "content": f"{before}{question}"}] for question in QUESTIONS])
    assert form.before == before
    assert form.messages("1+1?")[0]["content"] == before + "1+1?"


def test_the_same_question_mark_is_no_instruction():
    assert form_of([[{"role": "user", "content": f"{a} and {a}?"}] for a in range(20)]) == QuestionForm()


def test_few_or_foreign_rows_give_the_bare_question():
    assert form_of([]) == QuestionForm()
    assert form_of(chats(QUESTIONS[:3], "hash")) == QuestionForm()
    assert form_of([None, "text", [], [None]] * 9) == QuestionForm()
    turns = [
        [{"role": "user", "content": q}, {"role": "assistant", "content": "a"}, {"role": "user", "content": q}]
        for q in QUESTIONS
    ]
    assert form_of(turns) == QuestionForm()


@given(st.lists(st.text(), min_size=8), st.text())
def test_any_texts_make_a_form_whose_prompts_hold_the_question(texts, question):
    form = form_of([[{"role": "user", "content": text}] for text in texts])
    assert question in form.messages(question)[-1]["content"]
