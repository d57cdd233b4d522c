"""A run on a screen of 80 columns."""

from statistics import fmean

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from grpo_launchpad.runs.pace import remaining_time

from .state import Status, WatchedRun

BLOCKS, PLAIN_BLOCKS = "▁▂▃▄▅▆▇█", "_.-=+*%#"
SPARKS = 40
COLOURS = {
    Status.FINISHED: "green",
    Status.TRAINING: "blue",
    Status.STARTING: "blue",
    Status.FAILED: "red",
    Status.DIED: "red",
    Status.INTERRUPTED: "yellow",
}
PARTS = (
    ("gen", "generate"),
    ("old_log_prob", "old log-probs"),
    ("ref", "reference"),
    ("update_actor", "update"),
    ("update_weights", "weights"),
    ("save_checkpoint", "save"),
)
STEPS_AVERAGED = 10
ALARMS_SHOWN = 5


def sparkline(values: list[float], width: int = SPARKS, blocks: str = BLOCKS) -> str:
    """Return values as a line of blocks from their lowest to their highest; several are averaged into one block."""
    if not values:
        return ""
    count = min(width, len(values))
    edges = [index * len(values) // count for index in range(count + 1)]
    means = [fmean(values[low:high]) for low, high in zip(edges, edges[1:], strict=False)]
    low, spread = min(means), max(means) - min(means)
    return "".join(blocks[round((mean - low) / spread * (len(blocks) - 1)) if spread else 0] for mean in means)


def render(watched: WatchedRun, console: Console) -> RenderableType:
    """Return everything about a run, for a screen of 80 columns or more."""
    blocks = BLOCKS if console.encoding.lower().startswith("utf") else PLAIN_BLOCKS
    status = watched.status()
    head = Text.assemble((watched.run.path.name, "bold"), "  ", (status.value, COLOURS.get(status, "yellow")))
    if watched.attempt and watched.attempt > 1:
        head.append(f"  attempt {watched.attempt}")
    lines: list[RenderableType] = [head]
    if status is Status.NOT_STARTED:
        lines.append(Text(f"no attempt is recorded in {watched.run.path}"))
        return Group(*lines)
    lines.append(_bar(watched, status))
    if status.is_over:
        lines.append(Text(watched.how_it_ended()))
    elif doing := watched.doing():
        lines.append(Text(f"now: {doing}", "dim"))
    lines.append(Padding(_table(watched, blocks), (1, 0, 0, 0)))
    alarms = watched.alarms()
    lines.append(Text(f"health: {len(alarms)} of the rules found something" if alarms else "health: nothing found"))
    for finding in alarms[:ALARMS_SHOWN]:
        lines.append(Padding(Text(str(finding), "red" if finding.rule.level == "bad" else "yellow"), (0, 0, 0, 2)))
    if len(alarms) > ALARMS_SHOWN:
        lines.append(Text(f"  and {len(alarms) - ALARMS_SHOWN} more; the report has all"))
    if watched.hang() and watched.stacks:
        lines.append(Text("what its processes wait for, as the log has it:"))
        lines += [Padding(Text(line, no_wrap=True, overflow="ellipsis"), (0, 0, 0, 2)) for line in watched.stacks[-12:]]
    return Group(*lines)


def _bar(watched: WatchedRun, status: Status) -> RenderableType:
    step, total = watched.pace.step, watched.total
    row = Table.grid(padding=(0, 2))
    left = "" if status.is_over else remaining_time(watched.pace.remaining(total))
    row.add_row(
        f"step {step}/{total}" if total else f"step {step}",
        ProgressBar(total=total or 1, completed=min(step, total or 0), width=28),
        left,
    )
    return row


def _table(watched: WatchedRun, blocks: str) -> Table:
    table = Table.grid(padding=(0, 2))
    history = watched.monitor.history

    def curve(name: str, values: list[float], form: str) -> None:
        if values:
            table.add_row(name, form.format(values[-1]), Text(sparkline(values, blocks=blocks)), form.format(values[0]))

    table.add_row("", Text("now", "dim"), "", Text("first", "dim"))
    curve("reward", watched.rewards(), "{:.3f}")
    curve("held-out accuracy", [value for _, value in watched.accuracies()], "{:.3f}")
    curve("response, tokens", history.all("response_length/mean"), "{:.0f}")
    curve("entropy, nats", history.all("actor/entropy"), "{:.3f}")
    curve("seconds a step", history.all("timing_s/step"), "{:.1f}")
    if parts := time_by_part(watched):
        table.add_row("time", "", Text(", ".join(f"{label} {share:.0%}" for label, share in parts)), "")
    return table


def time_by_part(watched: WatchedRun) -> list[tuple[str, float]]:
    """Return the share of each part in the time of the last steps, the largest first."""
    steps = watched.monitor.history.all("timing_s/step")[-STEPS_AVERAGED:]
    if not steps or not sum(steps):
        return []
    recent = [values for values in list(watched.metrics.values())[-STEPS_AVERAGED:] if "timing_s/step" in values]
    whole = sum(values["timing_s/step"] for values in recent)
    shares = [
        (label, sum(values.get(f"timing_s/{part}", 0.0) for values in recent) / whole if whole else 0.0)
        for part, label in PARTS
    ]
    shares.append(("other", max(0.0, 1 - sum(share for _, share in shares))))
    return sorted((each for each in shares if each[1] >= 0.005), key=lambda each: -each[1])
