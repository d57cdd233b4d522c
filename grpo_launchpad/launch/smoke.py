"""SMOKE=1: the launcher itself, its keys and its code path, on this machine's CPU.

The model is of the same architecture, shrunken; the data is the sample that comes with the project; what is counted in
hours or GPUs is made small. What the user sets by hand stays as it is, but for the model and the number of machines,
which are what a rehearsal does without.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from grpo_launchpad.launch.environment import UserError
from grpo_launchpad.launch.name import LauncherName

PROMPT_TOKENS = 1024  # a byte-level tokenizer gives a long problem as many
RESPONSE_TOKENS = 16
BATCH = 8
GROUP = 4
STEPS = 2
WORKERS_FSDP = 2
WORKERS_MEGATRON = 4
ATTENTION_HEADS = 4  # of the model
LAYERS = 2
LEARNING_RATE = "1e-3"
RANK = 8
REWARD = "length(target=12):-0.01"
MODEL_PREFIX = "smoke:"

# Keys in a launcher's arrays that a CPU or a model of two layers has no use for.
WITHOUT_USE = re.compile(
    r".*\.(num_layers_in_(first|last)_pipeline_stage|optimizer_cpu_offload|optimizer_offload_fraction"
    r"|overlap_cpu_optimizer_d2h_h2d|use_precision_aware_optimizer)"
)
# What the recipe chooses for its GPUs; verl's defaults will do.
LEFT_OUT = (
    "ROLLOUT_DP",
    "ROLLOUT_EP",
    "SP_SIZE",
    "FSDP_SIZE",
    "LOG_PROB_MAX_TOKEN_LEN",
    "MAX_NUM_SEQS",
    "MAX_NUM_BATCHED_TOKENS",
)

# What changes, for a reader: (what, how).
TABLE = (
    (
        "model",
        "same class and kinds of layers, 2 layers, random weights; the real tokenizer if it is on this machine, else "
        "one of bytes",
    ),
    ("machines", "1"),
    (
        "workers, FSDP2",
        "2 if the recipe has more than one, so that weights are sharded; rollout TP at most 2",
    ),
    (
        "workers, Megatron",
        "the recipe's layout if 4 processes hold it; else its largest sizes are halved, down to 2: each way of sharing "
        "the work that the recipe has remains. GLM-4.5-Air has TP, PP and CP, and takes 8 processes, 19 GiB and 4 to 5 "
        "minutes. Rollout TP at most 4",
    ),
    (
        "Megatron's optimizer states on the host, numbers of layers in the first and last stage",
        "verl's defaults",
    ),
    ("data", "the sample in `data_prep/samples`"),
    (
        "batch",
        "8 prompts, at most 4 samples each; two mini batches a step if the recipe has several, else one",
    ),
    ("lengths", "1,024 tokens of prompt, 16 of response"),
    ("steps", "2, then a validation and a checkpoint"),
    (
        "reward",
        "`length(target=12):-0.01` beside the recipe's, since random weights answer nothing right and equal rewards "
        "would move no weight",
    ),
    (
        "learning rate",
        "1e-3 from the first step on, so that the second step samples from weights that the first one changed",
    ),
    ("LoRA", "rank at most 8"),
    ("FSDP size, Ulysses, rollout DP and EP, engine limits", "verl's defaults"),
)


@dataclass
class Smoke:
    """What a smoke run sets and leaves out.

    Attributes:
        knobs: knob -> value, those that the user did not set.
        left_out: knobs that set nothing in a smoke run.
    """

    knobs: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


class _Knobs:
    """The knobs while a smoke run makes them small; those set by hand cannot be changed."""

    def __init__(self, value_of: Callable[[str], str], by_hand: Callable[[str], bool]):
        self.value_of, self.by_hand = value_of, by_hand
        self.smoke = Smoke()

    def text(self, knob: str) -> str:
        return self.smoke.knobs.get(knob, "" if knob in self.smoke.left_out else self.value_of(knob))

    def number(self, knob: str, default: int = 1) -> int:
        """Return a whole number; the checks complain of what is none."""
        text = self.text(knob)
        return int(text) if re.fullmatch(r"-?\d+", text) else default

    def set(self, knob: str, value: object) -> None:
        if not self.by_hand(knob):
            self.smoke.knobs[knob] = str(value)

    def at_most(self, knob: str, limit: int) -> None:
        if self.text(knob) and self.number(knob) > limit:
            self.set(knob, limit)

    def leave_out(self, knob: str) -> None:
        if not self.by_hand(knob):
            self.smoke.knobs.pop(knob, None)
            self.smoke.left_out.append(knob)


def make_small(
    name: LauncherName, value_of: Callable[[str], str], by_hand: Callable[[str], bool], data_folder: str
) -> Smoke:
    """Return what SMOKE=1 changes in a launch.

    Args:
        name: the launcher's.
        value_of: a knob's value without SMOKE, "" if it has none.
        by_hand: whether the user set a knob, or the key that it sets, for this launch.
        data_folder: where the sample's files will be.

    Raises:
        UserError: if the launch cannot run on a CPU.
    """
    knobs = _Knobs(value_of, by_hand)
    _layout(name, knobs)
    # Whatever the user says of these: the published model and a second machine are what a rehearsal does without.
    knobs.smoke.knobs["MODEL_PATH"] = MODEL_PREFIX + value_of("MODEL_PATH")
    knobs.smoke.knobs["NNODES"] = "1"

    knobs.set("TRAIN_FILES", f"{data_folder}/train.parquet")
    knobs.set("VAL_FILES", f"{data_folder}/test.parquet")
    several_updates = knobs.number("PPO_MINI_BATCH_SIZE") < knobs.number("TRAIN_BATCH_SIZE")
    knobs.set("TRAIN_BATCH_SIZE", BATCH)
    batch = knobs.number("TRAIN_BATCH_SIZE")
    knobs.set("PPO_MINI_BATCH_SIZE", batch // 2 if several_updates and batch % 2 == 0 else batch)
    knobs.set("VAL_ROWS", BATCH)
    knobs.at_most("ROLLOUT_N", GROUP)
    if name.device != "cpu":
        knobs.set("MAX_PROMPT_LENGTH", PROMPT_TOKENS)
    knobs.at_most("MAX_RESPONSE_LENGTH", RESPONSE_TOKENS)
    longest = knobs.number("MAX_PROMPT_LENGTH") + knobs.number("MAX_RESPONSE_LENGTH")
    knobs.set("PPO_MAX_TOKEN_LEN", max(4 * PROMPT_TOKENS, longest))
    # Random weights answer nothing right. The length of what they say differs, and makes for advantages and an update.
    rewards = knobs.text("REWARDS") or "correctness:1.0"
    if "length" not in rewards and not rewards.endswith((".yaml", ".yml")):
        knobs.set("REWARDS", f"{rewards},{REWARD}")
    knobs.set("ACTOR_LR", LEARNING_RATE)  # an update that shows in the rollout engine's 16-bit weights
    knobs.at_most("LR_WARMUP_STEPS", 0)
    knobs.at_most("LORA_RANK", RANK)
    for knob in ("TRAIN_STEPS", "TEST_FREQ", "SAVE_FREQ"):
        knobs.set(knob, STEPS)
    knobs.set("VAL_BEFORE_TRAIN", "False")
    for knob in LEFT_OUT:
        knobs.leave_out(knob)
    return knobs.smoke


def _layout(name: LauncherName, knobs: _Knobs) -> None:
    """Share the work out over few workers.

    One or two with FSDP. With Megatron, the recipe's layout if four hold it; else its largest sizes are halved, down to
    two, so that each way of sharing the work that it has is still one.
    """
    workers = knobs.number("NNODES") * knobs.number("NGPUS_PER_NODE")
    if name.engine == "megatron":
        _refuse_without_bridge(name, knobs)
        knobs.at_most("ACTOR_PP", LAYERS)
        knobs.leave_out("ACTOR_VPP")
        while (workers := _workers(knobs)) > WORKERS_MEGATRON and _halve_largest(knobs):
            pass
    else:
        workers = min(workers, WORKERS_FSDP)
    knobs.set("NGPUS_PER_NODE", workers)
    knobs.set("ROLLOUT_TP", min(knobs.number("ROLLOUT_TP", 2), ATTENTION_HEADS, knobs.number("NGPUS_PER_NODE")))


def _workers(knobs: _Knobs) -> int:
    """Return how many workers the layout needs."""
    dense = knobs.number("ACTOR_TP") * knobs.number("ACTOR_CP")
    experts = knobs.number("ACTOR_EP") * knobs.number("ACTOR_ETP", knobs.number("ACTOR_TP"))
    return knobs.number("ACTOR_PP") * max(dense, experts)


def _halve_largest(knobs: _Knobs) -> bool:
    """Halve the largest size that may be changed; return False if none is above two."""
    sizes = [knob for knob in ("ACTOR_TP", "ACTOR_CP", "ACTOR_EP", "ACTOR_ETP") if not knobs.by_hand(knob)]
    largest = max(sizes, key=knobs.number, default=None)  # the first of equals
    if largest is None or knobs.number(largest) <= 2:
        return False
    knobs.set(largest, max(knobs.number(largest) // 2, 2))
    return True


def _refuse_without_bridge(name: LauncherName, knobs: _Knobs) -> None:
    """On a CPU, verl's Megatron engine has the older of its two bridges, mbridge. It has no adapters, and of
    vision-language models only those of transformers 4.
    """
    what = ""
    if "-vl-" in name.model or name.model.startswith("qwen3.5-"):
        what = "this model"
    if knobs.number("LORA_RANK", 0) > 0:
        what = "an adapter"
    if what:
        raise UserError(f"SMOKE=1 needs Megatron-Bridge for {what}, which needs Python 3.12 and Transformer Engine")
