"""The learning curve as an SVG file, for a README or a chat: text stays text."""

import re
import warnings
from collections.abc import Callable
from io import StringIO
from statistics import fmean

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .run_folder import Run
from .summary import accuracies

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
POINTS = 1000  # of a longer run, neighbours are averaged
DATA_SOURCES_DRAWN = 6
LONGEST_LABEL = 32


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


def _plot(axes: Axes, steps: list[int], values: list[float], colour: str, label: str) -> None:
    if len(steps) <= DOTS_UP_TO:
        axes.plot(steps, values, color=colour, label=label, marker="o", markersize=2.5)
        return
    size = -(-len(steps) // POINTS)
    starts = range(0, len(steps), size)
    steps, values = steps[::size], [fmean(values[start : start + size]) for start in starts]
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
