import copy
import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from data_prep import geo3k, gsm8k, kk_logic
from data_prep.pipeline import card, command_line

SAMPLES = Path(__file__).resolve().parents[3] / "data_prep" / "samples"


@pytest.fixture(scope="module")
def manifests(tmp_path_factory) -> dict[str, dict]:
    """The manifests of three real data sets: numbers, images, ground truths with parts."""
    folder = tmp_path_factory.mktemp("prepared")
    found = {}
    for data_set in (gsm8k.DATA_SET, geo3k.DATA_SET, kk_logic.DATA_SET):
        out = folder / data_set.name
        command_line.main(data_set, "", ["--source", str(SAMPLES / data_set.name), "--out", str(out)])
        found[data_set.name] = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        assert card.markdown(found[data_set.name]) == (out / card.NAME).read_text(encoding="utf-8")
    return found


@pytest.fixture
def gsm8k_manifest(manifests) -> dict:
    return copy.deepcopy(manifests["gsm8k"])


def tables(text: str) -> list[list[list[str]]]:
    """Return the cells of each table as a reader of Markdown sees them."""
    found: list[list[list[str]]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for before, token in zip(tokens, tokens[1:], strict=False):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif before.type in ("th_open", "td_open"):
            found[-1][-1].append("".join(child.content for child in token.children))
    return found


def blocks(text: str) -> list[str]:
    return [token.content for token in MarkdownIt("commonmark").parse(text) if token.type == "fence"]


@pytest.mark.parametrize("name", ["gsm8k", "geo3k", "kk_logic"])
def test_every_table_line_has_as_many_cells_as_its_head(manifests, name):
    text = card.markdown(manifests[name])
    counts = [line.count(" | ") for line in text.splitlines() if line.startswith("|")]
    assert len(tables(text)) == 3
    for table in tables(text):
        assert {len(line) for line in table} == {len(table[0])}
    assert sum(len(table) + 1 for table in tables(text)) == len(counts)


def test_columns_are_straight_in_a_terminal(manifests):
    lines = card.markdown(manifests["gsm8k"]).splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("| split")]
    for head in heads:
        edges = [[at for at, letter in enumerate(line) if letter == "|"] for line in lines[head : head + 4]]
        assert edges == [edges[0]] * 4


def test_the_card_says_what_went_in_and_came_out(gsm8k_manifest):
    sizes, lengths, answers = tables(card.markdown(gsm8k_manifest))
    source = str(SAMPLES / "gsm8k")
    assert sizes[1:] == [["train", "136", "0", "136", "1", source], ["test", "64", "0", "64", "1", source]]
    assert [line[0] for line in lengths[1:]] == ["train", "test"]
    assert lengths[1][1:6] == [
        f"{gsm8k_manifest['splits']['train']['prompt_length'][key]:,}" for key in ("min", "p50", "p90", "p99", "max")
    ]
    assert answers == [["split", "whole number"], ["train", "136"], ["test", "64"]]


def test_a_commit_is_told_beside_its_repository(gsm8k_manifest):
    gsm8k_manifest["splits"]["train"]["source"] |= {"name": "openai/gsm8k", "revision": "0123456789abcdef" * 2}
    assert "openai/gsm8k at 0123456789ab " in card.markdown(gsm8k_manifest)


@pytest.mark.parametrize("name", ["my|folder", "my folder", "|"])
def test_any_folder_name_is_one_cell_that_shows_it(gsm8k_manifest, name):
    for split in gsm8k_manifest["splits"].values():
        split["source"]["name"] = name
    sizes = tables(card.markdown(gsm8k_manifest))[0]
    assert [line[5] for line in sizes] == ["source", name, name]
    assert {len(line) for line in sizes} == {6}


def test_a_long_prompt_is_cut_and_its_length_told(gsm8k_manifest):
    example = gsm8k_manifest["splits"]["train"]["example"]
    example["prompt"] = "abc " * 5000
    text = card.markdown(gsm8k_manifest)
    assert "... (20,000 characters)" in text
    assert len(blocks(text)[0]) < card.LONGEST_EXAMPLE + 50
    example["prompt"] = "x" * card.LONGEST_EXAMPLE
    assert blocks(card.markdown(gsm8k_manifest))[0] == "x" * card.LONGEST_EXAMPLE + "\n"


def test_a_long_ground_truth_is_cut_as_well(gsm8k_manifest):
    gsm8k_manifest["splits"]["train"]["example"]["ground_truth"] = "x" * 1_000_000
    assert len(card.markdown(gsm8k_manifest)) < 10_000


@pytest.mark.parametrize("prompt", ["# How many?", "~~~~\nHow many?\n~~~~", "```python\n1\n```", "| a | b |"])
def test_an_example_is_shown_as_it_is_and_nothing_else_becomes_part_of_it(gsm8k_manifest, prompt):
    gsm8k_manifest["splits"]["train"]["example"] |= {"prompt": prompt, "ground_truth": "72"}
    assert blocks(card.markdown(gsm8k_manifest)) == [f"{prompt}\n", "72\n"]


def test_a_ground_truth_with_parts_is_shown_part_by_part(manifests):
    truth = blocks(card.markdown(manifests["kk_logic"]))[1]
    assert truth.startswith("solution_text_format:\n(1) ")
    assert "\n\nstatements:\n" in truth


def test_what_was_left_out_and_kept_is_told_with_examples(gsm8k_manifest):
    fault = {"rows": 1234, "indices": [0], "first": ["train.jsonl, row 1: the same problem as test row 7"]}
    gsm8k_manifest["splits"]["train"]["left_out"] = {"overlap": fault}
    gsm8k_manifest["splits"]["test"]["kept"] = {"long": fault | {"rows": 2, "first": ["test.jsonl, row 9: 700 tokens"]}}
    text = card.markdown(gsm8k_manifest)
    assert "- train, overlap: 1,234 left out\n  - train.jsonl, row 1: the same problem as test row 7\n" in text
    assert "- test, long: 2 kept\n  - test.jsonl, row 9: 700 tokens\n" in text


def test_only_a_training_split_without_held_out_problems_says_so(gsm8k_manifest):
    line = "- train: there was no held-out split to compare it with\n"
    assert line not in card.markdown(gsm8k_manifest)
    gsm8k_manifest["splits"]["train"]["compared_with_held_out_problems"] = 0
    assert card.markdown(gsm8k_manifest).count(line) == 1
    del gsm8k_manifest["splits"]["train"]
    assert line not in card.markdown(gsm8k_manifest)


def test_each_split_tells_what_its_lengths_are_counted_in(gsm8k_manifest):
    """Two runs with --split may have named different tokenizers, or none."""
    gsm8k_manifest["splits"]["test"]["prompt_length"] |= {"unit": "tokens", "tokenizer": "Qwen/Qwen2-7B"}
    _, lengths, _ = tables(card.markdown(gsm8k_manifest))
    assert [line[-1] for line in lengths] == [
        "counted in",
        "characters; tokens with --tokenizer",
        "tokens of Qwen/Qwen2-7B",
    ]


def test_lengths_of_different_units_are_not_in_one_picture(gsm8k_manifest, tmp_path):
    card.write(gsm8k_manifest, tmp_path)
    both = (tmp_path / card.PICTURE).read_text(encoding="utf-8")
    gsm8k_manifest["splits"]["test"]["prompt_length"] |= {"unit": "tokens", "tokenizer": "Qwen/Qwen2-7B"}
    card.write(gsm8k_manifest, tmp_path)
    one = (tmp_path / card.PICTURE).read_text(encoding="utf-8")
    assert ("test: 64 prompts" in both, "test: 64 prompts" in one) == (True, False)
    assert "prompt length in characters" in one


def test_write_leaves_the_card_and_the_picture_that_it_shows(gsm8k_manifest, tmp_path):
    text = card.write(gsm8k_manifest, tmp_path)
    assert (tmp_path / card.NAME).read_text(encoding="utf-8") == text
    assert f"]({card.PICTURE})" in text
    picture = (tmp_path / card.PICTURE).read_bytes()
    card.write(gsm8k_manifest, tmp_path)
    assert (tmp_path / card.PICTURE).read_bytes() == picture
