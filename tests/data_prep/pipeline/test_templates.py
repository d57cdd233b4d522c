from importlib import import_module

import pytest

from data_prep import custom
from data_prep.pipeline import sources
from data_prep.pipeline.records import pieces, read
from data_prep.pipeline.templates import PLAIN, TEMPLATES
from reward_score import compute_score
from reward_score.data_sources import SCORERS, TASKS

ROWS = 20
NAMES = sorted(path.name for path in sources.SAMPLES.iterdir())
CASES = [
    (name, split, template)
    for name in NAMES
    for split in import_module(f"data_prep.{name}").DATA_SET.splits
    for template in import_module(f"data_prep.{name}").DATA_SET.templates
]
BY_TASK = {task: source for source, task in SCORERS.items()}


def truths_of(name: str, split) -> list:
    data_set = import_module(f"data_prep.{name}").DATA_SET
    (file,) = sources.find(data_set, split, str(sources.SAMPLES / name)).files
    records = [record for piece in pieces(file, 1000) for _, record in read(piece)]
    return [data_set.to_problem(record).ground_truth for record in records[:ROWS]]


def gold_and_wrong(truths: list) -> list[tuple[object, str, str]]:
    """Return (ground truth, its answer, a wrong answer); the wrong one is that of another row where that is a text."""
    if isinstance(truths[0], dict):
        answers = [truth["solution_text_format"] for truth in truths]
        swapped = [each.replace("knight", "?").replace("knave", "knight").replace("?", "knave") for each in answers]
        return list(zip(truths, answers, swapped, strict=True))
    return [(truth, truth, next(other for other in truths if other != truth)) for truth in truths]


@pytest.mark.parametrize(("name", "split", "template"), CASES, ids=[f"{n}-{s.name}-{t}" for n, s, t in CASES])
def test_the_scorer_reads_real_answers_in_the_form_that_is_asked_for(name, split, template):
    boxed = import_module(f"data_prep.{name}").DATA_SET.boxed
    rows = gold_and_wrong(truths_of(name, split))
    scores = [
        [compute_score(split.data_source, TEMPLATES[template].respond(each, boxed), truth)["acc"] for each in answers]
        for truth, *answers in rows
    ]
    assert scores == [[1.0, 0.0]] * len(rows)


@pytest.mark.parametrize(
    "task", [task for task, template in custom.TEMPLATE_OF.items() if template and task not in custom.TRUTH_FIELDS]
)
def test_the_template_for_data_of_ones_own_is_one_that_the_scorer_reads(task):
    template, gold = TEMPLATES[custom.TEMPLATE_OF[task]], TASKS[task].example
    wrong = "C" if task == "multiple_choice" else "1234567"
    for answer, expected in ((gold, 1.0), (wrong, 0.0)):
        response = template.respond(answer, boxed=task in custom.BOXED_TASKS)
        assert compute_score(BY_TASK[task], response, gold)["acc"] == expected


def test_an_answer_with_a_per_cent_sign_is_only_filled_in():
    assert TEMPLATES["boxed"].respond(r"50\%", boxed=True).endswith(r"\boxed{50\%}")
    assert "%s%d" in TEMPLATES["think"].respond("%s%d", boxed=False)


def test_a_box_between_tags_is_asked_for_exactly_where_the_scorer_wants_one():
    for template in TEMPLATES.values():
        for boxed in (False, True):
            (content,) = [m["content"] for m in template.messages("Q", boxed, None) if m["role"] == "user"]
            asked = "boxed" in content
            assert asked == ("boxed" in template.respond("7", boxed))


def test_hash_and_boxed_are_the_words_of_verl():
    question = "How many?"
    assert TEMPLATES["hash"].messages(question, False, None) == [
        {"role": "user", "content": 'How many? Let\'s think step by step and output the final answer after "####".'}
    ]
    assert TEMPLATES["boxed"].messages(question, True, None) == [
        {
            "role": "user",
            "content": r"How many? Let's think step by step and output the final answer within \boxed{}.",
        }
    ]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_system_prompt_is_the_templates_the_users_or_none(name):
    template = TEMPLATES[name]
    own = [{"role": "system", "content": template.system}] if template.system else []
    user = template.messages("Q", False, None)[-1]
    assert user["role"] == "user"
    assert template.messages("Q", False, None) == [*own, user]
    assert template.messages("Q", False, "Be brief.") == [{"role": "system", "content": "Be brief."}, user]
    assert template.messages("Q", False, "") == [user]


def test_without_a_template_question_and_answer_stand_alone():
    assert PLAIN.messages("1+1=", False, None) == [{"role": "user", "content": "1+1="}]
    assert PLAIN.messages("1+1=", True, None) == [{"role": "user", "content": "1+1="}]
    assert PLAIN.respond("2", True) == "2"
