"""Several runs in one page: their curves on the same axes, what their configurations differ in, how they ended."""

import re
from pathlib import Path
from statistics import fmean

import yaml

from .charts import Chart, Line, learning, panels
from .page import environment, pack, style_and_script
from .remarks import health
from .run_folder import Run
from .summary import accuracies, summarize

COLOURS = ("blue", "orange", "green", "purple", "red", "teal", "yellow", "grey")
LONGEST_VALUE = 80  # characters of a setting
# Settings that name the run and its place, not what it does.
_NAMES = re.compile(
    r"trainer\.(?:experiment_name|default_local_dir|rollout_data_dir|validation_data_dir)|hydra\..*|ray_kwargs\..*py_exec.*"
)


class TooManyRunsError(Exception):
    """More runs than there are colours."""


def names_of(runs: list[Run]) -> list[str]:
    """Return a name for each run: its own, and as much of its path as it takes to tell them apart."""
    names = [run.identity.get("name") or run.folder.name for run in runs]
    if len(set(names)) == len(names):
        return list(map(str, names))
    paths = [run.folder.resolve().parts for run in runs]
    for count in range(1, max(map(len, paths)) + 1):
        names = ["/".join(path[-count:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def render(runs: list[Run]) -> str:
    """Return the page that compares runs.

    Raises:
        TooManyRunsError: if there are more than eight.
    """
    if len(runs) > len(COLOURS):
        raise TooManyRunsError(f"{len(runs)} runs; a picture can tell {len(COLOURS)} apart")
    names = names_of(runs)
    charts = _charts(runs, names)
    summaries = [summarize(run) for run in runs]
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            names=names,
            colours=COLOURS,
            summaries=summaries,
            findings=[health(run).alarms() for run in runs],
            charts=list(enumerate(charts)),
            differences=differences([run.config for run in runs]),
            unrecorded=[name for name, run in zip(names, runs, strict=True) if not run.config],
            data=pack({"charts": [chart.data() for chart in charts], "resumes": [], "rollouts": None, "live": None}),
            **style_and_script(),
        )
    )


def _charts(runs: list[Run], names: list[str]) -> list[Chart]:
    """Return one picture for each thing that several pictures of a run show, with a line for each run."""
    accuracy = []
    for run, name, colour in zip(runs, names, COLOURS, strict=False):
        if measured := accuracies(run):
            means = [fmean(values.values()) for values in measured.values()]
            accuracy.append(Line(name, colour, list(measured), means, strong=True))
    found = [Chart("Held-out accuracy", "", accuracy, percent=True, wide=True)] if accuracy else []
    rewards = _overlaid("Mean training reward", "", [_first_line(learning(run), "reward") for run in runs], names)
    found += [rewards] if rewards.lines else []
    of_runs = [{chart.title: chart for chart in panels(run)} for run in runs]
    for title, chart in of_runs[0].items():
        most = max((charts[title].lines for charts in of_runs if title in charts), key=len)
        if not most or chart.stacked or "component" in title:
            continue
        label = most[0].label  # of several lines, the one that says most
        lines = [next((ln for ln in charts[title].lines if ln.label == label), None) for charts in of_runs]
        more = {"percent": chart.percent, "limit": chart.limit}
        found.append(_overlaid(f"{title}: {label}", chart.healthy, lines, names, **more))
    seconds = [run.series("timing_s/step") for run in runs]
    lines = [Line("", "", *values) if values[0] else None for values in seconds]
    if any(lines):
        found.append(_overlaid("Seconds a step", "", lines, names))
    return found


def _first_line(charts: list[Chart], word: str) -> Line | None:
    return next((line for chart in charts for line in chart.lines if word in line.label), None)


def _overlaid(title: str, healthy: str, lines: list[Line | None], names: list[str], **more) -> Chart:
    drawn = [
        Line(name, colour, line.steps, line.values)
        for line, name, colour in zip(lines, names, COLOURS, strict=False)
        if line is not None
    ]
    return Chart(title, healthy, drawn, **more)


def differences(configurations: list[str | None]) -> list[tuple[str, list[str]]]:
    """Return (key, value in each run) of the settings that are not the same in all runs.

    Args:
        configurations: each run's resolved.yaml; a run without one has "–" everywhere.
    """
    flat = [_flat(_tree(text)) for text in configurations]
    keys = sorted({key for settings in flat for key in settings})
    found = []
    for key in keys:
        values = [settings.get(key, "–") for settings in flat]
        known = [value for value, text in zip(values, configurations, strict=True) if text]
        if len(set(known)) > 1 and not _NAMES.fullmatch(key):
            found.append((key, [value[:LONGEST_VALUE] for value in values]))
    return found


def _tree(text: str | None) -> object:
    try:
        return yaml.load(text or "", Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return None


def _flat(tree: object, key: str = "") -> dict[str, str]:
    if isinstance(tree, dict):
        flat: dict[str, str] = {}
        for name, value in tree.items():
            flat |= _flat(value, f"{key}.{name}" if key else str(name))
        return flat
    return {key: str(tree)} if key else {}


def default_path(folders: list[Path]) -> Path:
    """Return where the page goes: beside the first run."""
    return folders[0].resolve().parent / "comparison.html"
