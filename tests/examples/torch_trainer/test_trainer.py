"""GRPOTrainer on the tiny model: sampling, updates, and what happens when numbers go wrong."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from arguments import GRPOArguments, parse_arguments
from checkpoint import load_model
from grpo import GRPOTrainer, kl_k3

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
UPDATE_IN_PARTS = Path(__file__).with_name("update_in_parts.py")
# Sums that need a carry: the tiny model forgets some.
ROWS = [{"prompt": [{"role": "user", "content": f"{a}+47="}], "answer": str(a + 47)} for a in (58, 36, 29, 85)]


def value(completions, **columns) -> list[float]:
    return [float(completion) if completion.isdecimal() else 0.0 for completion in completions]


@pytest.fixture
def make_trainer(tiny_model):
    def make(reward=value, **settings) -> GRPOTrainer:
        usual = {"lr": 1e-3, "batch_size": 2, "max_prompt_length": 16, "max_generate_length": 8}
        args = GRPOArguments(**usual | settings)
        model, tokenizer = load_model(tiny_model, torch.device("cpu"))
        reference = load_model(tiny_model, torch.device("cpu"))[0] if args.beta else None
        return GRPOTrainer(model, reference, tokenizer, [reward], args)

    return make


def weights(trainer) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()]).clone()


def assert_moved_alike(one: torch.Tensor, other: torch.Tensor) -> None:
    """Adam divides a gradient by its size, so where that is nothing but rounding, a weight may go either way."""
    assert ((one - other).abs() > 2e-5).float().mean() < 1e-3


def test_a_rollout_has_a_group_for_each_prompt_and_masks_what_follows_the_end(make_trainer):
    trainer = make_trainer()
    torch.manual_seed(0)
    rollout, metrics = trainer.sample(ROWS)
    assert rollout.input_ids.shape[0] == len(ROWS) * trainer.args.num_generations
    end = trainer.tokenizer.eos_token_id
    for ids, mask in zip(rollout.input_ids[:, -rollout.mask.shape[1] :], rollout.mask, strict=True):
        written = ids[mask.bool()]
        assert (written[:-1] != end).all()
        assert mask.sum() == len(mask) or written[-1] == end
    assert metrics["response_tokens"] == pytest.approx(rollout.mask.sum().item() / len(rollout.mask))


def test_log_probabilities_are_those_that_the_samples_were_drawn_with(make_trainer):
    trainer = make_trainer(temperature=0.7)
    encoded = trainer.tokenizer.apply_chat_template(
        [row["prompt"] for row in ROWS], add_generation_prompt=True, return_dict=True, return_tensors="pt", padding=True
    )
    drawn = trainer.model.generate(
        **encoded, do_sample=True, temperature=0.7, max_new_tokens=8, output_scores=True, return_dict_in_generate=True,
        pad_token_id=trainer.tokenizer.pad_token_id,
    )  # fmt: skip
    expected = trainer.model.compute_transition_scores(drawn.sequences, drawn.scores, normalize_logits=True)
    tokens = expected.shape[1]
    written = drawn.sequences[:, -tokens:]
    mask = torch.cat([encoded.attention_mask, (written != trainer.tokenizer.pad_token_id).long()], dim=1)
    found = trainer.log_probs(trainer.model, drawn.sequences, mask, tokens, 0.7, None)
    counted = mask[:, -tokens:].bool()
    torch.testing.assert_close(found[counted], expected[counted], rtol=1e-4, atol=1e-4)


def test_the_size_of_micro_batches_does_not_change_the_update(make_trainer):
    moved = []
    for batch_size in (4, 1):
        trainer = make_trainer(batch_size=batch_size)
        torch.manual_seed(0)
        rollout, _ = trainer.sample(ROWS)
        trainer.update(rollout)
        moved.append(weights(trainer))
    assert_moved_alike(*moved)


def test_two_processes_make_the_update_of_one(make_trainer, tiny_model, tmp_path):
    trainer = make_trainer(batch_size=1)
    torch.manual_seed(0)
    rollout, _ = trainer.sample(ROWS)
    torch.save(vars(rollout), tmp_path / "rollout.pt")
    results = []
    for count in (1, 2):
        result = tmp_path / f"{count}.pt"
        command = [*TORCHRUN, f"--nproc_per_node={count}", UPDATE_IN_PARTS, tiny_model, tmp_path / "rollout.pt", result]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        results.append(torch.load(result, weights_only=True))
    one, two = results
    assert one["metrics"] == pytest.approx(two["metrics"], abs=1e-5)
    before = load_model(tiny_model, torch.device("cpu"))[0].state_dict()
    assert any(not torch.equal(one["weights"][name], before[name]) for name in before)
    assert_moved_alike(*(torch.cat([result["weights"][name].flatten() for name in before]) for result in results))


def test_several_updates_on_a_rollout_move_the_ratio_until_the_clip_stops_it(make_trainer):
    trainer = make_trainer(num_iterations=8, lr=3e-3)
    assert trainer.train_step(ROWS)["clip_fraction"] > 0


def test_without_beta_there_is_no_kl_and_with_it_the_policy_is_held_back(make_trainer):
    free, held = make_trainer(num_iterations=4), make_trainer(num_iterations=4, beta=10.0)
    start = weights(free)
    assert free.reference is None
    assert free.train_step(ROWS)["kl"] == 0.0
    assert held.train_step(ROWS)["kl"] > 0.0

    def divergence(trainer) -> float:
        torch.manual_seed(1)
        rollout, _ = held.sample(ROWS)
        log_probs = [
            trainer.log_probs(model, rollout.input_ids, rollout.attention_mask, rollout.mask.shape[1], 1.0, None)
            for model in (trainer.model, held.reference)
        ]
        return (kl_k3(*log_probs) * rollout.mask).sum().item()

    assert 0 < divergence(held) < 0.8 * divergence(free)
    assert not torch.equal(weights(free), start)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_an_update_that_is_not_finite_is_skipped_and_reported(make_trainer, wrong):
    rewards = iter([wrong, 1.0])

    def sometimes_wrong(completions, **columns):
        first = next(rewards)
        return [first, *value(completions)[1:]]

    trainer = make_trainer(sometimes_wrong)
    before = weights(trainer)
    assert trainer.train_step(ROWS)["skipped_updates"] == 1
    assert torch.equal(weights(trainer), before)
    metrics = trainer.train_step(ROWS)
    assert metrics["skipped_updates"] == 1
    assert not torch.equal(weights(trainer), before)
    assert torch.isfinite(weights(trainer)).all()


def test_clipped_logits_make_no_token_too_likely(make_trainer):
    trainer = make_trainer(logits_clip=1.0)
    rollout, _ = trainer.sample(ROWS)
    vocabulary = trainer.model.config.vocab_size
    smallest, largest = (sign * 2.0 - math.log(vocabulary) for sign in (-1, 1))
    assert rollout.old_log_probs.min() >= smallest - 1e-4
    assert rollout.old_log_probs.max() <= largest + 1e-4


def test_a_long_prompt_keeps_its_end(make_trainer):
    trainer = make_trainer()
    question = {"prompt": [{"role": "user", "content": "1" * 100 + "+1="}]}
    input_ids, attention_mask, mask = trainer.generate([question], group=1, greedy=True)
    assert input_ids.shape[1] - mask.shape[1] == 16
    assert "+1=" in trainer.tokenizer.decode(input_ids[0])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--num_generations", "1"], "--num_generations 1: a group of one"),
        (["--lr", "0"], "--lr 0.0: must be above 0"),
        (["--beta", "-0.1"], "--beta -0.1"),
        (["--advantage_clip", "-1"], "--advantage_clip -1.0: must be above 0"),
        (["--clip_eps_high", "0"], "--clip_eps_high 0.0: must be above 0"),
        (["--epoch", "some"], "invalid int value: 'some'"),
        (["--loss_aggregation", "mean"], "invalid choice: 'mean'"),
        (["--number_of_generations", "4"], "number_of_generations"),
    ],
)
def test_a_wrong_option_is_named(argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_arguments("", argv)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_the_tasks_settings_count_unless_the_command_line_says_otherwise():
    arithmetic, _ = parse_arguments("", ["--lr", "0.5"])
    gsm8k, _ = parse_arguments("", ["--task", "gsm8k"])
    assert (arithmetic.lr, arithmetic.num_generations, arithmetic.batch_size) == (0.5, 8, 32)
    assert gsm8k == GRPOArguments(task="gsm8k")
    published = (gsm8k.lr, gsm8k.num_generations, gsm8k.beta, gsm8k.clip_eps, gsm8k.gradient_accumulation_steps)
    assert published == (1e-6, 4, 0.0, 0.2, 2)


def test_help_has_the_defaults_of_the_task(capsys):
    for argv, rate in ((["--help"], "0.0001"), (["--task", "gsm8k", "--help"], "1e-06")):
        with pytest.raises(SystemExit):
            parse_arguments("", argv)
        (line,) = [line for line in capsys.readouterr().out.split("--")[1:] if line.startswith("lr LR ")]
        assert f"(default: {rate})" in line


def test_saved_settings_come_before_the_tasks_and_after_the_command_lines():
    def parsed(*argv: str) -> GRPOArguments:
        saved = {"task": "gsm8k", "model": "a model", "max_generate_length": 99, "lr": 0.25}
        return parse_arguments("", list(argv), saved_settings=lambda given: saved)[0]

    silent, other_task = parsed("--lr", "0.5"), parsed("--task", "arithmetic")
    assert (silent.task, silent.model, silent.max_generate_length, silent.lr) == ("gsm8k", "a model", 99, 0.5)
    assert (other_task.task, other_task.model, other_task.max_generate_length) == ("arithmetic", None, 8)
