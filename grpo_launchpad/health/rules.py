"""Every health rule: what it looks at, its threshold and where that comes from, and what to turn.

A rule looks at the newest training step and what came before it, and returns the evidence if something is wrong there.
Thresholds that no paper gives are set so that the recorded sound runs of tests/samples/runs stay far below them.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

from grpo_launchpad.health.history import REWARD, History

# The mean difference between the probabilities that rollout engine and trainer give the sampled tokens; above it they
# no longer compute the same policy.
PROBS_DIFF = "training/rollout_probs_diff_mean"
PROBS_DIFF_LIMIT = 0.01
# The k3 estimate of the divergence between them, in nats a token. It tells even where all probabilities are small, as a
# new model's are. 0.0001 to 0.002 were measured in sound runs, 0.5 with wrong weights in the rollout engine's experts.
DIVERGENCE = "rollout_corr/k3_kl"
DIVERGENCE_LIMIT = 0.05

CONSTANT_STEPS = 3
FLOOR_SHARE, CEILING_SHARE = 0.01, 0.99
STUCK_STEPS = 5
FALLEN_FROM, FALLEN_TO, FALLEN_CHANGES = 0.2, 0.35, 8.0
EQUAL_GROUPS = 0.9
ACCURACY_FALL = 0.05
ACCURACY_SIGMAS = 3
REWARD_RISE = 0.02  # of the spread
ENTROPY_COLLAPSE = 0.1
ENTROPY_EXPLOSION = 3.0
ENTROPY_EXPLOSION_NATS = 0.5
LENGTH_GROWTH = 2.0
LENGTH_STEPS = 20
CLIP_RATIO_LIMIT = 0.5
KL_LIMIT = 1.0
KL_GROWTH, KL_GROWTH_NATS = 10.0, 0.1
UPDATE_KL_LIMIT = 0.1
GRADIENT_SPIKE, GRADIENT_ABOVE_HIGHEST, GRADIENT_STEPS = 10.0, 2.0, 5
MISMATCH_GROWTH, MISMATCH_FROM = 3.0, 0.003
FILTERED_SHARE = 0.75
SCORER_STOPPED = 0.9
LOW_MFU = 0.1
SOLVED_SHARE = 0.9  # above it, equal groups and a low entropy are the end of a training that succeeded


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong.

    Attributes:
        name: short, for people to refer to.
        level: "bad": the run is wasting its time; "warn": look at it; "info": worth knowing, no alarm.
        meaning: what is wrong.
        threshold: when it is said.
        source: where the threshold, or the knowledge that this is bad, comes from.
        remedy: what to do.
        settings: the knobs and verl's keys that the remedy names.
        check: the evidence at the newest step of a history, or None. No check: see ``log``.
        of_learning: whether it is about what the model learns, which a smoke run's random weights do not.
        log: what the trainer's log says when it happens, for rules about the log.
    """

    name: str
    level: str
    meaning: str
    threshold: str
    source: str
    remedy: str
    settings: tuple[str, ...] = ()
    check: Callable[[History], str | None] | None = None
    log: re.Pattern[str] | None = None
    of_learning: bool = False


def _not_a_number(history: History) -> str | None:
    bad = [metric for metric, value in history.values.items() if not math.isfinite(value)]
    return f"NaN in {', '.join(bad)}" if bad else None


def _constant_reward(history: History) -> str | None:
    if len(history.last(REWARD, CONSTANT_STEPS)) and history.lowest == history.highest:
        return f"every answer since the first step got the reward {history.highest:g}"
    return None


def _reward_at_floor(history: History) -> str | None:
    rewards = history.last(REWARD, STUCK_STEPS)
    if rewards and all(history.reward_share(value) <= FLOOR_SHARE for value in rewards):
        return f"the mean reward is {rewards[-1]:.3g}, the lowest that an answer can get is {history.lowest:g}"
    return None


def _reward_fell(history: History) -> str | None:
    rewards = history.last(REWARD, 1) and history.all(REWARD)[-50:]
    if len(rewards) < 4 or _scorer_stopped(history):
        return None
    now, best = fmean(rewards[-3:]), history.best_reward
    usual_change = median(abs(one - other) for one, other in pairwise(rewards))
    shares = history.reward_share(now), history.reward_share(best)
    if shares[1] > FALLEN_FROM and shares[0] < FALLEN_TO * shares[1] and best - now > FALLEN_CHANGES * usual_change:
        return f"the mean reward fell from {best:.3g} to {now:.3g}"
    return None


def _reward_at_ceiling(history: History) -> str | None:
    rewards = history.last(REWARD, STUCK_STEPS)
    if rewards and all(history.reward_share(value) >= CEILING_SHARE for value in rewards):
        return f"the mean reward is {rewards[-1]:.3g}, the highest that an answer can get is {history.highest:g}"
    return None


def _is_solved(history: History) -> bool:
    return history.reward_share(history.values.get(REWARD, math.nan)) >= SOLVED_SHARE


def _no_signal(history: History) -> str | None:
    shares = history.last("groups/without_signal", STUCK_STEPS)
    if not shares or min(shares) < EQUAL_GROUPS or _is_solved(history):
        return None
    return f"all answers have one score in {shares[-1]:.0%} of the groups"


def _accuracy_fall(history: History) -> tuple[str, float | None] | None:
    """Return the evidence of a fall of the held-out accuracy, and what share of its spread the reward rose by."""
    if len(history.validations) < 2 or history.validations[-1].step != history.step or _scorer_stopped(history):
        return None
    *before, now = history.validations
    best = max(before, key=lambda validation: validation.accuracy)
    margin = ACCURACY_FALL
    if rows := history.facts.validation_rows:
        share = min(max(best.accuracy, 0.0), 1.0)
        margin = max(margin, ACCURACY_SIGMAS * math.sqrt(2 * share * (1 - share) / rows))
    if now.accuracy >= best.accuracy - margin:
        return None
    rewards = history.all(REWARD)
    earlier = best.reward if best.reward is not None else (fmean(rewards[:3]) if rewards else None)
    rise = None
    if earlier is not None and now.reward is not None:
        rise = history.reward_share(now.reward) - history.reward_share(earlier)
    return f"held-out accuracy fell from {best.accuracy:.1%} (step {best.step}) to {now.accuracy:.1%}", rise


def _reward_hacked(history: History) -> str | None:
    fall = _accuracy_fall(history)
    if fall and fall[1] is not None and fall[1] > REWARD_RISE:
        return f"{fall[0]} while the reward rose by {fall[1]:.0%} of its spread"
    return None


def _accuracy_fell(history: History) -> str | None:
    fall = _accuracy_fall(history)
    return fall[0] if fall and not (fall[1] is not None and fall[1] > REWARD_RISE) else None


def _entropy_collapse(history: History) -> str | None:
    last = history.last("actor/entropy", 3)
    first = max(history.all("actor/entropy")[:3], default=0.0)
    if last and first > 0 and max(last) < ENTROPY_COLLAPSE * first and not _is_solved(history):
        return f"entropy fell from {first:.3g} to {last[-1]:.3g} nats"
    return None


def _entropy_explosion(history: History) -> str | None:
    last = history.last("actor/entropy", 1)
    first = max(history.all("actor/entropy")[:1], default=0.0)
    if last and last[0] > ENTROPY_EXPLOSION * first and last[0] > first + ENTROPY_EXPLOSION_NATS:
        return f"entropy rose from {first:.3g} to {last[0]:.3g} nats"
    return None


def _length_explosion(history: History) -> str | None:
    lengths, rewards = history.last("response_length/mean", 6), history.all(REWARD)
    if not lengths:
        return None
    window = history.all("response_length/mean")[-LENGTH_STEPS:]
    now, then = fmean(window[-3:]), fmean(window[:3])
    earned = len(rewards) >= 6 and history.reward_share(fmean(rewards[-3:])) - history.reward_share(
        fmean(rewards[-LENGTH_STEPS:][:3])
    )
    if now > LENGTH_GROWTH * then and not earned > REWARD_RISE:
        return f"responses grew from {then:.0f} to {now:.0f} tokens in {len(window)} steps, and the reward did not"
    return None


def _truncation(history: History) -> str | None:
    last = history.last("response_length/clip_ratio", 1)
    return f"response clip ratio {last[0]:.2f}" if last and last[0] > CLIP_RATIO_LIMIT else None


def _kl_explosion(history: History) -> str | None:
    for metric in ("actor/kl_loss", "actor/reward_kl_penalty"):
        last = history.last(metric, 1)
        usual = median(history.all(metric)[-21:-1] or [math.inf])
        if last and (last[0] > KL_LIMIT or last[0] > KL_GROWTH * usual and last[0] > KL_GROWTH_NATS):
            return f"{metric} is {last[0]:.3g} nats a token"
    return None


def _update_kl(history: History) -> str | None:
    last = history.last("actor/ppo_kl", 1)
    return f"actor/ppo_kl is {last[0]:.3g} nats a token" if last and abs(last[0]) > UPDATE_KL_LIMIT else None


def _gradient_spike(history: History) -> str | None:
    last = history.last("actor/grad_norm", GRADIENT_STEPS + 1)
    if not last:
        return None
    before = history.all("actor/grad_norm")[-51:-1]
    usual = median(before)
    if last[-1] > GRADIENT_SPIKE * usual and last[-1] > GRADIENT_ABOVE_HIGHEST * history.highest_gradient:
        return f"gradient norm {last[-1]:.3g}, usually {usual:.3g}"
    return None


def _mismatch(history: History) -> str | None:
    for name, metric, limit in (
        ("probability difference", PROBS_DIFF, PROBS_DIFF_LIMIT),
        ("divergence (k3)", DIVERGENCE, DIVERGENCE_LIMIT),
    ):
        last = history.last(metric, 1)
        if last and last[0] > limit:
            return f"{name} {last[0]:.4f}, above {limit}"
    return None


def _growing_mismatch(history: History) -> str | None:
    last = history.last(PROBS_DIFF, 10)
    now, then = (fmean(last[-5:]), fmean(history.all(PROBS_DIFF)[:5])) if last else (0.0, 0.0)
    if now > MISMATCH_GROWTH * then and now > MISMATCH_FROM:
        return f"the mean probability difference grew from {then:.4f} to {now:.4f}"
    return None


def _missing_answers(history: History) -> str | None:
    parts = []
    if missing := history.values.get("groups/missing_answers", 0.0):
        parts.append(f"{missing:.1%} of the answers that were asked for are not in the batch")
    if evicted := history.values.get("training/rollout_failure/evicted_samples", 0.0):
        parts.append(f"{evicted:.0f} groups failed and were replaced")
    if aborted := history.values.get("response/aborted_ratio", 0.0):
        parts.append(f"{aborted:.1%} of the answers are empty")
    return "; ".join(parts) or None


def _stale_groups(history: History) -> str | None:
    last = history.last("training/off_policy/evicted_samples", 1)
    return f"{last[0]:.0f} groups were thrown away as too old" if last and last[0] > 0 else None


def _filtered_groups(history: History) -> str | None:
    last, batch = history.last("training/filter_groups/evicted_samples", 3), history.facts.batch
    if last and batch and all(value / (value + batch) > FILTERED_SHARE for value in last):
        return f"{last[-1]:.0f} groups were thrown away for a batch of {batch}"
    return None


def _scorer_errors(history: History) -> str | None:
    return _unscored(history, 0.0, SCORER_STOPPED)


def _scorer_stopped(history: History) -> str | None:
    return _unscored(history, SCORER_STOPPED, math.inf)


def _unscored(history: History, low: float, high: float) -> str | None:
    shares = {"training": history.values.get("reward/scorer_error/mean", 0.0)}
    for metric, value in history.values.items():
        if metric.startswith("val-aux/") and "/scorer_error/mean@" in metric:
            shares["held-out"] = max(value, shares.get("held-out", 0.0))
    name, share = max(shares.items(), key=lambda item: item[1])
    return f"the reward could not score {share:.1%} of the {name} answers" if low < share <= high else None


def _low_mfu(history: History) -> str | None:
    shares = history.last("perf/mfu/actor", STUCK_STEPS)
    if not shares or not all(0 < share < LOW_MFU for share in shares):
        return None
    memory = history.values.get("actor/perf/max_memory_reserved_gb")
    used = f", {memory:.1f} GB of device memory reserved" if memory else ""
    return f"the update uses {shares[-1]:.1%} of the device's arithmetic (MFU){used}"


RULES = (
    Rule(
        "not-a-number",
        "bad",
        "a metric is NaN or infinite: the weights are broken, or will be with the next update",
        "any",
        "arithmetic",
        "resume from a checkpoint before that step, with a lower ACTOR_LR; with bf16 weights try MODEL_DTYPE=fp32",
        ("ACTOR_LR", "MODEL_DTYPE"),
        _not_a_number,
    ),
    Rule(
        "constant-reward",
        "bad",
        "the reward does not tell answers apart, so there is nothing to learn from",
        f"one reward for all answers of the first {CONSTANT_STEPS} steps",
        "GRPO's advantage is 0 in such a group (arXiv:2402.03300, section 4.1.2)",
        "read some answers in the report; check REWARDS, the rows' data_source, MAX_RESPONSE_LENGTH, the chat template",
        ("REWARDS", "MAX_RESPONSE_LENGTH"),
        _constant_reward,
        of_learning=True,
    ),
    Rule(
        "reward-at-floor",
        "bad",
        "nearly every answer fails: the task is too hard for the model, or the model broke",
        f"mean reward within {FLOOR_SHARE:.0%} of its spread from the lowest for {STUCK_STEPS} steps",
        "as constant-reward",
        "easier rows first, a larger ROLLOUT_N, a better MODEL_PATH; if it fell there, a lower ACTOR_LR",
        ("ROLLOUT_N", "MODEL_PATH", "ACTOR_LR"),
        _reward_at_floor,
        of_learning=True,
    ),
    Rule(
        "reward-fell",
        "bad",
        "the policy broke: it earned more before",
        f"mean reward of 3 steps below {FALLEN_TO:.0%} of the best 3, if those had {FALLEN_FROM:.0%} of the spread, and"
        f" by {FALLEN_CHANGES:g} times the median change from step to step",
        "recorded run with 100 times the learning rate",
        "a lower ACTOR_LR or more LR_WARMUP_STEPS; go back to a checkpoint from before",
        ("ACTOR_LR", "LR_WARMUP_STEPS"),
        _reward_fell,
        of_learning=True,
    ),
    Rule(
        "reward-at-ceiling",
        "info",
        "nearly every answer gets all there is: the training data have nothing left to teach",
        f"mean reward within {1 - CEILING_SHARE:.0%} of its spread from the highest for {STUCK_STEPS} steps",
        "as constant-reward",
        "stop, or go on with harder TRAIN_FILES",
        ("TRAIN_FILES",),
        _reward_at_ceiling,
        of_learning=True,
    ),
    Rule(
        "no-signal",
        "warn",
        "most groups have no advantage and cost their rollouts for nothing",
        f"{EQUAL_GROUPS:.0%} of the groups for {STUCK_STEPS} steps, mean reward below {SOLVED_SHARE:.0%} of its spread",
        "DAPO, section 3.2 (arXiv:2503.14476), where dynamic sampling was made for it",
        "a larger ROLLOUT_N, a TEMPERATURE of 1, rows of the model's difficulty, algorithm.filter_groups.enable=True",
        ("ROLLOUT_N", "TEMPERATURE", "algorithm.filter_groups.enable"),
        _no_signal,
        of_learning=True,
    ),
    Rule(
        "reward-hacked",
        "bad",
        "the reward is earned by something else than what the held-out accuracy measures",
        f"accuracy {ACCURACY_FALL:.0%} and {ACCURACY_SIGMAS} standard errors below its best, reward up by"
        f" {REWARD_RISE:.0%} of its spread",
        "over-optimization of a proxy (arXiv:2210.10760)",
        "read the best-paid answers in the report and mend the reward (REWARDS); KL_LOSS_COEF slows it down only",
        ("REWARDS", "KL_LOSS_COEF"),
        _reward_hacked,
        of_learning=True,
    ),
    Rule(
        "accuracy-fell",
        "bad",
        "the model gets worse at what it is trained for",
        f"accuracy {ACCURACY_FALL:.0%} and {ACCURACY_SIGMAS} standard errors below its best",
        "standard error of a difference of two shares",
        "a lower ACTOR_LR, a KL_LOSS_COEF above 0; go back to the checkpoint of the best step",
        ("ACTOR_LR", "KL_LOSS_COEF"),
        _accuracy_fell,
        of_learning=True,
    ),
    Rule(
        "entropy-collapse",
        "warn",
        "the model hardly explores any more, although it has not solved the task",
        f"below {ENTROPY_COLLAPSE:.0%} of the first, mean reward below {SOLVED_SHARE:.0%} of its spread",
        "reward is bought with entropy until none is left (arXiv:2505.22617, eq. 1)",
        "CLIP_RATIO_HIGH=0.28 (DAPO's clip higher), ENTROPY_COEFF above 0, or actor.policy_loss.loss_mode=kl_cov",
        ("CLIP_RATIO_HIGH", "ENTROPY_COEFF", "actor_rollout_ref.actor.policy_loss.loss_mode"),
        _entropy_collapse,
        of_learning=True,
    ),
    Rule(
        "entropy-explosion",
        "bad",
        "the policy dissolves into noise",
        f"above {ENTROPY_EXPLOSION:g} times the first and {ENTROPY_EXPLOSION_NATS:g} nats more",
        "recorded runs; Skywork-OR1, section 4 (arXiv:2505.22312) holds entropy near 0.2",
        "ENTROPY_COEFF=0, a lower ACTOR_LR; check that rollout and trainer agree",
        ("ENTROPY_COEFF", "ACTOR_LR"),
        _entropy_explosion,
        of_learning=True,
    ),
    Rule(
        "length-explosion",
        "warn",
        "responses grow without earning more",
        f"{LENGTH_GROWTH:g} times as long as {LENGTH_STEPS} steps before, reward up by less than"
        f" {REWARD_RISE:.0%} of its spread",
        "length bias of the loss (Dr. GRPO, arXiv:2503.20783, section 3.1)",
        "LOSS_AGG_MODE=token-mean or seq-mean-token-sum-norm, NORM_ADV_BY_STD=False",
        ("LOSS_AGG_MODE", "NORM_ADV_BY_STD"),
        _length_explosion,
        of_learning=True,
    ),
    Rule(
        "truncation",
        "warn",
        "answers are cut off at the limit, and a cut-off answer cannot be right",
        f"more than {CLIP_RATIO_LIMIT:.0%} of the answers of a step",
        "DAPO, section 3.4 (arXiv:2503.14476)",
        "a larger MAX_RESPONSE_LENGTH (and MAX_MODEL_LEN)",
        ("MAX_RESPONSE_LENGTH", "MAX_MODEL_LEN"),
        _truncation,
        of_learning=True,
    ),
    Rule(
        "kl-explosion",
        "bad",
        "the policy has left the reference model behind",
        f"above {KL_LIMIT:g} nats a token, or {KL_GROWTH:g} times the median of 20 steps and {KL_GROWTH_NATS:g}",
        "recorded runs; k3 is the estimator of joschu.net/blog/kl-approx.html",
        "a larger KL_LOSS_COEF, a lower ACTOR_LR",
        ("KL_LOSS_COEF", "ACTOR_LR"),
        _kl_explosion,
        of_learning=True,
    ),
    Rule(
        "update-too-far",
        "warn",
        "one step moves the policy further than clipping is meant for",
        f"actor/ppo_kl beyond {UPDATE_KL_LIMIT:g} nats a token",
        "PPO implementations stop at 0.015 (Spinning Up, ppo.py, target_kl x 1.5)",
        "a lower ACTOR_LR, a PPO_MINI_BATCH_SIZE nearer to TRAIN_BATCH_SIZE",
        ("ACTOR_LR", "PPO_MINI_BATCH_SIZE", "TRAIN_BATCH_SIZE"),
        _update_kl,
        of_learning=True,
    ),
    Rule(
        "gradient-spike",
        "warn",
        "one batch's gradient is far out of line",
        f"{GRADIENT_SPIKE:g} times the median of 50 steps and {GRADIENT_ABOVE_HIGHEST:g} times the highest so far",
        "spikes precede divergence (ZClip, arXiv:2504.02507)",
        "if it comes again: a lower ACTOR_LR, a smaller actor_rollout_ref.actor.optim.clip_grad",
        ("ACTOR_LR", "actor_rollout_ref.actor.optim.clip_grad"),
        _gradient_spike,
        of_learning=True,
    ),
    Rule(
        "rollout-mismatch",
        "warn",
        "the rollout engine and the trainer disagree about the policy",
        f"mean probability difference above {PROBS_DIFF_LIMIT:g}, or k3 above {DIVERGENCE_LIMIT:g} nats a token",
        "sound runs recorded here: 0.002 and 0.0001 to 0.002; causes in arXiv:2510.26788",
        "algorithm.rollout_correction.rollout_is=token; one dtype on both sides (MODEL_DTYPE, rollout.dtype; fp16 has"
        " the smaller gap); for experts actor.megatron.router_replay.mode=R3",
        (
            "algorithm.rollout_correction.rollout_is",
            "MODEL_DTYPE",
            "actor_rollout_ref.rollout.dtype",
            "actor_rollout_ref.actor.megatron.router_replay.mode",
        ),
        _mismatch,
    ),
    Rule(
        "growing-mismatch",
        "warn",
        "rollout engine and trainer drift apart, which ends in collapse",
        f"{MISMATCH_GROWTH:g} times the mean of the first 5 steps, and above {MISMATCH_FROM:g}",
        "verl #3597; arXiv:2510.26788",
        "as rollout-mismatch, before it is too late: algorithm.rollout_correction.rollout_is=token",
        ("algorithm.rollout_correction.rollout_is",),
        _growing_mismatch,
    ),
    Rule(
        "missing-answers",
        "warn",
        "rollouts failed; verl pads or replaces them without a word",
        "any",
        "verl #7155, #7180",
        "look for 'Error in _run_prompt' in the log; trainer.v1.sampler.sync_refill_failed_groups=True replaces them",
        ("trainer.v1.sampler.sync_refill_failed_groups",),
        _missing_answers,
    ),
    Rule(
        "stale-groups",
        "warn",
        "rollouts are thrown away because the policy has moved on",
        "any",
        "verl/trainer/ppo/v1/replay_buffer.py, _evict_terminal_groups",
        "a larger trainer.v1.sampler.max_off_policy_threshold, or fewer rollouts in flight",
        ("trainer.v1.sampler.max_off_policy_threshold",),
        _stale_groups,
    ),
    Rule(
        "filtered-groups",
        "warn",
        "dynamic sampling throws most of what it samples away",
        f"more than {FILTERED_SHARE:.0%} of the groups for 3 steps",
        "DAPO, section 3.2 (arXiv:2503.14476)",
        "rows of the model's difficulty, a larger ROLLOUT_N",
        ("ROLLOUT_N",),
        _filtered_groups,
        of_learning=True,
    ),
    Rule(
        "scorer-errors",
        "warn",
        "answers count as wrong because they could not be scored",
        "any",
        "reward_score: what fails counts as 0",
        "the log says 'scorer_error' with the cause; REWARDS",
        ("REWARDS",),
        _scorer_errors,
    ),
    Rule(
        "scorer-stopped",
        "bad",
        "the scorer fails at nearly everything: the model is trained on noise",
        f"more than {SCORER_STOPPED:.0%} of the answers",
        "reward_score: what fails counts as 0",
        "stop the run, mend the scorer (the log says 'scorer_error' with the cause), resume from the checkpoint before",
        (),
        _scorer_stopped,
    ),
    Rule(
        "idle-device",
        "info",
        "the device waits: micro batches, or the rollout engine's budgets, are too small for it",
        f"MFU of the update below {LOW_MFU:.0%} for {STUCK_STEPS} steps",
        "usual trainings reach 30 to 50 % (PaLM, arXiv:2204.02311, table 3)",
        "if memory is free, a larger PPO_MAX_TOKEN_LEN and LOG_PROB_MAX_TOKEN_LEN; for the rollouts MAX_NUM_SEQS,"
        " GPU_MEMORY_UTILIZATION",
        ("PPO_MAX_TOKEN_LEN", "LOG_PROB_MAX_TOKEN_LEN", "MAX_NUM_SEQS", "GPU_MEMORY_UTILIZATION"),
        _low_mfu,
    ),
)

HANG = Rule(
    "step-hangs",
    "bad",
    "a step takes far longer than the steps before it",
    "2 times the usual time of such a step (with the validation and checkpoint due) and 1.3 times the slowest so far;"
    " among the first 4 steps, 3 times the slowest",
    "verl #4709, #5750, #7155: collectives, rollouts or scorers that never return",
    "the log says what each process waits for; END_IF_HUNG=10 ends such a run with exit code 75, so that a scheduler"
    " starts it again",
    ("END_IF_HUNG",),
)

LOG_RULES = (
    Rule(
        "engine-died",
        "bad",
        "the rollout engine is gone: no rollout will come any more",
        "the log says so",
        "vLLM: EngineDeadError",
        "its last words are in the log; out of memory: a lower GPU_MEMORY_UTILIZATION or MAX_NUM_SEQS",
        ("GPU_MEMORY_UTILIZATION", "MAX_NUM_SEQS"),
        log=re.compile(r"EngineDeadError|EngineCore (?:encountered a fatal error|failed to start|.*died unexpectedly)"),
    ),
    Rule(
        "worker-died",
        "bad",
        "a process of the run is gone",
        "the log says so",
        "Ray: ActorDiedError, worker failure",
        "exit code 137 or SIGKILL is the machine's memory: fewer workers, less offloading; else read its traceback",
        (),
        log=re.compile(
            r"(?:ActorDiedError|ActorUnavailableError|WorkerCrashedError|OutOfMemoryError: Task was killed)"
        ),
    ),
    Rule(
        "out-of-memory",
        "bad",
        "the device's memory is full",
        "the log says so",
        "torch: OutOfMemoryError",
        "smaller PPO_MAX_TOKEN_LEN or LOG_PROB_MAX_TOKEN_LEN, a lower GPU_MEMORY_UTILIZATION, PARAM_OFFLOAD=True",
        ("PPO_MAX_TOKEN_LEN", "LOG_PROB_MAX_TOKEN_LEN", "GPU_MEMORY_UTILIZATION", "PARAM_OFFLOAD"),
        log=re.compile(r"(?:CUDA|NPU) out of memory|torch\.(?:cuda\.)?OutOfMemoryError"),
    ),
    Rule(
        "disk-full",
        "bad",
        "nothing can be written any more, checkpoints first",
        "the log says so",
        "errno ENOSPC",
        "make room; a lower KEEP_CHECKPOINTS, a rarer SAVE_FREQ",
        ("KEEP_CHECKPOINTS", "SAVE_FREQ"),
        log=re.compile(r"No space left on device"),
    ),
    Rule(
        "collective-timeout",
        "bad",
        "the workers wait for one another in vain",
        "the log says so",
        "torch: ProcessGroupNCCL watchdog",
        "look at the worker that is not in the collective; network: NCCL_SOCKET_IFNAME, NCCL_DEBUG=INFO",
        (),
        log=re.compile(r"Watchdog caught collective operation timeout"),
    ),
    Rule(
        "rollout-failed",
        "warn",
        "answers of a group failed; verl trains on the rest",
        "the log says so",
        "verl #7155; verl/trainer/ppo/v1/agent_loop_tq.py, _run_prompt",
        "the traceback stands below that line; trainer.v1.sampler.sync_refill_failed_groups=True replaces such groups",
        ("trainer.v1.sampler.sync_refill_failed_groups",),
        log=re.compile(r"Error in _run_prompt"),
    ),
    Rule(
        "scorer-failed",
        "warn",
        "a part of the reward failed and counts as 0",
        "the log says so",
        "reward_score.composition, log_failure",
        "mend what it names; REWARDS",
        ("REWARDS",),
        log=re.compile(r"scorer_error: (.{1,600}?); it counts as 0"),
    ),
)
# Every line that a rule of the log understands has one of these in it.
LOG_WORDS = (
    *(b"EngineDeadError", b"EngineCore", b"ActorDiedError", b"ActorUnavailableError", b"WorkerCrashedError"),
    *(b"OutOfMemoryError", b"out of memory", b"No space left on device", b"Watchdog caught", b"_run_prompt"),
    b"scorer_error: ",
)
ALL_RULES = (*RULES, HANG, *LOG_RULES)
LEVELS = ("bad", "warn", "info")
