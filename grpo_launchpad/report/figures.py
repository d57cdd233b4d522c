"""The pictures of the report as SVG: text stays text, colours can follow the page's light or dark scheme."""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from statistics import fmean

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from grpo_launchpad.health.rules import PROBS_DIFF, PROBS_DIFF_LIMIT

from .run_folder import Run
from .summary import accuracies, components

# Colour in the file -> CSS variable in the page, so that one drawing serves both schemes.
INK, MUTED, GRID, CARD = "#1f2430", "#667080", "#e2e5ea", "#ffffff"
BLUE, ORANGE, GREEN, RED, PURPLE, TEAL, YELLOW, GREY = (
    "#2a66d9",
    "#d06a12",
    "#2b8a4b",
    "#c93434",
    "#8250c4",
    "#12858d",
    "#b58a00",
    "#98a0ad",
)
PAGE_COLOURS = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    CARD: "card",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    RED: "red",
    PURPLE: "purple",
    TEAL: "teal",
    YELLOW: "yellow",
    GREY: "grey",
}
RC = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a data source may be called $x$
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.facecolor": CARD,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": CARD,
    "savefig.facecolor": CARD,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
DOTS_UP_TO = 40  # more points than this are drawn as a line only
TIME_BARS = 40  # steps are averaged into at most so many bars
DATA_SOURCES_DRAWN = 6
LONGEST_LABEL = 32

# gen ... save_checkpoint are parts of timing_s/step; verl measures testing after it.
STEP_PARTS = [
    ("gen", "generate", BLUE),
    ("old_log_prob", "old log-probs", TEAL),
    ("ref", "reference", PURPLE),
    ("update_actor", "update actor", ORANGE),
    ("update_weights", "update weights", YELLOW),
    ("save_checkpoint", "save", GREEN),
]


@dataclass(frozen=True)
class Panel:
    """One small picture: `svg` is None when the run did not measure it, `wide` when it needs a row of its own."""

    title: str
    svg: str | None
    healthy: str
    wide: bool = False


def learning_curve(run: Run) -> str | None:
    """Held-out accuracy and mean reward over steps, the picture that says whether the run learned."""
    measured = accuracies(run)
    reward = run.series("critic/rewards/mean")
    if not measured and not reward[0]:
        return None

    def draw(figure: Figure) -> None:
        # A reward outside 0..1 is no fraction and must not share an axis with one.
        shared = all(-0.05 <= value <= 1.05 for value in reward[1])
        if shared or not measured:
            above = below = figure.add_subplot()
        else:
            above, below = figure.subplots(2, 1, sharex=True)
        if reward[0]:
            _plot(below, *reward, ORANGE, "mean training reward")
        if measured:
            _plot_accuracies(above, measured)
        for axes in dict.fromkeys((above, below)):
            _mark_resumes(axes, run)
            _legend(axes)
            if shared or axes is above and measured:
                axes.set_ylim(-0.03, 1.06)
                axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        below.set_xlabel("training step")

    return _svg("learning-curve", (5.8, 2.9), draw)


def panels(run: Run) -> list[Panel]:
    """The small pictures, in the order of the page."""
    return [
        _lines(
            run,
            "Response length",
            [("response_length/mean", BLUE, "mean tokens")],
            "Healthy: steady, or growing while accuracy grows. Growing alone is the model learning to ramble.",
        ),
        _lines(
            run,
            "Responses cut off",
            [("response_length/clip_ratio", RED, "share that hit max_response_length")],
            "Healthy: close to 0. A cut-off answer cannot be right, however good the reasoning.",
            percent=True,
        ),
        _lines(
            run,
            "Entropy",
            [("actor/entropy", PURPLE, "nats per token")],
            "Healthy: falls slowly. Near 0 early, the model stops exploring; rising sharply, it falls apart.",
        ),
        _lines(
            run,
            "KL divergence",
            [
                ("actor/kl_loss", BLUE, "from the reference model"),
                ("actor/reward_kl_penalty", TEAL, "penalty in the reward"),
                ("actor/ppo_kl", ORANGE, "within one update"),
            ],
            "Healthy: from the reference it grows slowly; within one update it stays near 0.",
        ),
        _lines(
            run,
            "Gradient norm",
            [("actor/grad_norm", GREEN, "before clipping")],
            "Healthy: same order of magnitude throughout. Lone spikes are clipped; steady growth is instability.",
        ),
        _lines(
            run,
            "Rollout against trainer",
            [(PROBS_DIFF, TEAL, "mean probability difference")],
            f"Healthy: below the line at {PROBS_DIFF_LIMIT}. Above it, the two engines no longer agree on the policy.",
            limit=PROBS_DIFF_LIMIT,
        ),
        _components(run),
        _step_time(run),
    ]


def for_page(svg: str, description: str) -> str:
    """The same drawing with the page's colours and no size of its own; `description` must be safe in an attribute."""
    for colour, variable in PAGE_COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)


def _lines(
    run: Run,
    title: str,
    metrics: list[tuple[str, str, str]],
    healthy: str,
    limit: float | None = None,
    percent: bool = False,
) -> Panel:
    measured = [(*run.series(metric), colour, label) for metric, colour, label in metrics]
    measured = [line for line in measured if line[0]]
    if not measured:
        return Panel(title, None, healthy)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for steps, values, colour, label in measured:
            _plot(axes, steps, values, colour, label)
        if limit is not None:
            axes.axhline(limit, color=RED, linewidth=1, linestyle=(0, (4, 3)), label=f"limit {limit:g}")
            axes.set_ylim(bottom=0)
        if percent:
            axes.set_ylim(-0.02, max(0.1, *(1.1 * value for line in measured for value in line[1])))
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        _mark_resumes(axes, run)
        _legend(axes)

    return Panel(title, _svg(title, (3.6, 2.0), draw), healthy)


def _components(run: Run) -> Panel:
    title = "Reward by component"
    healthy = (
        "Means before weights, over the held-out answers and, where marked, over the training answers."
        " Healthy: correctness rises. Another component rising alone is being gamed."
    )
    measured = components(run)
    if not measured:
        return Panel(title, None, healthy)

    colours = (BLUE, ORANGE, GREEN, PURPLE, TEAL, RED, YELLOW, GREY)
    lines = list(zip(measured.items(), colours, strict=False))
    # Characters beside a share of right answers need an axis of their own.
    small = [line for line in lines if all(abs(value) <= 2 for value in line[0][1].values())]
    groups = [group for group in (small, [line for line in lines if line not in small]) if group]

    def draw(figure: Figure) -> None:
        for axes, group in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups, strict=True):
            for (name, values), colour in group:
                _plot(axes, list(values), list(values.values()), colour, _label(name))
            _mark_resumes(axes, run)
            _legend(axes, columns=8 // len(groups))

    return Panel(title, _svg(title, (8.4, 2.2), draw), healthy, wide=True)


def _step_time(run: Run) -> Panel:
    title = "Step time by part"
    healthy = (
        "Healthy: flat. Generation usually dominates; a part that grows over the run is worth a look."
        " Testing comes on top of a step."
    )
    steps, totals = run.series("timing_s/step")
    if not steps:
        return Panel(title, None, healthy)
    chunk = -(-len(steps) // TIME_BARS)
    chunks = [steps[start : start + chunk] for start in range(0, len(steps), chunk)]
    edges = [float(part[0]) - 0.5 for part in chunks] + [steps[-1] + 0.5]

    def mean_seconds(part: str) -> list[float]:
        return [fmean(run.metrics[step].get(f"timing_s/{part}", 0.0) for step in group) for group in chunks]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        base = [0.0] * len(chunks)

        def stack(seconds: list[float], label: str, colour: str) -> None:
            nonlocal base
            if not any(value > 0 for value in seconds):
                return
            top = [low + max(value, 0.0) for low, value in zip(base, seconds, strict=True)]
            axes.stairs(top, edges, baseline=base, fill=True, color=colour, label=label, linewidth=0)
            base = top

        for part, label, colour in STEP_PARTS:
            stack(mean_seconds(part), label, colour)
        whole = mean_seconds("step")
        stack([total - known for total, known in zip(whole, base, strict=True)], "other", GREY)
        stack(mean_seconds("testing"), "testing", RED)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("seconds")
        _legend(axes, columns=8)

    return Panel(title, _svg(title, (8.4, 2.2), draw), healthy, wide=True)


def _plot(axes: Axes, steps: list[int], values: list[float], colour: str, label: str) -> None:
    if len(steps) <= DOTS_UP_TO:
        axes.plot(steps, values, color=colour, label=label, marker="o", markersize=2.5)
        return
    # A long run is noise around a trend: the points stay visible, the running mean carries the eye.
    half = max(1, len(values) // 40)
    smooth = [fmean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    axes.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
    axes.plot(steps, smooth, color=colour, label=label)


def _plot_accuracies(axes: Axes, measured: dict[int, dict[str, float]]) -> None:
    steps = list(measured)
    mean = [fmean(values.values()) for values in measured.values()]
    names = sorted({name for values in measured.values() for name in values})
    if len(names) > 1:
        for name, colour in zip(names[:DATA_SOURCES_DRAWN], (TEAL, PURPLE, GREEN, YELLOW, RED, GREY), strict=False):
            here = [step for step in steps if name in measured[step]]
            axes.plot(here, [measured[step][name] for step in here], color=colour, linewidth=1, label=_label(name))
    label = "held-out accuracy" if len(names) == 1 else f"held-out accuracy, mean of {len(names)} data sets"
    marker = "o" if len(steps) <= DOTS_UP_TO else None
    axes.plot(steps, mean, color=BLUE, linewidth=2.2, marker=marker, markersize=4, label=label)
    axes.margins(x=0.11)  # room for the two numbers beside the ends
    ends = [(0, -7, "right"), (-1, 7, "left")]
    for at, offset, side in ends if len(steps) > 1 else ends[1:]:
        axes.annotate(
            f"{mean[at]:.1%}",
            (steps[at], mean[at]),
            xytext=(offset, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            color=BLUE,
            fontweight="bold",
        )


def _label(name: str) -> str:
    return "".join(letter for letter in name if letter.isprintable())[:LONGEST_LABEL]


def _mark_resumes(axes: Axes, run: Run) -> None:
    for attempt in run.attempts[1:]:
        if attempt.steps:
            axes.axvline(attempt.steps[0] - 0.5, color=GREY, linewidth=1, linestyle=(0, (1, 2)))


def _legend(axes: Axes, columns: int = 3) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        fontsize=8,
        handlelength=1.2,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def _svg(name: str, inches: tuple[float, float], draw: Callable[[Figure], None]) -> str:
    """Draw and return the bare <svg> element; ids are kept only where something refers to them."""
    with matplotlib.rc_context({**RC, "svg.hashsalt": name}), warnings.catch_warnings():
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        text = StringIO()
        # The reader's browser draws the text, so a glyph that is missing here is not missing there.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = text.getvalue()
    return re.sub(r'<g id="[^"]*"', "<g", svg[svg.index("<svg") :])
