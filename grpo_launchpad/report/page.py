"""The report as one HTML file that needs nothing else: no network, no scripts, no fonts."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from grpo_launchpad.health.rules import DIVERGENCE_LIMIT, PROBS_DIFF_LIMIT
from grpo_launchpad.runs.pace import duration

from .figures import for_page, panels
from .remarks import remarks
from .run_folder import Run
from .samples import compare_validations, last_training_groups

LONGEST_TEXT = 1500  # characters of a prompt or an answer; the dumps hold the rest
ANSWERS_SHOWN = 3


def render(run: Run, summary: dict, curve: str | None) -> str:
    """The report of a run; `curve` is the SVG of `figures.learning_curve`. All text of the run is escaped."""
    comparison = compare_validations(run)
    step_and_groups = last_training_groups(run)
    groups = step_and_groups[1] if step_and_groups else []
    pictures = panels(run)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "duration": duration,
        "shortened": _shortened,
        "percent": lambda value: "–" if value is None else f"{value:.1%}",
        "number": lambda value, digits=4: "–" if value is None else f"{value:.{digits}g}",
        "count": lambda value: "–" if value is None else f"{value:,.0f}",
    }
    return environment.get_template("template.html.j2").render(
        run=run,
        summary=summary,
        curve=curve and Markup(for_page(curve, "Held-out accuracy and mean reward over training steps")),
        remarks=remarks(run, summary),
        panels=[(panel, Markup(for_page(panel.svg, panel.title))) for panel in pictures if panel.svg],
        not_measured=[panel.title for panel in pictures if not panel.svg],
        comparison=comparison,
        groups_step=step_and_groups[0] if step_and_groups else None,
        groups=_worst_and_best(groups),
        answers_shown=ANSWERS_SHOWN,
        limit=PROBS_DIFF_LIMIT,
        divergence_limit=DIVERGENCE_LIMIT,
    )


def _worst_and_best(groups: list) -> list:
    if not groups:
        return []
    if len(groups) == 1:
        return [("The only group", groups[0])]
    return [("Worst group", groups[0]), ("Best group", groups[-1])]


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    # The end is kept as well: that is where the final answer stands.
    half = LONGEST_TEXT // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"
