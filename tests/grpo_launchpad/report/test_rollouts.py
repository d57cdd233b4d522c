import base64
import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from grpo_launchpad.report.page import render
from grpo_launchpad.report.rollouts import GROUPS_A_STEP, collect, shortened, spread
from grpo_launchpad.report.run_folder import read_run
from grpo_launchpad.report.summary import summarize
from tests.run_folders import training


def write(run_folder, step, rows):
    path = run_folder.path / f"rollouts/train/{step}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def row(prompt, group, answer, score=0.0, output="out", **more):
    return {"input": prompt, "output": output, "gts": "g", "score": score, "uid": f"{group}_{answer}_0"} | more


def test_groups_follow_the_uid_and_prompts_are_kept_once(run_folder):
    run_folder.metrics({1: training(), 2: training()})
    write(run_folder, 1, [row("q", "x", 0, 1.0), row("q", "x", 1), row("q", "y", 0), row("r", "z", 0)])
    write(run_folder, 2, [row("q", "w", 0, 1.0)])
    found = collect(read_run(run_folder.path))
    assert (found.step, found.prompt, found.first) == ([1, 1, 1, 2], [0, 0, 1, 0], [0, 2, 3, 4])
    assert found.score == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert found.prompts == ["q", "r"]
    assert list(found.texts) == [0, 1, 2, 3, 4]


def test_lengths_are_tokens_where_all_dumps_have_them(run_folder):
    run_folder.metrics({1: training(), 2: training()})
    run_folder.launch_files(config="data:\n  max_response_length: 8\n")
    write(run_folder, 1, [row("q", "x", 0, response_tokens=8)])
    found = collect(read_run(run_folder.path))
    assert (found.unit, found.limit, found.length) == ("tokens", 8, [8])
    write(run_folder, 2, [row("q", "x", 0)])
    found = collect(read_run(run_folder.path))
    assert (found.unit, found.limit, found.length) == ("characters", None, [3, 3])


def test_only_steps_that_count_are_shown(run_folder):
    run_folder.metrics({1: training()})
    write(run_folder, 1, [row("q", "x", 0)])
    write(run_folder, 2, [row("lost by a resume", "x", 0)])
    assert collect(read_run(run_folder.path)).prompts == ["q"]


def test_texts_that_have_no_room_are_left_out_first_in_the_middle(run_folder):
    run_folder.metrics({step: training() for step in range(1, 10)})
    for step in range(1, 10):
        write(run_folder, step, [row("q", "x", 0, output="z" * 1000, response_tokens=step)])
    found = collect(read_run(run_folder.path), budget=2500)
    assert [found.length[answer] for answer in sorted(found.texts)] == [1, 5, 9]
    assert found.length == list(range(1, 10))
    assert found.steps == 9


def test_of_many_groups_the_worst_and_the_best_have_texts(run_folder):
    run_folder.metrics({1: training()})
    write(run_folder, 1, [row(f"q{group}", f"{group}", 0, float(group)) for group in range(500)])
    found = collect(read_run(run_folder.path))
    assert len(found.texts) == GROUPS_A_STEP
    assert {0, 499} <= found.texts.keys()
    assert len(found.score) == 500


def test_the_page_says_what_is_left_out_and_holds_the_data(run_folder):
    run_folder.metrics({1: training()})
    write(run_folder, 1, [row(f"q{group}", f"{group}", 0, 1.0) for group in range(500)])
    run = read_run(run_folder.path)
    page = render(run, summarize(run))
    assert "500 answers of 1 steps" in page.html
    assert f"{GROUPS_A_STEP} with their text" in page.html
    data = json.loads(gzip.decompress(base64.b64decode(page.data)))
    assert len(data["rollouts"]["texts"]) == GROUPS_A_STEP
    assert data["live"] is None


def test_text_that_compresses_badly_does_not_make_the_page_large(run_folder, monkeypatch):
    import random

    from grpo_launchpad.report import page

    monkeypatch.setattr(page, "LARGEST", 200_000)
    letters = random.Random(0)
    run_folder.metrics({step: training() for step in range(1, 101)})
    for step in range(1, 101):
        output = "".join(chr(letters.randrange(0x4E00, 0x9FFF)) for _ in range(1400))
        write(run_folder, step, [row("q", "x", 0, output=output)])
    run = read_run(run_folder.path)
    assert len(page.render(run, summarize(run)).data) < 200_000


@given(st.integers(0, 300))
def test_spread_is_a_permutation_that_begins_at_the_ends(count):
    order = list(spread(count))
    assert sorted(order) == list(range(count))
    assert order[:2] == [0, count - 1][: min(count, 2)]


@given(st.text(), st.integers(2, 40))
def test_shortened_keeps_both_ends(text, longest):
    short = shortened(text, longest)
    half = longest // 2
    assert short == text or (short.startswith(text[:half]) and short.endswith(text[-half:]))
