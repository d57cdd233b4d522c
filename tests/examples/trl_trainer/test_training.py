"""Real updates of a tiny model: rewards, loss, adapter and reference."""

import re
import sys
from pathlib import Path

import gsm8k
import pytest
import smoltldr
import torch
from options import exit_with_message, parse
from peft import PeftModel
from prompts import data_folder, without_long_prompts
from trainer import checkpoint_to_resume, make_trainer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOTrainer

SMALL = {
    "num_generations": 2,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "max_completion_length": 8,
    "max_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "warmup_steps": 0,
    "use_cpu": True,
    "bf16": False,
}


@pytest.fixture
def make(tiny_model, sample, tmp_path):
    """Return a trainer of a script with the tiny model and the project's rows."""

    def make(script, **settings) -> GRPOTrainer:
        small = SMALL | {"model_name_or_path": str(tiny_model), "output_dir": str(tmp_path / "out")} | settings
        options, args, model_args = parse("", script.SETTINGS | small, [])
        options.data = str(sample(script.__name__))
        read, rewards = {
            gsm8k: (gsm8k.read_problems, gsm8k.REWARDS),
            smoltldr: (smoltldr.read_posts, [smoltldr.reward_len]),
        }[script]
        return make_trainer(script.__name__, read, rewards, options, args, model_args)

    return make


def test_gsm8k_wires_five_rewards_and_their_weights(make):
    trainer = make(gsm8k, reward_weights=[1.0, 1.0, 1.0, 1.0, 3.0])
    prompt, answer = trainer.train_dataset[0]["prompt"], trainer.train_dataset[0]["answer"]
    asked = f"<reasoning>\nso it is\n</reasoning>\n<answer>\n{answer}\n</answer>\n"
    completions = [[{"role": "assistant", "content": text}] for text in (asked, "no idea")]
    rewards = trainer._calculate_rewards(
        [{"prompt": prompt, "answer": answer}] * 2, [prompt] * 2, completions, [[0], [0]]
    )
    assert trainer.reward_func_names == [
        "xmlcount_reward_func",
        "soft_format_reward_func",
        "strict_format_reward_func",
        "int_reward_func",
        "correctness_reward_func",
    ]
    assert rewards.tolist() == [[0.5, 0.0, 0.5, 0.5, 2.0], [0.0] * 5]
    assert (rewards @ trainer.reward_weights).tolist() == [7.5, 0.0]


def test_gsm8k_trains_on_system_prompt_and_question(make, sample):
    folder = sample("gsm8k")
    first = gsm8k.read_problems(folder, "train")[0]
    assert [message["role"] for message in first["prompt"]] == ["system", "user"]
    assert "<reasoning>" in first["prompt"][0]["content"]
    assert first["prompt"][1]["content"].startswith("Natalia sold clips to 48 of her friends in April")
    assert "####" not in first["prompt"][1]["content"]
    assert first["answer"] == "72"
    shown = gsm8k.read_problems(folder, "train", gsm8k.EXAMPLES)[0]["prompt"]
    assert [message["role"] for message in shown] == ["system", *["user", "assistant"] * 2, "user"]


def test_the_examples_have_the_form_that_the_rewards_look_for():
    completions = [[message] for message in gsm8k.EXAMPLES if message["role"] == "assistant"]
    earned = [reward(prompts=None, completions=completions, answer=["24", "13"]) for reward in gsm8k.REWARDS]
    assert earned == [[0.5] * 2, [0.0] * 2, [0.5] * 2, [0.5] * 2, [2.0] * 2]


def test_a_run_goes_on_from_its_newest_checkpoint(make, capsys):
    trainer = make(gsm8k, save_strategy="steps", save_steps=1)
    assert checkpoint_to_resume(trainer.args) is None
    trainer.train()
    longer = make(gsm8k, max_steps=2)
    newest = checkpoint_to_resume(longer.args)
    assert newest.endswith("checkpoint-1")
    assert f"resuming from {newest}" in capsys.readouterr().out
    longer.train(resume_from_checkpoint=newest)
    assert [entry["step"] for entry in longer.state.log_history if "reward" in entry] == [1, 2]
    asked = make(gsm8k, resume_from_checkpoint="another")
    assert checkpoint_to_resume(asked.args) == "another"


def test_smoltldr_counts_characters_and_weighs_them(make):
    trainer = make(smoltldr, reward_weights=[0.5])
    assert isinstance(trainer.train_dataset[0]["prompt"], str)
    before = {name: value.clone() for name, value in trainer.model.named_parameters() if value.requires_grad}
    assert before
    assert all("lora_" in name for name in before)
    trainer.train()
    logged = trainer.state.log_history[0]
    assert logged["rewards/reward_len/mean"] not in (0, -49)  # -49: a chat of one message
    assert logged["reward"] == pytest.approx(0.5 * logged["rewards/reward_len/mean"])
    assert any(
        not torch.equal(value, before[name]) for name, value in trainer.model.named_parameters() if name in before
    )


def losses(trainer: GRPOTrainer) -> tuple[float, torch.Tensor, float, torch.Tensor]:
    """Return TRL's loss of a made-up batch and its gradient, and those of the old TRL's formula."""
    vocabulary = trainer.model.config.vocab_size
    generator = torch.Generator().manual_seed(0)
    prompt, completion = (torch.randint(vocabulary, (3, size), generator=generator) for size in (5, 6))
    mask = torch.tensor([[1] * length + [0] * (6 - length) for length in (6, 2, 4)])
    advantages = torch.tensor([1.5, -0.5, 0.25])
    ids = torch.cat([prompt, completion], dim=1)
    attention = torch.cat([torch.ones_like(prompt), mask], dim=1)
    reference = -10 + torch.rand(3, 6, generator=generator)
    weight = next(value for value in trainer.model.parameters() if value.requires_grad)

    inputs = {"prompt_ids": prompt, "prompt_mask": torch.ones_like(prompt), "completion_ids": completion}
    inputs |= {"completion_mask": mask, "advantages": advantages, "ref_per_token_logps": reference}
    inputs |= {"num_items_in_batch": mask.sum()}
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer._compute_loss(trainer.model, inputs)
    (gradient,) = torch.autograd.grad(loss, weight)

    logits = trainer.model(input_ids=ids, attention_mask=attention).logits[:, 4:-1] / trainer.args.temperature
    log_probs = logits.log_softmax(dim=-1).gather(2, completion[..., None]).squeeze(2)
    difference = reference - log_probs
    divergence = difference.exp() - difference - 1
    objective = (log_probs - log_probs.detach()).exp() * advantages[:, None] - 0.04 * divergence
    if trainer.args.loss_type == "bnpo":  # TRL 0.16
        expected = -(objective * mask).sum() / mask.sum()
    else:  # TRL 0.14
        expected = -((objective * mask).sum(1) / mask.sum(1)).mean()
    (expected_gradient,) = torch.autograd.grad(expected, weight)
    return loss.item(), gradient, expected.item(), expected_gradient


@pytest.mark.parametrize("script", [gsm8k, smoltldr])
def test_loss_and_gradient_are_those_of_the_tutorials_trl(make, script):
    trainer = make(script, gradient_accumulation_steps=1, use_peft=False)
    loss, gradient, expected, expected_gradient = losses(trainer)
    assert loss == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("default", [{"loss_type": "dapo"}, {"use_bias_correction_kl": True}])
def test_what_trl_does_today_unasked_is_another_algorithm(make, default):
    _, gradient, _, expected_gradient = losses(make(gsm8k, gradient_accumulation_steps=1, **default))
    assert not torch.allclose(gradient, expected_gradient, rtol=1e-2)


def test_all_weights_train_against_a_reference_that_follows(make):
    moving = {"use_peft": False, "sync_ref_model": True, "ref_model_sync_steps": 1, "ref_model_mixup_alpha": 0.6}
    trainer = make(smoltldr, learning_rate=1e-2, **moving)
    start = trainer.ref_model.lm_head.weight.clone()
    trainer.train()
    policy = trainer.model.lm_head.weight
    assert not torch.equal(policy, start)
    torch.testing.assert_close(trainer.ref_model.lm_head.weight, 0.6 * policy + 0.4 * start)


def test_adapter_is_merged_saved_and_pushed(make, tiny_model, tmp_path, monkeypatch):
    trainer = make(smoltldr, learning_rate=1e-2, max_steps=2, hub_private_repo=True)
    trainer.train()
    ids = torch.arange(20)[None]
    trainer.model.eval()
    with torch.no_grad():
        adapted = trainer.model(input_ids=ids).logits
    assert isinstance(trainer.model, PeftModel)
    pushed = []
    for kind in (PreTrainedModel, PreTrainedTokenizerBase):
        monkeypatch.setattr(
            kind, "push_to_hub", lambda self, where, **how: pushed.append((type(self).__name__, where, how))
        )
    smoltldr.save_whole_model(trainer, tmp_path / "model", "me/mine")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=ids).logits, adapted, rtol=1e-3, atol=1e-5)
        assert not torch.allclose(base(input_ids=ids).logits, adapted, atol=1e-3)
    assert not any("lora" in name for name in merged.state_dict())
    assert AutoTokenizer.from_pretrained(tmp_path / "model").chat_template
    assert [each[1:] for each in pushed] == [("me/mine", {"private": True, "token": None})] * 2


def test_long_prompts_are_left_out(make, tiny_model, sample, capsys):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for read, task, longest in ((gsm8k.read_problems, "gsm8k", 100), (smoltldr.read_posts, "smoltldr", 175)):
        rows = read(sample(task), "train")
        kept = without_long_prompts(rows, tokenizer, longest)
        assert 0 < len(kept) < len(rows)
        left_out = f"{len(kept)} prompts; {len(rows) - len(kept)} of more than {longest} tokens were left out"
        assert left_out in capsys.readouterr().out
        with pytest.raises(ValueError, match=f"--max_prompt_length 3: all {len(rows)} prompts are longer"):
            without_long_prompts(rows, tokenizer, 3)


def run_main(script, monkeypatch, *argv: str) -> str:
    """Return the message that the script ends with."""
    monkeypatch.setattr(sys, "argv", [f"{script.__name__}.py", *argv])
    with pytest.raises(SystemExit) as stop:
        script.main()
    return str(stop.value.code)


@pytest.mark.parametrize("script", [gsm8k, smoltldr])
def test_missing_data_or_model_is_a_message(script, monkeypatch, tmp_path, sample):
    message = run_main(script, monkeypatch, "--data", str(tmp_path / "none"))
    name = script.__name__
    assert message == (
        f"{name}.py: --data {tmp_path}/none: no train.parquet there; "
        f"python data_prep/{name}.py --out {tmp_path}/none makes it"
    )
    data, model = str(sample(name)), str(tmp_path / "no model")
    message = run_main(script, monkeypatch, "--data", data, "--model_name_or_path", model)
    assert message.startswith(f"{name}.py: model {model!r} was not found")


def test_data_of_the_task_is_made_if_it_is_missing(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr("prompts.ROOT", tmp_path)
    monkeypatch.setattr("prompts.subprocess.run", lambda command, **how: made.append(list(map(str, command))))
    assert data_folder("gsm8k", None) == tmp_path / "data" / "gsm8k"
    assert made == [[sys.executable, f"{tmp_path}/data_prep/gsm8k.py", "--out", f"{tmp_path}/data/gsm8k"]]


def test_data_that_cannot_be_made_is_a_message(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["gsm8k.py"])
    monkeypatch.setattr("prompts.ROOT", tmp_path)
    message = r"^gsm8k.py: the data could not be made; see above \(gsm8k.py\)$"
    with pytest.raises(SystemExit, match=message), exit_with_message():
        data_folder("gsm8k", None)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--sync_ref_model", "True"], "LoRA has none.*--use_peft False"),
        (["--push_to_hub", "True"], "Give --hub_model_id OWNER/NAME"),
    ],
)
def test_options_that_do_not_go_together_are_a_message(argv, message, monkeypatch):
    assert re.search(message, run_main(smoltldr, monkeypatch, *argv))


def test_too_few_reward_weights_are_a_message(monkeypatch, sample, tiny_model):
    where = ["--data", str(sample("gsm8k")), "--model_name_or_path", str(tiny_model)]
    message = run_main(gsm8k, monkeypatch, *where, "--reward_weights", "1", "2")
    assert "Number of reward weights (2) must match number of reward functions (5)" in message


def test_output_folders_are_not_tracked():
    assert all(Path(script.SETTINGS["output_dir"]).parts[0] == "runs" for script in (gsm8k, smoltldr))
