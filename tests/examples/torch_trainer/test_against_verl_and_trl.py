"""torch_trainer, verl's core_algos and TRL's GRPOTrainer compute the same from the same numbers."""

import numpy as np
import pytest
import torch
from arguments import GRPOArguments
from checkpoint import load_model
from datasets import Dataset
from grpo import GRPOTrainer, clipped_objective, group_advantages, kl_k3, response_log_probs, token_weights
from trl import GRPOConfig
from trl import GRPOTrainer as TRLTrainer
from verl.trainer.config import AlgoConfig
from verl.trainer.ppo import core_algos
from verl.workers.config import ActorConfig

PROMPTS, GROUP, TOKENS = 4, 4, 7
CLIP_LOW, CLIP_HIGH = 0.2, 0.28
NO_DUAL_CLIP = 1e9
# torch_trainer and verl, TRL
AGGREGATIONS = {
    "token-mean": "bnpo",
    "seq-mean-token-mean": "grpo",
    "seq-mean-token-sum": "luspo",
    "seq-mean-token-sum-norm": "dr_grpo",
}
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture
def numbers():
    """Random log-probabilities, advantages and a mask with responses of every length, in double precision."""
    random = torch.Generator().manual_seed(0)
    shape = (PROMPTS * GROUP, TOKENS)

    def normal(*size):
        return torch.randn(*size, generator=random, dtype=torch.float64)

    log_probs = -normal(*shape).abs() - 0.1
    lengths = torch.arange(PROMPTS * GROUP) % TOKENS + 1
    return {
        "log_probs": log_probs,
        "old_log_probs": log_probs + 0.3 * normal(*shape),
        "ref_log_probs": log_probs + 0.3 * normal(*shape),
        "advantages": normal(PROMPTS * GROUP),
        "mask": (torch.arange(TOKENS)[None] < lengths[:, None]).double(),
    }


@pytest.fixture(scope="module")
def trl_trainer(tiny_model, tmp_path_factory):
    """Makes TRL's trainer on the tiny model; it is not trained."""

    def make(**settings) -> TRLTrainer:
        settings = {"use_bias_correction_kl": False} | settings
        arguments = GRPOConfig(
            output_dir=str(tmp_path_factory.mktemp("trl")),
            use_cpu=True,
            bf16=False,
            report_to="none",
            per_device_train_batch_size=PROMPTS * GROUP,
            num_generations=GROUP,
            max_completion_length=TOKENS,
            **settings,
        )
        rows = [{"prompt": [{"role": "user", "content": f"{number}+1="}]} for number in range(PROMPTS)]
        return TRLTrainer(
            str(tiny_model), lambda completions, **columns: [0.0] * len(completions), arguments, Dataset.from_list(rows)
        )

    return make


def trl_loss(
    trainer: TRLTrainer, numbers: dict, log_probs: torch.Tensor, tokens: torch.Tensor | None = None, parts: int = 1
) -> torch.Tensor:
    """Return TRL's loss of given log-probabilities: those of a model that is not asked.

    Args:
        tokens: how many the whole batch has, of which this is one of so many parts.
    """
    trainer.current_gradient_accumulation_steps = parts
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (log_probs, torch.zeros_like(log_probs), None)
    ids = torch.zeros(log_probs.shape, dtype=torch.long)
    mask = numbers["mask"]
    inputs = {"prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1] + 1, "completion_ids": ids, "completion_mask": mask}
    inputs |= {"old_per_token_logps": numbers["old_log_probs"], "ref_per_token_logps": numbers["ref_log_probs"]}
    inputs |= {"advantages": numbers["advantages"], "num_items_in_batch": tokens}
    return trainer._compute_loss(trainer.model, inputs)


def verl_loss(
    numbers: dict,
    log_probs: torch.Tensor,
    mode: str,
    beta: float,
    loss=core_algos.compute_policy_loss_vanilla,
    dual_clip: float = NO_DUAL_CLIP,
) -> torch.Tensor:
    """Return verl's policy loss and KL term, put together as ``verl/workers/utils/losses.py`` does."""
    actor = ActorConfig(
        strategy="fsdp2",
        rollout_n=GROUP,
        use_dynamic_bsz=True,
        clip_ratio_low=CLIP_LOW,
        clip_ratio_high=CLIP_HIGH,
        clip_ratio_c=dual_clip,
    )
    mask = numbers["mask"]
    advantages = numbers["advantages"][:, None] * mask
    policy_loss, _ = loss(numbers["old_log_probs"], log_probs, advantages, mask, mode, actor)
    kl = core_algos.kl_penalty_forward(log_probs, numbers["ref_log_probs"], "low_var_kl")
    return policy_loss + beta * core_algos.agg_loss(kl, mask, mode)


def torch_loss(numbers: dict, log_probs: torch.Tensor, aggregation: str, beta: float) -> torch.Tensor:
    objective, _ = clipped_objective(log_probs, numbers["old_log_probs"], numbers["advantages"], CLIP_LOW, CLIP_HIGH)
    per_token = beta * kl_k3(log_probs, numbers["ref_log_probs"]) - objective
    return (per_token * token_weights(numbers["mask"], aggregation, TOKENS, total=lambda number: number)).sum()


def loss_and_gradient(loss, numbers: dict, *arguments) -> tuple[torch.Tensor, torch.Tensor]:
    log_probs = numbers["log_probs"].clone().requires_grad_()
    value = loss(numbers, log_probs, *arguments)
    value.backward()
    return value.detach(), log_probs.grad


@pytest.mark.parametrize("scale_by_std", [True, False])
def test_advantages(trl_trainer, scale_by_std):
    # TRL adds 1e-4 to the deviation, verl and torch_trainer 1e-6; neither shows beside a deviation of thousands.
    rewards = 1e5 * torch.rand(PROMPTS, GROUP, generator=torch.Generator().manual_seed(0))
    rewards[1] = 3.0  # a group without a signal
    ours = group_advantages(rewards, scale_by_std).flatten()

    verl, _ = core_algos.compute_grpo_outcome_advantage(
        rewards.flatten()[:, None].clone(),
        torch.ones(PROMPTS * GROUP, 1),
        np.repeat(np.arange(PROMPTS), GROUP),
        config=AlgoConfig(),
        norm_adv_by_std_in_grpo=scale_by_std,
    )
    trainer = trl_trainer(scale_rewards="group" if scale_by_std else "none")
    trainer._calculate_rewards = lambda *_: rewards.flatten()[:, None]
    rows = [row for row in trainer.train_dataset for _ in range(GROUP)]
    trl = trainer._generate_and_score_completions(rows)["advantages"]

    torch.testing.assert_close(ours, verl[:, 0], **CLOSE)
    torch.testing.assert_close(ours, trl.flatten(), **CLOSE)
    assert ours[GROUP : 2 * GROUP].tolist() == [0.0] * GROUP
    assert ours.abs().max() > (1 if scale_by_std else 1e4)


@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_loss_and_gradient(numbers, trl_trainer, aggregation, beta):
    trainer = trl_trainer(
        loss_type=AGGREGATIONS[aggregation], beta=beta, epsilon=CLIP_LOW, epsilon_high=CLIP_HIGH, num_iterations=2
    )
    ours = loss_and_gradient(torch_loss, numbers, aggregation, beta)
    verl = loss_and_gradient(verl_loss, numbers, aggregation, beta)
    trl = loss_and_gradient(lambda given, log_probs: trl_loss(trainer, given, log_probs), numbers)
    for other in (verl, trl):
        torch.testing.assert_close(ours, other, **CLOSE)
    _, clipped = clipped_objective(
        numbers["log_probs"], numbers["old_log_probs"], numbers["advantages"], CLIP_LOW, CLIP_HIGH
    )
    assert 0.05 < clipped.float().mean() < 0.95, "the clip decides some tokens, not all"


def test_trl_multiplies_the_kl_term_by_the_ratio_unless_told_not_to(numbers, trl_trainer):
    beta = 0.04
    trainer = trl_trainer(
        loss_type="bnpo", beta=beta, epsilon=CLIP_LOW, epsilon_high=CLIP_HIGH, use_bias_correction_kl=True
    )
    ratio = (numbers["log_probs"] - numbers["old_log_probs"]).exp()
    kl = kl_k3(numbers["log_probs"], numbers["ref_log_probs"])
    correction = beta * ((ratio - 1) * kl * numbers["mask"]).sum() / numbers["mask"].sum()
    ours = torch_loss(numbers, numbers["log_probs"], "token-mean", beta) + correction
    torch.testing.assert_close(ours, trl_loss(trainer, numbers, numbers["log_probs"]), **CLOSE)
    assert correction.abs() > 1e-5


def test_the_mean_over_tokens_of_two_micro_batches(numbers, trl_trainer):
    """TRL's dapo divides by the tokens of all micro batches, its bnpo by those of each; so does none of the others."""
    halves = [slice(None, PROMPTS * GROUP // 2), slice(PROMPTS * GROUP // 2, None)]
    parts = [{name: value[half] for name, value in numbers.items()} for half in halves]
    whole = torch_loss(numbers, numbers["log_probs"], "token-mean", 0.0)
    sums = {}
    for loss_type in ("dapo", "bnpo"):
        trainer = trl_trainer(loss_type=loss_type, epsilon=CLIP_LOW, epsilon_high=CLIP_HIGH)
        trainer.args.steps_per_generation = 2
        sums[loss_type] = sum(trl_loss(trainer, part, part["log_probs"], numbers["mask"].sum(), 2) for part in parts)
    torch.testing.assert_close(sums["dapo"], whole, **CLOSE)
    assert abs(sums["bnpo"] - whole) > 1e-3


def test_sequence_ratios_of_gspo(numbers, trl_trainer):
    trainer = trl_trainer(
        loss_type="grpo", importance_sampling_level="sequence", epsilon=CLIP_LOW, epsilon_high=CLIP_HIGH
    )
    verl = loss_and_gradient(verl_loss, numbers, "seq-mean-token-mean", 0.0, core_algos.compute_policy_loss_gspo)
    trl = loss_and_gradient(lambda given, log_probs: trl_loss(trainer, given, log_probs), numbers)
    torch.testing.assert_close(verl, trl, **CLOSE)


def test_verls_dual_clip_is_trls_delta(numbers, trl_trainer):
    """Tokens that became about five times as likely: where that was bad, verl and TRL count the ratio as 3."""
    numbers["old_log_probs"] = numbers["old_log_probs"] - np.log(5.0)
    trainer = trl_trainer(loss_type="bnpo", epsilon=CLIP_LOW, epsilon_high=CLIP_HIGH, delta=3.0)
    verl = verl_loss(numbers, numbers["log_probs"], "token-mean", 0.0, dual_clip=3.0)
    torch.testing.assert_close(verl, trl_loss(trainer, numbers, numbers["log_probs"]), **CLOSE)
    assert torch_loss(numbers, numbers["log_probs"], "token-mean", 0.0) > verl + 0.1


def written(tokenizer, rows: list[dict], answers: list[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what ``GRPOTrainer.generate`` does, as if a group had written its answer with 0, 1, 2, ... digits more."""
    chats = [row["prompt"] for row in rows]
    prompts = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, return_dict=True, return_tensors="pt", padding=True
    )
    texts = [answer + "7" * more + tokenizer.eos_token for answer in answers for more in range(GROUP)]
    completions = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
    mask = completions.attention_mask
    before = [value.repeat_interleave(GROUP, dim=0) for value in (prompts.input_ids, prompts.attention_mask)]
    input_ids = torch.cat([before[0], completions.input_ids], dim=1)
    return input_ids, torch.cat([before[1], mask], dim=1), mask.float()


def test_one_update_moves_the_weights_alike(tiny_model, trl_trainer):
    """The same weights, samples and rewards: torch_trainer's update, TRL's and one with verl's loss."""
    rate, largest_norm = 1e-4, 0.01
    args = GRPOArguments(
        num_generations=GROUP, batch_size=PROMPTS, gradient_accumulation_steps=1, max_generate_length=TOKENS,
        lr=rate, max_grad_norm=largest_norm, beta=0.04,
    )  # fmt: skip
    device = torch.device("cpu")
    model, tokenizer = load_model(tiny_model, device)
    reference = load_model(tiny_model, device)[0].eval()
    with torch.no_grad():
        for weight in reference.parameters():
            weight.mul_(1.01)  # or the KL term would be zero
    trainer = GRPOTrainer(model, reference, tokenizer, [lambda completions, **_: [len(c) for c in completions]], args)
    prompts = [{"prompt": [{"role": "user", "content": f"{a}+47="}]} for a in range(PROMPTS)]
    # Sampled ones would be others on another machine. Each group's differ in length, and with it in reward.
    trainer.generate = lambda rows, group: written(tokenizer, rows, [str(47 + a) for a in range(PROMPTS)])
    rollout, _ = trainer.sample(prompts)
    batch = (rollout.input_ids, rollout.attention_mask, rollout.mask.shape[1], args.temperature)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    def updated(loss_of, policy) -> dict[str, torch.Tensor]:
        optimizer = torch.optim.AdamW(policy.parameters(), lr=rate, weight_decay=0.0)
        loss_of(policy).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), largest_norm)
        optimizer.step()
        return dict(policy.named_parameters())

    def verl(policy):
        advantages = rollout.advantages[:, None] * rollout.mask
        log_probs = response_log_probs(policy, *batch)
        actor = ActorConfig(strategy="fsdp2", rollout_n=GROUP, use_dynamic_bsz=True)
        policy_loss, _ = core_algos.compute_policy_loss_vanilla(
            rollout.old_log_probs, log_probs, advantages, rollout.mask, "token-mean", actor
        )
        kl = core_algos.kl_penalty_forward(log_probs, rollout.ref_log_probs, "low_var_kl")
        return policy_loss + args.beta * core_algos.agg_loss(kl, rollout.mask, "token-mean")

    def trl(policy):
        theirs.current_gradient_accumulation_steps = 1
        width = rollout.mask.shape[1]
        inputs = {"prompt_ids": rollout.input_ids[:, :-width], "prompt_mask": rollout.attention_mask[:, :-width]}
        inputs |= {"completion_ids": rollout.input_ids[:, -width:], "completion_mask": rollout.mask.long()}
        inputs |= {"old_per_token_logps": rollout.old_log_probs, "ref_per_token_logps": rollout.ref_log_probs}
        return theirs._compute_loss(policy, inputs | {"advantages": rollout.advantages})

    theirs = trl_trainer(loss_type="bnpo", beta=args.beta, num_iterations=2)
    metrics = trainer.update(rollout)
    policies = {
        "torch": dict(model.named_parameters()),
        "verl": updated(verl, load_model(tiny_model, device)[0]),
        "trl": updated(trl, theirs.model),
    }
    assert metrics["grad_norm"] > largest_norm
    assert metrics["kl"] > 0
    moves = {
        name: torch.cat([(after[key].detach() - before[key]).flatten() for key in before])
        for name, after in policies.items()
    }
    assert moves["torch"].abs().max() > 0.9 * rate
    for other in ("verl", "trl"):
        # Adam's first step is the sign of the gradient: where that is rounding alone, the sign may differ.
        alike = (moves["torch"] - moves[other]).abs() < 0.01 * rate
        assert alike.float().mean() > 0.999
        assert torch.nn.functional.cosine_similarity(moves["torch"], moves[other], dim=0) > 0.9999
