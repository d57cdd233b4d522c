"""The results as one SVG: accuracy with its interval, and pass@k and maj@k over k."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter, ScalarFormatter

from grpo_launchpad.report.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, RC, RED, TEAL, YELLOW

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, TEAL, RED, YELLOW, GREY)
_AT_K = re.compile(r"(avg|pass|maj)@(\d+)")


def draw(results: Mapping) -> str:
    """Return the picture: a row for each data file, and beside the accuracies a panel over k if there are samples."""
    data, over_k = results["data"], results["samples"] > 1
    models = [model["name"] for model in results["models"]]
    height = 0.9 + len(data) * max(1.6, 0.5 + 0.32 * len(models)) * (1.4 if over_k else 1.0)
    # A hash of its own salts the ids of an SVG, so that the same results give the same file.
    with matplotlib.rc_context({**RC, "svg.hashsalt": "evaluate"}):
        figure = Figure(figsize=(9.0 if over_k else 6.0, height), layout="constrained")
        grid = figure.subplots(len(data), 2 if over_k else 1, squeeze=False)
        for axes, file in zip(grid, data, strict=True):
            rows = [row for row in results["results"] if row["data"] == file["name"]]
            _accuracies(axes[0], rows, f"{file['name']}, {file['problems']} problems")
            if over_k:
                _over_k(axes[1], rows)
        svg = StringIO()
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    return svg.getvalue()


def _accuracies(axes: Axes, rows: Sequence[Mapping], title: str) -> None:
    name = next(iter(rows[0]["metrics"]))
    for place, row in enumerate(rows):
        metric, colour = row["metrics"][name], COLOURS[place % len(COLOURS)]
        if metric["low"] is not None:
            axes.plot([metric["low"], metric["high"]], [place, place], color=colour, linewidth=2.5, alpha=0.45)
        axes.plot(metric["value"], place, "o", color=colour)
        label = f"{metric['value']:.1%}"
        axes.annotate(label, (metric["value"], place), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [row["model"] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_xlabel(f"{name}, 95 % interval over problems")


def _over_k(axes: Axes, rows: Sequence[Mapping]) -> None:
    shown: set[int] = set()
    for place, row in enumerate(rows):
        lines: dict[str, list[tuple[int, Mapping]]] = {"pass": [], "maj": []}
        for metric, value in row["metrics"].items():
            kind, k = _AT_K.fullmatch(metric).groups()
            if kind == "avg":
                lines["pass"].append((1, value))
                lines["maj"].append((1, value))
            else:
                lines[kind].append((int(k), value))
        for kind, points in lines.items():
            if len(points) < 2:
                continue
            ks = [k for k, _ in points]
            shown.update(ks)
            colour = COLOURS[place % len(COLOURS)]
            style = "-" if kind == "pass" else "--"
            axes.plot(ks, [value["value"] for _, value in points], style, color=colour, marker="o", markersize=3)
            if kind == "pass" and points[0][1]["low"] is not None:
                low, high = ([value[end] for _, value in points] for end in ("low", "high"))
                axes.fill_between(ks, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sorted(shown)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("k")
    axes.set_title("pass@k (line), maj@k (dashed)", loc="left", fontsize=9)
