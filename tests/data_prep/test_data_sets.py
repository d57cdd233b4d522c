import importlib
import io
import json
import random
import subprocess
import sys
from fnmatch import fnmatch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.pipeline import sources
from data_prep.pipeline.data_set import REASONS, DataSet
from grpo_launchpad.hubs import HubError
from reward_score import SCORERS, compute_score
from reward_score.self_test import Row, self_test
from tests.data_prep.scripts import (
    ROOT,
    SAMPLES,
    contents,
    manifest,
    prepare,
    prepared,
    problem,
    refused,
    rows,
    script,
    write_lines,
)
from tests.full_data import FULL_DATA, needs

SCRIPTS = sorted(path.stem for path in (ROOT / "data_prep").glob("[a-z]*.py"))
NAMES = [name for name in SCRIPTS if name != "custom"]
ALL_OF_MATH = ("math/train.jsonl", "math/test.jsonl")
OTHERS = ("math500/test.jsonl", "aime24/test.jsonl", "aime25/test.jsonl", "amc23/test.json")
ALL_PUZZLES = ("kk_logic/3ppl_train.parquet", "kk_logic/3ppl_test.parquet")

BOXED = r"Let's think step by step and output the final answer within \boxed{}."
THINK = (
    "Reason first, then answer. Write the reasoning within <think> </think> and the final answer within "
    "<answer> </answer>:\n<think>\n...\n</think>\n<answer>\n...\n</answer>"
)
# Around each of DAPO's prompts, as ByteDance published them.
BEFORE = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.\n\n"
)
BEHIND = '\n\nRemember to put your answer on its own line after "Answer:".'


def data_set(name: str) -> DataSet:
    return importlib.import_module(f"data_prep.{name}").DATA_SET


def bytedance(question: str, answer: str) -> dict:
    """A record of DAPO-Math-17k."""
    return {
        "data_source": "math_dapo",
        "prompt": [{"content": f"{BEFORE}{question}{BEHIND}", "role": "user"}],
        "ability": "MATH",
        "reward_model": {"ground_truth": answer, "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": "9a9b6eb4-a1cb-49d1-8c1e-62eaf2f74079"},
    }


def png(colour: str = "red") -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(picture, "png")
    return picture.getvalue()


@pytest.fixture(scope="module")
def sample_of(tmp_path_factory):
    """Give the source of a data set that comes with the project; for DAPO, which has none, rows made here."""
    made = tmp_path_factory.mktemp("dapo")
    records = [bytedance(f"What is ${number}+{number}$?", str(2 * number)) for number in range(20)]
    pq.write_table(pa.Table.from_pylist(records), made / "train.parquet")
    return lambda name: made if name == "dapo_math" else SAMPLES / name


@pytest.fixture(scope="module")
def output_of(tmp_path_factory, sample_of):
    """Prepare a data set's sample once."""
    done = {}

    def of(name):
        if name not in done:
            done[name] = tmp_path_factory.mktemp(name) / "out"
            source = () if data_set(name).generate else ("--source", sample_of(name))
            prepared(name, *source, "--out", done[name])
        return done[name]

    return of


@pytest.mark.parametrize("name", NAMES)
def test_no_row_of_a_sample_is_lost(name, output_of, sample_of):
    for split in data_set(name).splits:
        found = rows(output_of(name), split.name)
        lines = sample_of(name) / f"{split.name}.jsonl"
        expected = len(lines.read_text().splitlines()) if lines.is_file() else {"dapo_math": 20}.get(name, 256)
        assert len(found) == (10_000 - 256 if (name, split.name) == ("arithmetic", "train") else expected)
        assert [row["extra_info"]["index"] for row in found] == list(range(len(found)))
        assert {row["extra_info"]["split"] for row in found} == {split.name}


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_holds_the_splits_their_manifest_and_their_card(name, output_of):
    splits = [f"{split.name}.parquet" for split in data_set(name).splits]
    assert sorted(contents(output_of(name))) == sorted([*splits, "card.md", "manifest.json", "prompt_lengths.svg"])


@pytest.mark.parametrize("name", [name for name in NAMES if len(data_set(name).splits) > 1])
def test_all_splits_have_the_same_columns(name, output_of):
    first, *others = (pq.read_schema(output_of(name) / f"{split.name}.parquet") for split in data_set(name).splits)
    assert all(other.equals(first, check_metadata=True) for other in others)


@pytest.mark.parametrize("name", NAMES)
def test_a_few_rows_have_the_same_columns_as_all(name, output_of, sample_of, tmp_path):
    source = () if data_set(name).generate else ("--source", sample_of(name))
    prepared(name, *source, "--limit", 1, "--out", tmp_path)
    for file in tmp_path.glob("*.parquet"):
        assert pq.read_schema(file).equals(pq.read_schema(output_of(name) / file.name))


@pytest.mark.parametrize("name", NAMES)
def test_the_reward_knows_every_answer_of_a_sample(name, output_of):
    for split in data_set(name).splits:
        found = rows(output_of(name), split.name)
        assert {row["data_source"] for row in found} <= set(SCORERS)
        golds = [
            Row(number, row["data_source"], row["reward_model"]["ground_truth"]) for number, row in enumerate(found)
        ]
        result = self_test(golds)
        assert result.failures == []
        assert result.tested == (0 if name == "smoltldr" else len(found))


# A record as it is published, and where: repository's file -> the row that verl reads.
PUBLISHED = {
    "aime": (
        "aime24",
        "data/train-00000-of-00001.parquet",
        {
            "id": 60,
            "problem": "Find $x$.",
            "solution": "It is 25.",
            "answer": "025",
            "url": "https://x",
            "year": "2024",
        },
        {
            "data_source": "aime24",
            "prompt": [{"role": "user", "content": f"Find $x$. {BOXED}"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "25"},
            "extra_info": {"split": "aime24", "index": 0},
        },
    ),
    "amc": (
        "test",
        "data/train-00000-of-00001.parquet",
        {"id": 0, "problem": "Find $x$.", "answer": 142.0, "url": "https://x"},
        {
            "data_source": "amc23",
            "prompt": [{"role": "user", "content": f"Find $x$. {BOXED}"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "142"},
            "extra_info": {"split": "test", "index": 0},
        },
    ),
    "dapo_math": (
        "train",
        "data/dapo-math-17k.parquet",
        bytedance("Find $x$.", "-34"),
        {
            "data_source": "math_dapo",
            "prompt": [{"role": "user", "content": f"Find $x$. {BOXED}"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "-34"},
            "extra_info": {"split": "train", "index": 0},
        },
    ),
    "geo3k": (
        "test",
        "data/test-00000-of-00001.parquet",
        {"images": [{"bytes": png(), "path": None}], "problem": "<image>Find x.", "answer": r"\frac { 1 } { 2 }"},
        {
            "data_source": "hiyouga/geometry3k",
            "prompt": [
                {"role": "system", "content": THINK},
                {
                    "role": "user",
                    "content": r"<image>Find x. Put the final answer between the tags within \boxed{}.",
                },
            ],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": r"\frac { 1 } { 2 }"},
            "extra_info": {
                "split": "test",
                "index": 0,
                "question": "<image>Find x.",
                "answer": r"\frac { 1 } { 2 }",
            },
            "images": [{"bytes": png(), "path": None}],
        },
    ),
    "gsm8k": (
        "train",
        "main/train-00000-of-00001.parquet",
        {"question": "How many?", "answer": "A few.\n#### 1,003"},
        {
            "data_source": "openai/gsm8k",
            "prompt": [
                {
                    "role": "user",
                    "content": 'How many? Let\'s think step by step and output the final answer after "####".',
                }
            ],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": "1003"},
            "extra_info": {"split": "train", "index": 0, "question": "How many?", "answer": "A few.\n#### 1,003"},
        },
    ),
    "kk_logic": (
        "test",
        "test/people3_num100.jsonl",
        {
            "quiz": "Who is a knight?",
            "names": ["Zoey", "Ethan", "Ava"],
            "solution": [True, False, True],
            "solution_text_format": "(1) Zoey is a knight\n(2) Ethan is a knave\n(3) Ava is a knight",
            "statements": "(('lying', 1),)",
            "index": 7,
        },
        {
            "data_source": "kk_logic",
            "prompt": [{"role": "system", "content": THINK}, {"role": "user", "content": "Who is a knight?"}],
            "ability": "logic",
            "reward_model": {
                "style": "rule",
                "ground_truth": {
                    "solution_text_format": "(1) Zoey is a knight\n(2) Ethan is a knave\n(3) Ava is a knight",
                    "statements": "(('lying', 1),)",
                },
            },
            "extra_info": {"split": "test", "index": 0, "inhabitants": 3},
        },
    ),
    "math": (
        "train",
        "data/train-00000-of-00001.parquet",
        {
            "problem": "Find $x$.",
            "level": "Level ?",
            "type": "Geometry",
            "solution": r"First $\boxed{1}$, then $\boxed{\frac{1}{2}}$.",
        },
        {
            "data_source": "DigitalLearningGmbH/MATH-lighteval",
            "prompt": [{"role": "user", "content": f"Find $x$. {BOXED}"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": r"\frac{1}{2}"},
            "extra_info": {"split": "train", "index": 0, "level": "Level ?", "type": "Geometry"},
        },
    ),
    "math500": (
        "test",
        "test.jsonl",
        {
            "problem": "Find $x$.",
            "solution": "Easy.",
            "answer": r"\text{Evelyn}",
            "subject": "Algebra",
            "level": 2,
            "unique_id": "test/algebra/1.json",
        },
        {
            "data_source": "HuggingFaceH4/MATH-500",
            "prompt": [{"role": "user", "content": f"Find $x$. {BOXED}"}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": r"\text{Evelyn}"},
            "extra_info": {"split": "test", "index": 0, "subject": "Algebra", "level": "2"},
        },
    ),
    "smoltldr": (
        "train",
        "data/train-00000-of-00001.parquet",
        {"prompt": "SUBREDDIT: r/x\n\nPOST: Long.\n\nTL;DR:", "completion": " Short."},
        {
            "data_source": "mlabonne/smoltldr",
            "prompt": [{"role": "user", "content": "SUBREDDIT: r/x\n\nPOST: Long.\n\nTL;DR:"}],
            "ability": "summarization",
            "reward_model": {"style": "rule", "ground_truth": "Short."},
            "extra_info": {"split": "train", "index": 0},
        },
    ),
}


class Hub:
    """A hub with these files, each of one record; a download brings those that are wanted, as the real hubs do."""

    def __init__(self, folder, **repositories):
        self.folder, self.repositories = folder, repositories

    def __call__(self, repository, *, kind, wanted):
        assert kind == "dataset"
        if repository not in self.repositories:
            raise HubError("no such repository")
        for name, record in self.repositories[repository].items():
            if any(fnmatch(name, pattern) for pattern in wanted):
                file = self.folder / repository / name
                file.parent.mkdir(parents=True, exist_ok=True)
                if file.suffix == ".jsonl":
                    write_lines(file, [record])
                else:
                    pq.write_table(pa.Table.from_pylist([record]), file)
        return self.folder / repository


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_record_becomes_the_row_that_verl_reads(name, tmp_path, monkeypatch):
    split, file, record, row = PUBLISHED[name]
    (repository,) = {part.hugging_face for part in data_set(name).splits if part.name == split}
    monkeypatch.setattr(sources, "RAW", tmp_path / "raw")
    monkeypatch.setattr(sources, "from_hugging_face", Hub(tmp_path / "hub", **{repository: {file: record}}))
    prepared(name, "--split", split, "--out", tmp_path / "out")
    assert rows(tmp_path / "out", split) == [row]


def test_every_data_set_that_is_read_has_a_published_record_above():
    assert set(PUBLISHED) == set(NAMES) - {"arithmetic"}


def test_of_several_configurations_on_a_hub_the_right_one_is_read(tmp_path, monkeypatch):
    socratic = problem(2) | {"answer": "How? Like this.\n#### 0"}
    puzzle = PUBLISHED["kk_logic"][2]
    hub = Hub(
        tmp_path / "hub",
        **{
            "openai/gsm8k": {"main/train-0.parquet": problem(2), "socratic/train-0.parquet": socratic},
            "K-and-K/knights-and-knaves": {
                "train/people2_num200.jsonl": puzzle | {"quiz": "Two?"},
                "train/people3_num1000.jsonl": puzzle,
                "train/perturbed_statement/people3_num1000.jsonl": puzzle | {"quiz": "Other?"},
            },
        },
    )
    monkeypatch.setattr(sources, "RAW", tmp_path / "raw")
    monkeypatch.setattr(sources, "from_hugging_face", hub)
    prepared("gsm8k", "--split", "train", "--out", tmp_path / "gsm8k")
    assert [row["reward_model"]["ground_truth"] for row in rows(tmp_path / "gsm8k")] == ["4"]
    prepared("kk_logic", "--split", "train", "--out", tmp_path / "kk_logic")
    assert [row["prompt"][-1]["content"] for row in rows(tmp_path / "kk_logic")] == ["Who is a knight?"]


ASKS = {"hash": "####", "boxed": r"\boxed{}", "think": "<think>", "reasoning": "<reasoning>"}
# What a model that does as it is told responds.
RESPONSES = {
    "hash": "Because.\n#### {}",
    "boxed": r"Because. It is \boxed{{{}}}",
    "think": "<think>\nBecause.\n</think>\n<answer>\n{}\n</answer>",
    "reasoning": "<reasoning>\nBecause.\n</reasoning>\n<answer>\n{}\n</answer>",
}


@pytest.mark.parametrize(("name", "template"), [(name, each) for name in NAMES for each in data_set(name).templates])
def test_who_answers_as_the_template_asks_gets_full_marks(name, template, sample_of, tmp_path):
    prepared(name, "--source", sample_of(name), "--template", template, "--out", tmp_path)
    for split in data_set(name).splits:
        for row in rows(tmp_path, split.name):
            asked = "\n".join(message["content"] for message in row["prompt"])
            assert ASKS[template] in asked
            truth = row["reward_model"]["ground_truth"]
            answer = truth["solution_text_format"] if isinstance(truth, dict) else truth
            if template in ("think", "reasoning") and ASKS["boxed"] in asked:
                answer = rf"\boxed{{{answer}}}"
            response = RESPONSES[template].format(answer)
            assert compute_score(row["data_source"], response, truth)["acc"] == 1.0, (response, truth)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_that_is_not_offered_is_refused(name, sample_of, tmp_path):
    options = ["--template", "tags", "--out", tmp_path / "out"]
    refused(prepare(name, *([] if data_set(name).generate else ["--source", sample_of(name)]), *options), "--template")


@pytest.mark.parametrize(
    ("options", "system"),
    [
        ((), [ASKS["think"]]),
        (("--system-prompt", "Be brief."), ["Be brief."]),
        (("--system-prompt", ""), []),
    ],
)
def test_the_system_prompt_is_the_templates_unless_another_is_given(tmp_path, options, system):
    prepared("gsm8k", "--source", SAMPLES / "gsm8k", "--limit", 1, "--template", "think", *options, "--out", tmp_path)
    messages = rows(tmp_path)[0]["prompt"]
    assert [message["role"] for message in messages] == ["system"] * len(system) + ["user"]
    assert all(text in message["content"] for text, message in zip(system, messages, strict=False))


def test_without_templates_there_is_no_such_option(tmp_path):
    refused(prepare("smoltldr", "--source", SAMPLES / "smoltldr", "--template", "boxed"), "--template")


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_tells_the_options_and_what_they_do(name, tmp_path):
    done = script(name, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    options = ["--out", "--split", "--limit", "--system-prompt", "--tokenizer", "--max-prompt-tokens", "--seed"]
    options += ["--drop", "--keep", "--engine", "--force", *REASONS]
    if name != "arithmetic":
        options.append("--source")
    if name not in ("arithmetic", "smoltldr"):
        options.append("--template")
    if name == "custom":
        options += ["--name", "--data-source", "--question-column", "--answer-column", "--answer-in", "--holdout"]
    assert [option for option in options if option not in done.stdout] == []
    assert f"python data_prep/{name}.py" in done.stdout


@pytest.mark.parametrize(("inside", "safe_path"), [(False, ""), (True, ""), (True, "1")])
def test_a_script_with_the_name_of_a_python_module_runs(tmp_path, inside, safe_path):
    """data_prep/math.py, and whatever stands beside it, must not hide Python's own modules."""
    folder = ROOT / "data_prep" if inside else tmp_path
    command = [sys.executable, "math.py" if inside else ROOT / "data_prep" / "math.py", "--out", tmp_path / "out"]
    command += ["--source", SAMPLES / "math", "--limit", "5"]
    environment = {"PYTHONSAFEPATH": safe_path, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "out")) == 5


@needs(*ALL_OF_MATH)
def test_all_of_math_but_its_known_faults(tmp_path):
    prepared("math", "--source", FULL_DATA / "math", "--out", tmp_path)
    splits = manifest(tmp_path)["splits"]
    assert {name: (split["rows_in"], split["rows_out"]) for name, split in splits.items()} == {
        "train": (7500, 7494),
        "test": (5000, 4998),
    }
    left_out = {reason: found["indices"] for reason, found in splits["train"]["left_out"].items()}
    assert left_out == {"gold": [4253, 5341, 5343, 5446], "duplicate": [959], "overlap": [2948]}
    indices = [row["extra_info"]["index"] for row in rows(tmp_path)]
    assert indices == sorted(set(range(7500)) - {4253, 5341, 5343, 5446, 959, 2948})
    assert {reason: found["indices"] for reason, found in splits["test"]["left_out"].items()} == {"gold": [2716, 2912]}
    truths = [row["reward_model"]["ground_truth"] for row in rows(tmp_path) if row["extra_info"]["index"] == 3997]
    assert truths == ["1, 9"]  # two boxes


@needs(*ALL_OF_MATH)
@pytest.mark.parametrize("limit", [959, 960])
def test_a_limit_does_not_make_a_known_fault_of_math_an_unknown_one(tmp_path, limit):
    prepared("math", "--source", FULL_DATA / "math", "--limit", limit, "--split", "train", "--out", tmp_path)
    assert len(rows(tmp_path)) == limit - (limit > 959)


@needs(*OTHERS)
def test_the_other_full_data_sets(tmp_path):
    prepared("math500", "--source", FULL_DATA / "math500", "--out", tmp_path / "math500")
    assert len(rows(tmp_path / "math500", "test")) == 500
    for year in ("aime24", "aime25"):
        prepared("aime", "--source", FULL_DATA / year / "test.jsonl", "--split", year, "--out", tmp_path / "aime")
    assert sorted(manifest(tmp_path / "aime")["splits"]) == ["aime24", "aime25"]
    for year in ("aime24", "aime25"):
        golds = [row["reward_model"]["ground_truth"] for row in rows(tmp_path / "aime", year)]
        assert len(golds) == 30
        assert all(0 <= int(gold) <= 999 and gold == str(int(gold)) for gold in golds)
    prepared("amc", "--source", FULL_DATA / "amc23", "--out", tmp_path / "amc")
    golds = [row["reward_model"]["ground_truth"] for row in rows(tmp_path / "amc", "test")]
    raw = [record["answer"] for record in json.loads((FULL_DATA / "amc23" / "test.json").read_text())]
    assert len(golds) == 83
    assert golds == [str(int(answer)) for answer in raw]


@needs(*ALL_PUZZLES)
def test_all_puzzles_of_knights_and_knaves(tmp_path):
    for split, count in (("train", 900), ("test", 100)):
        file = FULL_DATA / "kk_logic" / f"3ppl_{split}.parquet"
        prepared("kk_logic", "--source", file, "--split", split, "--out", tmp_path)
        published = pq.read_table(file).to_pylist()
        found = rows(tmp_path, split)
        assert len(found) == count
        assert [row["prompt"][-1]["content"] for row in found] == [record["quiz"] for record in published]
        truths = [record["reward_model"]["ground_truth"] for record in published]
        assert [row["reward_model"]["ground_truth"] for row in found] == truths
        assert {row["extra_info"]["inhabitants"] for row in found} == {3}


def test_each_problem_of_dapo_is_kept_once_without_its_wrapper(tmp_path):
    questions = [f"What is ${number}+{number}$?" for number in range(30)]
    records = [bytedance(question, str(2 * number)) for number, question in enumerate(questions)] * 20
    random.Random(5).shuffle(records)
    file = tmp_path / "source" / "data" / "dapo-math-17k.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(records), file, row_group_size=70)
    done = prepared("dapo_math", "--source", tmp_path / "source", "--out", tmp_path)
    split = manifest(tmp_path)["splits"]["train"]
    assert (split["rows_in"], split["rows_out"]) == (600, 30)
    assert split["left_out"]["duplicate"]["rows"] == 570
    assert "570 left out" in done.stdout

    first = {record["prompt"][0]["content"]: index for index, record in reversed(list(enumerate(records)))}
    assert [row["extra_info"]["index"] for row in rows(tmp_path)] == sorted(first.values())
    assert {row["prompt"][0]["content"] for row in rows(tmp_path)} == {f"{question} {BOXED}" for question in questions}
    for row in rows(tmp_path):
        truth = records[row["extra_info"]["index"]]["reward_model"]["ground_truth"]
        assert row["reward_model"]["ground_truth"] == truth
    assert sum(split["answer_types"].values()) == 30
    assert sum(count for _, count in split["prompt_length"]["histogram"]) == 30


def test_dapo_is_read_without_a_wrapper_as_well(tmp_path):
    record = {"prompt": "Find $x$.", "reward_model": {"ground_truth": "3", "style": "rule"}}
    write_lines(tmp_path / "train.jsonl", [record, bytedance("Find $y$.", "4")])
    prepared("dapo_math", "--source", tmp_path, "--out", tmp_path / "out")
    asked = [row["prompt"][0]["content"] for row in rows(tmp_path / "out")]
    assert asked == [f"Find $x$. {BOXED}", f"Find $y$. {BOXED}"]


def test_a_wrapper_around_nothing_is_an_empty_problem(tmp_path):
    write_lines(tmp_path / "train.jsonl", [bytedance("Find $x$.", "3"), bytedance("", "4")])
    refused(prepare("dapo_math", "--source", tmp_path, "--out", tmp_path / "out"), "row 2", "empty")


@pytest.mark.parametrize("prompt", [[], ["Find x."], [{"role": "user", "content": None}], None, 7, ""])
def test_a_prompt_of_dapo_in_another_form_is_named(tmp_path, prompt):
    write_lines(tmp_path / "train.jsonl", [bytedance("Find $x$.", "3"), bytedance("", "4") | {"prompt": prompt}])
    done = prepare("dapo_math", "--source", tmp_path, "--out", tmp_path / "out")
    refused(done, f"{tmp_path / 'train.jsonl'}, row 2", "column '")


@pytest.mark.parametrize("answer", ["1000", "-1", "12.5", "x", 3.5, "٣", "1,5"])
def test_an_answer_that_aime_cannot_have_is_named(tmp_path, answer):
    write_lines(tmp_path / "aime24.jsonl", [{"problem": "p", "answer": 7}, {"problem": "q", "answer": answer}])
    done = prepare("aime", "--source", tmp_path, "--split", "aime24", "--out", tmp_path / "out")
    refused(done, f"{tmp_path / 'aime24.jsonl'}, row 2", "column 'answer'", "0 to 999", "--drop gold")


@pytest.mark.parametrize(
    ("solution", "what"), [("It is 7.", "no box"), (r"\boxed{}", "an empty box"), (r"\boxed{7", "no box")]
)
def test_more_math_solutions_without_an_answer_than_are_known_are_named(tmp_path, solution, what):
    good = {"problem": "p", "solution": r"$\boxed{1}$", "level": "Level 1", "type": "Algebra"}
    bad = [good | {"problem": f"q{number}", "solution": solution} for number in range(3)]
    write_lines(tmp_path / "test.jsonl", [good, *bad])
    done = prepare("math", "--source", tmp_path, "--split", "test", "--out", tmp_path / "out")
    refused(done, f"{tmp_path / 'test.jsonl'}, row 2", "column 'solution'", what, "--drop gold")
