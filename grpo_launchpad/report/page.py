"""The report as one HTML file that needs nothing else: no network, no fonts; its script is in it."""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from grpo_launchpad.health.rules import DIVERGENCE_LIMIT, PROBS_DIFF_LIMIT
from grpo_launchpad.runs.pace import duration

from .charts import Chart, learning, panels
from .remarks import remarks
from .rollouts import TEXT_BUDGET, Rollouts, collect, shortened
from .run_folder import Run
from .samples import compare_validations

LONGEST_TEXT = 1500  # characters of a prompt or an answer; the dumps hold the rest
LARGEST = 9_000_000  # bytes of packed data; texts that compress badly get less room
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        html: the whole file.
        data: what its script draws, as ``pack`` made it.
        charts: the titles of the pictures that it has.
    """

    html: str
    data: str
    charts: list[str]


def render(run: Run, summary: dict, live: str | None = None) -> Page:
    """The report of a run. All text of the run is escaped, or reaches the page as data.

    Args:
        live: the path under which the page is served and can ask for news, or None for a file.
    """
    learned, others = learning(run), panels(run)
    charts = [*learned, *others]
    pictures = list(enumerate(charts))
    budget = TEXT_BUDGET
    while True:
        rollouts = collect(run, budget)
        data = pack(_data(run, charts, rollouts) | {"live": live, "version": 0})
        if len(data) <= LARGEST or budget < LARGEST // 100:
            break
        budget //= 2
    html = (
        environment()
        .get_template("template.html.j2")
        .render(
            run=run,
            summary=summary,
            remarks=remarks(run, summary),
            learned=pictures[: len(learned)],
            pictures=[(number, chart) for number, chart in pictures[len(learned) :] if chart.lines],
            not_measured=[chart.title for chart in others if not chart.lines],
            comparison=compare_validations(run),
            rollouts=rollouts,
            limit=PROBS_DIFF_LIMIT,
            divergence_limit=DIVERGENCE_LIMIT,
            data=data,
            **style_and_script(),
        )
    )
    return Page(html, data, [chart.title for chart in charts if chart.lines])


def _data(run: Run, charts: list[Chart], rollouts: Rollouts) -> dict:
    return {
        "charts": [chart.data() for chart in charts],
        "resumes": [attempt.steps[0] for attempt in run.attempts[1:] if attempt.steps],
        "rollouts": rollouts.data() if rollouts.steps else None,
    }


def environment() -> Environment:
    """Return the templates' environment, with the filters that they use."""
    found = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    found.filters |= {
        "duration": duration,
        "shortened": lambda text: shortened(text, LONGEST_TEXT),
        "percent": lambda value: "–" if value is None else f"{value:.1%}",
        "number": lambda value, digits=4: "–" if value is None else f"{value:.{digits}g}",
        "count": lambda value: "–" if value is None else f"{value:,.0f}",
    }
    return found


def style_and_script() -> dict[str, Markup]:
    """Return the parts of a page that are the same in all; its policy runs this script and no other."""
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "style": Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "script_hash": Markup(f"sha256-{digest}"),
    }


def pack(data: dict) -> str:
    """Return data as the page's script unpacks it: JSON, gzip, base64."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8", errors="replace"), 6, mtime=0)).decode()
