"""The curves of the report, as data that its script draws."""

import math
from dataclasses import dataclass, field
from statistics import fmean

from grpo_launchpad.health.rules import DIVERGENCE, DIVERGENCE_LIMIT, PROBS_DIFF, PROBS_DIFF_LIMIT

from .run_folder import Run
from .summary import accuracies, components

DATA_SOURCES_DRAWN = 6
LONGEST_LABEL = 32
DIGITS = 4  # significant ones, which no picture shows more of

# gen ... save_checkpoint are parts of timing_s/step; verl measures testing after it.
STEP_PARTS = [
    ("gen", "generate", "blue"),
    ("old_log_prob", "old log-probs", "teal"),
    ("ref", "reference", "purple"),
    ("update_actor", "update actor", "orange"),
    ("update_weights", "update weights", "yellow"),
    ("save_checkpoint", "save", "green"),
]
COMPONENT_COLOURS = ("blue", "orange", "green", "purple", "teal", "red", "yellow", "grey")
STALENESS = "training/off_policy/trajectory_staleness"


@dataclass(frozen=True)
class Line:
    """A curve. ``colour`` is one of the page's; ``strong`` ones are drawn over the others, with their ends marked."""

    label: str
    colour: str
    steps: list[int]
    values: list[float]
    strong: bool = False


@dataclass(frozen=True)
class Chart:
    """One picture.

    Attributes:
        healthy: what a sound run looks like in it.
        lines: none if the run did not measure it.
        percent: whether the values are shares.
        limit: a value above which something is wrong.
        stacked: whether the lines are parts that add up.
        wide: whether it needs a row of its own.
    """

    title: str
    healthy: str
    lines: list[Line] = field(default_factory=list)
    percent: bool = False
    limit: float | None = None
    stacked: bool = False
    wide: bool = False

    def data(self) -> dict:
        """Return what the page's script needs."""
        return vars(self) | {"lines": [vars(line) for line in self.lines]}


# title, (metric, colour, label)..., what is healthy, more of Chart
_SIMPLE = [
    (
        "Response length",
        [("response_length/mean", "blue", "mean tokens"), ("response_length/max", "grey", "longest")],
        "Healthy: steady, or growing while accuracy grows. Growing alone is the model learning to ramble.",
        {},
    ),
    (
        "Responses cut off",
        [("response_length/clip_ratio", "red", "share that hit max_response_length")],
        "Healthy: close to 0. A cut-off answer cannot be right, however good the reasoning.",
        {"percent": True},
    ),
    (
        "Groups without signal",
        [("groups/without_signal", "orange", "all answers have one score")],
        "Healthy: well below 100 %. Such a group teaches nothing; at the end of a training that succeeds it grows.",
        {"percent": True},
    ),
    (
        "Entropy",
        [("actor/entropy", "purple", "nats per token")],
        "Healthy: falls slowly. Near 0 early, the model stops exploring; rising sharply, it falls apart.",
        {},
    ),
    (
        "KL divergence",
        [
            ("actor/kl_loss", "blue", "from the reference model"),
            ("actor/reward_kl_penalty", "teal", "penalty in the reward"),
            ("actor/ppo_kl", "orange", "within one update"),
        ],
        "Healthy: from the reference it grows slowly; within one update it stays near 0.",
        {},
    ),
    (
        "Gradient norm",
        [("actor/grad_norm", "green", "before clipping")],
        "Healthy: same order of magnitude throughout. Lone spikes are clipped; steady growth is instability.",
        {},
    ),
    (
        "Rollout against trainer",
        [(PROBS_DIFF, "teal", "mean probability difference")],
        f"Healthy: below the line at {PROBS_DIFF_LIMIT}. Above it, the two engines no longer agree on the policy.",
        {"limit": PROBS_DIFF_LIMIT},
    ),
    (
        "Divergence of rollout and trainer",
        [(DIVERGENCE, "blue", "k3, nats per token")],
        f"Healthy: far below {DIVERGENCE_LIMIT}, and flat. Growth ends in collapse.",
        {},
    ),
    (
        "Staleness",
        [
            (f"{STALENESS}/mean", "blue", "mean, steps"),
            (f"{STALENESS}_worst/max", "red", "worst, steps"),
            ("training/off_policy/evicted_samples", "grey", "groups thrown away"),
        ],
        "Healthy: 0 when training is synchronous; otherwise as few steps as the settings mean it to be.",
        {},
    ),
]


def learning(run: Run) -> list[Chart]:
    """Held-out accuracy and mean reward, the picture that says whether the run learned.

    A reward outside 0..1 is no share and must not stand on one axis with one: then there are two. None if neither was
    measured.
    """
    measured = accuracies(run)
    lines = []
    rewards = _line(run, "critic/rewards/mean", "orange", "mean training reward")
    if rewards:
        lines.append(rewards)
    names = sorted({name for values in measured.values() for name in values})
    if len(names) > 1:
        for name, colour in zip(
            names[:DATA_SOURCES_DRAWN], ("teal", "purple", "green", "yellow", "red", "grey"), strict=False
        ):
            here = {step: values[name] for step, values in measured.items() if name in values}
            lines.append(Line(_label(name), colour, list(here), _rounded(here.values())))
    if measured:
        label = "held-out accuracy" if len(names) == 1 else f"held-out accuracy, mean of {len(names)} data sets"
        means = [fmean(values.values()) for values in measured.values()]
        lines.append(Line(label, "blue", list(measured), _rounded(means), strong=True))
    if rewards and len(lines) > 1 and not all(-0.05 <= value <= 1.05 for value in rewards.values):
        accuracy = [line for line in lines if line is not rewards]
        return [
            Chart("Held-out accuracy", "", accuracy, percent=True, wide=True),
            Chart("Mean reward", "", [rewards], wide=True),
        ]
    shares = all(-0.05 <= value <= 1.05 for line in lines for value in line.values)
    return [Chart("Held-out accuracy and mean reward", "", lines, percent=shares, wide=True)] if lines else []


def panels(run: Run) -> list[Chart]:
    """The small pictures, in the order of the page; those that were not measured have no lines."""
    found = []
    for title, metrics, healthy, more in _SIMPLE:
        lines = [line for metric, colour, label in metrics if (line := _line(run, metric, colour, label))]
        if title == "Staleness" and not any(any(line.values) for line in lines):
            lines = []  # a synchronous run has none
        found.append(Chart(title, healthy, lines, **more))
    return [*found, *_components(run), _step_time(run)]


def _components(run: Run) -> list[Chart]:
    healthy = (
        "Means before weights, over the held-out answers and, where marked, over the training answers."
        " Healthy: correctness rises. Another component rising alone is being gamed."
    )
    named = zip(components(run).items(), COMPONENT_COLOURS, strict=False)
    lines = [Line(_label(name), colour, list(values), _rounded(values.values())) for (name, values), colour in named]
    # Characters beside a share of right answers need an axis of their own.
    small = [line for line in lines if all(abs(value) <= 2 for value in line.values)]
    large = [line for line in lines if line not in small]
    title = "Reward by component"
    if small and large:
        return [Chart(title, healthy, small, wide=True), Chart(f"{title}, large values", healthy, large, wide=True)]
    return [Chart(title, healthy, lines, wide=True)]


def _step_time(run: Run) -> Chart:
    healthy = (
        "Healthy: flat. Generation usually dominates; a part that grows over the run is worth a look."
        " Testing comes on top of a step."
    )
    steps, totals = run.series("timing_s/step")
    rest = list(totals)
    lines = []
    for part, label, colour in STEP_PARTS:
        seconds = [max(0.0, run.metrics[step].get(f"timing_s/{part}", 0.0)) for step in steps]
        if any(seconds):
            lines.append(Line(label, colour, steps, _rounded(seconds)))
            rest = [left - value for left, value in zip(rest, seconds, strict=True)]
    if any(value > 0 for value in rest):
        lines.append(Line("other", "grey", steps, _rounded(max(0.0, value) for value in rest)))
    testing = [run.metrics[step].get("timing_s/testing", 0.0) for step in steps]
    if any(testing):
        lines.append(Line("testing", "red", steps, _rounded(testing)))
    return Chart("Step time by part, seconds", healthy, lines, stacked=True, wide=True)


def _line(run: Run, metric: str, colour: str, label: str) -> Line | None:
    steps, values = run.series(metric)
    return Line(label, colour, steps, _rounded(values)) if steps else None


def _rounded(values) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else 0.0 for value in values]


def _label(name: str) -> str:
    return "".join(letter for letter in name if letter.isprintable())[:LONGEST_LABEL]
