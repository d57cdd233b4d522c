"""What a person sees of a plan: its settings by origin, what a smoke run made small, and a launcher's help."""

import shutil
import textwrap

from grpo_launchpad.launch.environment import FLAGS, PLACES
from grpo_launchpad.launch.knobs import knobs_of
from grpo_launchpad.launch.page import Page
from grpo_launchpad.launch.plan import TITLES, Plan, Source

REASON_COLUMN = 68


def settings_by_origin(plan: Plan) -> str:
    """Return every setting of a plan under the name of who set it, with the knob or the reason."""
    lines = []
    for source, title in TITLES.items():
        members = [setting for setting in plan.settings.values() if setting.origin.source is source]
        if not members:
            continue
        if source is Source.LAUNCHER:
            title = f"{title} {plan.launcher}, by line"
        elif source is Source.DEVICE:
            title = f"{title} {plan.device}"
        lines.append(f"{title}:")
        for setting in members:
            place = str(setting.origin.line) if source is Source.LAUNCHER and setting.origin.line else ""
            note = setting.origin.reason or ("" if source is Source.LAUNCHER else _note(plan, setting))
            text = f"  {place:>4}  {setting.override}"
            lines.append(f"{text:{REASON_COLUMN}}  {note}".rstrip())
    return "\n".join(lines)


def _note(plan: Plan, setting) -> str:
    """Return the variable of a setting, and what the launcher says instead."""
    name = setting.origin.name
    if not name:
        return ""
    line = next((line for line in Page(plan.launcher).lines if line.key == setting.key), None)
    return name + (f"; {plan.launcher.name}:{line.number} says {line.default}" if line else "")


def smoke_line(plan: Plan) -> str:
    """Return in one line what a smoke run made small."""
    kept = any(plan.settings[key].origin.source >= Source.ENVIRONMENT for key in ("data.train_files", "data.val_files"))
    words = ["SMOKE=1: a shrunken model", "your own data" if kept else "the task's sample"]
    for name, before, now in plan.smoked:
        if name not in ("MODEL_PATH", "TRAIN_FILES", "VAL_FILES"):
            words.append(f"{name} {before or 'unset'} -> {now or 'unset'}")
    return ", ".join(words)


def help_text(plan: Plan) -> str:
    """Return a launcher's header, its knobs with the values that they have now, and what every launcher understands."""
    page = Page(plan.launcher)
    width = min(shutil.get_terminal_size((120, 24)).columns, 120)
    named = page.knobs
    lines = [*page.header, "", "knobs of this launcher, with the values of this launch:"]
    rest = []
    for knob in knobs_of(plan.name.engine):
        value = next((plan.value(key) for key in knob.keys if plan.value(key)), "")
        if knob.name in named or value:
            lines.append(_row(f"{knob.name}={value}", knob.meaning, width))
        else:
            rest.append(knob.name)
    lines += ["", *textwrap.wrap(f"further knobs: {', '.join(rest)}", width), "", "every launcher understands:"]
    lines += [
        _row(f"{name}={int(not default)}", meaning.replace("`", ""), width)
        for name, (default, meaning) in FLAGS.items()
    ]
    lines += [_row(name, meaning.replace("`", ""), width) for name, (_, meaning) in PLACES.items()]
    lines += [
        "",
        "A knob stands before the command: ACTOR_LR=5e-6 bash ... Any key of verl stands behind it: ... key=value.",
        "The manual: docs/en/launchers.md, docs/zh/launchers.md",
    ]
    return "\n".join(lines)


def _row(name: str, meaning: str, width: int) -> str:
    column = 36
    wrapped = textwrap.wrap(meaning, max(width - column - 4, 30)) or [""]
    first = f"  {name:{column}}" if len(name) < column else f"  {name}\n  {'':{column}}"
    return f"\n  {'':{column}}  ".join([f"{first}  {wrapped[0]}", *wrapped[1:]])
