"""GRPO in plain PyTorch: group relative policy optimization of a causal language model, from samples to update.

Read from top to bottom. First the algorithm's formulas, each a function of a few lines; then what they are applied to,
a ``Rollout``; then ``GRPOTrainer``, which samples, scores and updates. docs/en/grpo.md explains the formulas and names
their counterparts in verl and TRL.

Sources: Shao et al., DeepSeekMath, arXiv 2402.03300, section 4.1 (GRPO); Yu et al., DAPO, arXiv 2503.14476 (two clip
ranges, mean over tokens); Liu et al., Dr. GRPO, arXiv 2503.20783 (no standard deviation, no length); Schulman,
"Approximating KL Divergence", 2020 (k3).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import torch
import torch.distributed as dist
from arguments import GRPOArguments
from torch import Tensor

ADVANTAGE_EPSILON = 1e-6  # as in verl
LARGEST_LOG_RATIO = 20.0  # e^20 is finite; as in verl

Reward = Callable[..., Sequence[float]]


# ---------------------------------------------------------------- the formulas


def group_advantages(rewards: Tensor, scale_by_std: bool = True, largest: float | None = None) -> Tensor:
    """How much better each response did than its group: A_i = (r_i - mean(r)) / (std(r) + epsilon).

    Args:
        rewards: [prompts, group], one reward for each response.
        scale_by_std: False leaves out the division (Dr. GRPO). The deviation is the sample's, with Bessel's correction.
        largest: clip to [-largest, largest]. Divided, a group of G has no advantage beyond (G - 1) / sqrt(G).

    Returns:
        [prompts, group]; zeros for a group of one, and for one of equal rewards.
    """
    if rewards.shape[1] == 1:
        return torch.zeros_like(rewards)
    advantages = rewards - rewards.mean(dim=1, keepdim=True)
    if scale_by_std:
        advantages = advantages / (rewards.std(dim=1, keepdim=True) + ADVANTAGE_EPSILON)
    # The mean of equal rewards may be a rounding away from them, and the division makes that large.
    advantages = advantages.where(has_signal(rewards)[:, None], 0.0)
    return advantages if largest is None else advantages.clamp(-largest, largest)


def has_signal(rewards: Tensor) -> Tensor:
    """Whether a group's rewards differ, [prompts, group] -> [prompts]; one that is not a number differs from all."""
    return rewards.amax(dim=1) != rewards.amin(dim=1)


def clipped_objective(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip_low: float, clip_high: float
) -> tuple[Tensor, Tensor]:
    """min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A) per token, rho being the ratio of new to old probability.

    Args:
        log_probs, old_log_probs: [responses, tokens], by the policy as it is and by the one that sampled.
        advantages: [responses], the same for each token of a response.

    Returns:
        The objective, to be maximized, and whether the clip decided it; both [responses, tokens].
    """
    ratio = (log_probs - old_log_probs).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()
    free = ratio * advantages[:, None]
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages[:, None]
    return torch.minimum(free, clipped), clipped < free


def kl_k3(log_probs: Tensor, ref_log_probs: Tensor) -> Tensor:
    """Estimate KL(policy || reference) per token: e^d - d - 1 with d = log pi_ref - log pi. Unbiased, never negative.

    Args:
        log_probs, ref_log_probs: [responses, tokens]; d is clipped to +-20, where e^d is still finite.
    """
    difference = (ref_log_probs - log_probs).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    return difference.exp() - difference - 1


def token_weights(mask: Tensor, aggregation: str, longest: int, total: Callable[[Tensor], Tensor]) -> Tensor:
    """The weight of each token, so that sum(weights * per_token) over all micro batches and processes is the mean.

    Args:
        mask: [responses, tokens], 1 for what the policy wrote, its end token included.
        aggregation: as verl names them. "token-mean" (DAPO): every token counts the same. "seq-mean-token-mean" (GRPO's
            paper): every response counts the same. "seq-mean-token-sum": responses are summed, then averaged.
            "seq-mean-token-sum-norm" (Dr. GRPO): that, divided by a constant.
        longest: that constant, the longest response allowed.
        total: sums a number over all processes.

    Returns:
        [responses, tokens], zero outside the mask.

    Raises:
        ValueError: for an aggregation that is none of these.
    """
    lengths = mask.sum(dim=1, keepdim=True)
    responses = total((lengths > 0).sum()).clamp(min=1)
    if aggregation == "token-mean":
        return mask / total(mask.sum()).clamp(min=1)
    if aggregation == "seq-mean-token-mean":
        return mask / lengths.clamp(min=1) / responses
    if aggregation == "seq-mean-token-sum":
        return mask / responses
    if aggregation == "seq-mean-token-sum-norm":
        return mask / responses / longest
    raise ValueError(f"there is no aggregation {aggregation!r}")


def response_log_probs(
    model, input_ids: Tensor, attention_mask: Tensor, tokens: int, temperature: float, logits_clip: float | None = None
) -> Tensor:
    """Return the log-probability of each response token; without a clip that of the distribution it is sampled from.

    Args:
        model: a causal language model of Hugging Face.
        input_ids, attention_mask: [responses, prompt + tokens], padded at both ends.
        tokens: how many columns at the end are the response.
        temperature: divides the logits, as in sampling.
        logits_clip: clip the logits to [-logits_clip, logits_clip] first, which sampling does not.

    Returns:
        [responses, tokens] in fp32.
    """
    positions = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    output = model(
        input_ids=input_ids, attention_mask=attention_mask, position_ids=positions, logits_to_keep=tokens + 1
    )
    logits = output.logits[:, :-1].float()  # the logits at one position are for the token at the next
    if logits_clip is not None:
        logits = logits.clamp(-logits_clip, logits_clip)
    logits = logits / temperature
    chosen = logits.gather(2, input_ids[:, -tokens:, None]).squeeze(2)
    return chosen - logits.logsumexp(dim=2)


# ---------------------------------------------------------------- what they are applied to


@dataclass
class Rollout:
    """Groups of sampled responses and what is known of them. The rows of a group stand one after the other.

    Attributes:
        input_ids, attention_mask: [responses, prompt + tokens].
        mask: [responses, tokens], 1 for what the policy wrote.
        advantages: [responses].
        old_log_probs: [responses, tokens], by the policy that sampled.
        ref_log_probs: [responses, tokens], by the reference; None without a KL term.
        weights: [responses, tokens], of ``token_weights``.
    """

    input_ids: Tensor
    attention_mask: Tensor
    mask: Tensor
    advantages: Tensor
    old_log_probs: Tensor
    ref_log_probs: Tensor | None
    weights: Tensor

    def micro_batches(self, responses: int) -> Iterator["Rollout"]:
        values = [getattr(self, field.name) for field in fields(self)]
        for start in range(0, len(self.mask), responses):
            yield Rollout(*(None if value is None else value[start : start + responses] for value in values))


# ---------------------------------------------------------------- the trainer


class GRPOTrainer:
    """Trains a policy on prompts with rule rewards, in one process or in several that share each step's prompts.

    A step: sample a group of responses for each of ``batch_size * gradient_accumulation_steps`` prompts in every
    process, score them, and update ``num_iterations`` times. All processes hold the whole policy; gradients are summed.
    """

    def __init__(self, model, reference, tokenizer, rewards: Sequence[Reward], args: GRPOArguments):
        """
        Args:
            model: the policy, on its device, in fp32.
            reference: the frozen model that the KL term compares with; None if ``args.beta`` is 0.
            tokenizer: the policy's, padding on the left.
            rewards: each is called with prompts (chat messages), completions (texts) and the rows' other columns as
                lists, by name, and returns one number a completion; they are added up.
            args: ``arguments.py`` explains them.
        """
        self.model, self.reference, self.tokenizer, self.rewards, self.args = model, reference, tokenizer, rewards, args
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.weight_decay)
        self.device = next(model.parameters()).device
        self.processes = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.step = 0
        self.skipped_updates = 0

    def train_step(self, rows: list[dict]) -> dict[str, float]:
        """Do one step on this process' rows, each with a ``prompt`` of chat messages; return its metrics."""
        self.step += 1
        # Sampling depends on the step alone, so a run that is resumed goes on as if it had not stopped.
        torch.manual_seed((self.args.seed * 1_000_003 + self.step) * 4_096 + self.rank)
        rollout, metrics = self.sample(rows)
        for _ in range(self.args.num_iterations):
            metrics |= self.update(rollout)
        return metrics

    @torch.no_grad()
    def sample(self, rows: list[dict]) -> tuple[Rollout, dict[str, float]]:
        """Sample a group for each row, score it, and compute all that the update needs."""
        args, group = self.args, self.args.num_generations
        input_ids, attention_mask, mask = self.generate(rows, group)
        texts = self.tokenizer.batch_decode(input_ids[:, -mask.shape[1] :], skip_special_tokens=True)
        each = [row for row in rows for _ in range(group)]
        columns = {name: [row[name] for row in each] for name in rows[0] if name != "prompt"}
        prompts = [row["prompt"] for row in each]
        rewards = torch.zeros(len(each), device=self.device)
        for reward in self.rewards:
            values = reward(prompts=prompts, completions=texts, **columns)
            rewards += torch.tensor(values, dtype=torch.float32, device=self.device)
        groups = rewards.view(-1, group)
        advantages = group_advantages(groups, args.scale_by_std, args.advantage_clip).flatten()

        old, reference = [], []
        for start in range(0, len(each), args.batch_size * group):
            rows_of_it = slice(start, start + args.batch_size * group)
            batch = input_ids[rows_of_it], attention_mask[rows_of_it], mask.shape[1], args.temperature, args.logits_clip
            old.append(self.log_probs(self.model, *batch))
            if self.reference is not None:
                reference.append(self.log_probs(self.reference, *batch))
        weights = token_weights(mask, args.loss_aggregation, args.max_generate_length, self.total)
        rollout = Rollout(
            input_ids,
            attention_mask,
            mask,
            advantages,
            torch.cat(old),
            torch.cat(reference) if reference else None,
            weights,
        )
        ended = (input_ids[:, -mask.shape[1] :] == self.tokenizer.eos_token_id).any(dim=1)
        metrics = {
            "reward": self.mean(rewards),
            "groups_with_a_signal": self.mean(has_signal(groups).float()),
            "response_tokens": self.mean(mask.sum(dim=1)),
            "cut_off": self.mean((~ended).float()),
        }
        return rollout, metrics

    @torch.no_grad()
    def generate(self, rows: list[dict], group: int, greedy: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Write ``group`` responses to each row's prompt; a prompt's last ``max_prompt_length`` tokens count.

        Returns:
            input_ids and attention_mask [responses, prompt + tokens], and mask [responses, tokens].
        """
        encoded = self.tokenizer.apply_chat_template(
            [row["prompt"] for row in rows],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=self.args.max_prompt_length,
        ).to(self.device)
        # All is said here: what a model's generation_config sets (top-k, say) is another policy than the one trained.
        choice = {"do_sample": not greedy, "num_beams": 1, "repetition_penalty": 1.0}
        if not greedy:
            choice |= {"temperature": self.args.temperature, "top_k": 0, "top_p": 1.0}
        self.model.eval()
        with self.autocast():
            input_ids = self.model.generate(
                **encoded,
                **choice,
                num_return_sequences=group,
                max_new_tokens=self.args.max_generate_length,
                eos_token_id=self.tokenizer.eos_token_id,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        self.model.train()
        written = input_ids[:, encoded.input_ids.shape[1] :]
        is_end = (written == self.tokenizer.eos_token_id).long()
        mask = (is_end.cumsum(dim=1) - is_end == 0).float()  # up to the first end token, which counts
        attention_mask = torch.cat([encoded.attention_mask.repeat_interleave(group, dim=0), mask.long()], dim=1)
        return input_ids, attention_mask, mask

    def update(self, rollout: Rollout) -> dict[str, float]:
        """Do one optimizer step on a rollout; skip it, on all processes alike, if the gradient is not finite."""
        args = self.args
        sums = torch.zeros(3, device=self.device)
        tokens = self.total(rollout.mask.sum())
        for batch in rollout.micro_batches(args.batch_size * args.num_generations):
            log_probs = self.log_probs(
                self.model,
                batch.input_ids,
                batch.attention_mask,
                batch.mask.shape[1],
                args.temperature,
                args.logits_clip,
            )
            objective, clipped = clipped_objective(
                log_probs, batch.old_log_probs, batch.advantages, args.clip_eps, args.clip_eps_high or args.clip_eps
            )
            kl = torch.zeros_like(objective) if self.reference is None else kl_k3(log_probs, batch.ref_log_probs)
            loss = ((args.beta * kl - objective) * batch.weights).sum()
            loss.backward()
            with torch.no_grad():
                means = [(values * batch.mask).sum() / tokens for values in (kl, clipped)]
                sums += torch.stack([loss, *means])
        for parameter in self.model.parameters():
            if parameter.grad is not None and self.processes > 1:
                dist.all_reduce(parameter.grad)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), args.max_grad_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            self.skipped_updates += 1
        self.optimizer.zero_grad(set_to_none=True)
        loss, kl, clip_fraction = (self.total(value).item() for value in sums)
        return {
            "loss": loss,
            "kl": kl,
            "clip_fraction": clip_fraction,
            "grad_norm": norm.item(),
            "skipped_updates": self.skipped_updates,
        }

    def log_probs(self, *arguments) -> Tensor:
        with self.autocast():
            return response_log_probs(*arguments)

    def autocast(self):
        """On a GPU, matrix products in bf16 on weights in fp32; on a CPU, fp32 throughout."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu")

    def total(self, number: Tensor) -> Tensor:
        """Sum a number over the processes."""
        number = number.clone().float()
        if self.processes > 1:
            dist.all_reduce(number)
        return number

    def mean(self, values: Tensor) -> float:
        return (self.total(values.sum()) / self.total(torch.tensor(len(values), device=self.device))).item()
