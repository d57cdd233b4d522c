import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.pipeline.data_set import DataError
from data_prep.pipeline.prompt_lengths import as_the_model_sees_it, load_tokenizer, prompt_lengths, summary
from data_prep.pipeline.templates import TEMPLATES
from grpo_launchpad import tiny_model
from grpo_launchpad.byte_tokenizer import build_byte_tokenizer

SAMPLE = Path(__file__).resolve().parents[3] / "data_prep" / "samples" / "gsm8k" / "train.jsonl"
QUESTIONS = [json.loads(line)["question"] for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
HARD = ["", " ", "\n\n", "漢字 😀 é", "<|im_end|>", "a" * 3000, "1,234.50", "{{ messages }}", "</s>"]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_bytes_tokenizer(folder: Path, chat_template: str | None) -> str:
    build_byte_tokenizer(chat_template, max_length=64).save_pretrained(folder)
    return str(folder)


def save_bpe_tokenizer(folder: Path) -> str:
    """A tokenizer that begins every text with <s>, as Llama's does, also where the template has written one already."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    specials = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        QUESTIONS, trainers.BpeTrainer(vocab_size=600, special_tokens=specials, initial_alphabet=alphabet)
    )
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = "{{ bos_token }}" + CHATML
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("my tokenizers")
    return {
        "bytes": save_bytes_tokenizer(folder / "bytes", tiny_model.CHAT_TEMPLATE),
        "bpe": save_bpe_tokenizer(folder / "bpe"),
    }


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_lengths_are_those_that_the_model_will_see(tokenizers, kind):
    tokenizer = load_tokenizer(tokenizers[kind])
    prompts = [
        template.messages(question, False, system)
        for template in TEMPLATES.values()
        for system in (None, "Be brief.")
        for question in QUESTIONS[:10] + HARD
    ]
    expected = [
        len(tokenizer.apply_chat_template(prompt, tokenize=True, add_generation_prompt=True, return_dict=False))
        for prompt in prompts
    ]
    assert prompt_lengths(prompts, tokenizers[kind]) == expected
    assert len(set(expected)) > 50


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_no_prompts_have_no_lengths(tokenizers, kind):
    """A batch of which every row was left out, or none repeats another, asks for that."""
    assert prompt_lengths([], tokenizers[kind]) == []
    assert prompt_lengths([], None) == []


def test_without_a_tokenizer_lengths_are_characters_of_all_messages():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "漢字?"}]
    assert prompt_lengths([messages, messages[1:]], None) == [12, 3]
    assert as_the_model_sees_it(messages, None) == "system: Be brief.\nuser: 漢字?"


def test_a_prompt_is_shown_with_the_chat_templates_marks(tokenizers):
    shown = as_the_model_sees_it([{"role": "user", "content": "How many?"}], tokenizers["bpe"])
    assert shown == "<s><|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n"


def test_a_tokenizer_without_a_chat_template_is_refused(tmp_path):
    name = save_bytes_tokenizer(tmp_path / "base", None)
    with pytest.raises(DataError) as caught:
        load_tokenizer(name)
    assert str(caught.value).startswith(f"--tokenizer {name}: has no chat template.")


def test_a_chat_template_that_refuses_the_prompt_is_the_users_mistake(tmp_path):
    """Gemma's templates take no system prompt, and the template "think" has one."""
    refusal = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    name = save_bytes_tokenizer(tmp_path / "gemma", refusal + CHATML)
    assert prompt_lengths([TEMPLATES["hash"].messages("How many?", False, None)], name)[0] > 0
    with pytest.raises(DataError) as caught:
        prompt_lengths([TEMPLATES["think"].messages("How many?", False, None)], name)
    assert str(caught.value).startswith(f"--tokenizer {name}: ")
    assert "System role not supported" in str(caught.value)


def test_a_broken_chat_template_is_the_users_mistake(tmp_path):
    name = save_bytes_tokenizer(tmp_path / "broken", "{% if %}")
    with pytest.raises(DataError, match="--tokenizer .*broken: "):
        prompt_lengths([[{"role": "user", "content": "How many?"}]], name)


DAMAGED = {
    "cut short": '{"ver',
    "a Git LFS pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    "without a vocabulary": '{"version": "1.0", "added_tokens": []}',
    "of a newer kind": '{"version": "1.0", "added_tokens": [], "model": {"type": "Telepathy"}}',
}


@pytest.mark.parametrize("case", DAMAGED)
@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_a_damaged_tokenizer_is_the_users_mistake(tmp_path, tokenizers, kind, case):
    folder = shutil.copytree(tokenizers[kind], tmp_path / "damaged")
    (folder / "tokenizer.json").write_text(DAMAGED[case])
    with pytest.raises(DataError, match="--tokenizer .*damaged: .* Give a folder or a hub's owner/name"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize("name", ["/no/such/folder", "no such name", "", "a/b/c"])
def test_a_tokenizer_that_is_nowhere_is_the_users_mistake(name, monkeypatch):
    with pytest.raises(DataError) as caught:
        load_tokenizer(name)
    assert str(caught.value).startswith(f"--tokenizer {name}: ")
    assert "\n" not in str(caught.value)


@given(st.dictionaries(st.integers(0, 10_000), st.integers(1, 50), min_size=1, max_size=30))
def test_quantiles_are_those_of_numpy(counts):
    lengths = Counter(counts)
    rows = sorted(lengths.elements())
    expected = {"min": rows[0], "max": rows[-1]}
    for name, quantile in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        expected[name] = int(np.quantile(rows, quantile, method="inverted_cdf"))
    assert summary(lengths) == expected


def test_a_single_length_is_all_there_is_to_say():
    assert summary(Counter({7: 1000})) == dict.fromkeys(("min", "p50", "p90", "p99", "max"), 7)


def test_a_summary_lists_lengths_from_the_shortest_to_the_longest():
    assert list(summary(Counter(range(1000)))) == ["min", "p50", "p90", "p99", "max"]
