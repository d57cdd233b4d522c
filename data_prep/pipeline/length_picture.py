"""The distribution of prompt lengths as an SVG. Written by hand: matplotlib takes half as long as preparing GSM8K."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

COLOURS = ("#2f6fb0", "#d9822b", "#4c9a52", "#8d5fb4")
WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 24, 24, 34, 46
STEPS = (1, 2, 5)
TICKS = 7


def draw(lengths: Mapping[str, Mapping], unit: str) -> str:
    """Return the picture: for each split the share of its prompts at each length up to that which 99 % keep to.

    Args:
        lengths: split -> ``p99``, and ``histogram``: [first length, rows] of its intervals, which are equally wide.
        unit: what lengths are counted in.
    """
    longest = max(length["p99"] for length in lengths.values())
    right = longest * 1.08 + 1
    totals = {name: sum(rows for _, rows in length["histogram"]) for name, length in lengths.items()}
    # Per unit of length, so that the areas of splits with intervals of different widths can be compared.
    outlines = {}
    for name, length in lengths.items():
        bins, width = length["histogram"], _width(length["histogram"])
        shown = [(first, rows) for first, rows in bins if first <= length["p99"]]
        outlines[name] = [(first, first + width, rows / totals[name] / width) for first, rows in shown]
    highest = max(height for steps in outlines.values() for *_, height in steps)

    def x(length: float) -> str:
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * length / right:.1f}"

    def y(height: float) -> str:
        return f"{HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * height / highest:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" aria-label="Distribution of prompt lengths" font-family="sans-serif" font-size="12" fill="#333">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    ]
    for tick in _ticks(int(right)):
        parts.append(f'<path d="M{x(tick)} {TOP}V{y(0)}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{x(tick)}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{tick:,}</text>')
    column = (WIDTH - LEFT - RIGHT) / max(3, len(lengths))
    for number, (name, steps) in enumerate(outlines.items()):
        colour = COLOURS[number % len(COLOURS)]
        outline = "".join(f"V{y(height)}H{x(end)}" for _, end, height in steps)
        style = f'fill="{colour}" fill-opacity="0.15" stroke="{colour}" stroke-width="1.8"'
        parts.append(f'<path d="M{x(steps[0][0])} {y(0)}{outline}V{y(0)}" {style}/>')
        p99 = lengths[name]["p99"]
        parts.append(f'<path d="M{x(p99)} {TOP}V{y(0)}" stroke="{colour}" stroke-dasharray="4 3"/>')
        label = f"{escape(name)}: {totals[name]:,} prompts, 99 % up to {p99:,}"
        where = LEFT + column * number
        parts.append(f'<text x="{where:.0f}" y="20" fill="{colour}" font-weight="bold">{label}</text>')
    parts.append(f'<path d="M{LEFT} {y(0)}H{WIDTH - RIGHT}" stroke="#333"/>')
    label = f"prompt length in {escape(unit)}; height: share of prompts"
    parts.append(f'<text x="{WIDTH // 2}" y="{HEIGHT - 8}" text-anchor="middle">{label}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _width(bins: Sequence[Sequence[int]]) -> int:
    return bins[1][0] - bins[0][0] if len(bins) > 1 else 1


def _ticks(longest: int) -> range:
    """Return round numbers from 0 to the longest length, at most seven steps."""
    step = next(step * 10**power for power in range(12) for step in STEPS if step * 10**power * TICKS >= longest)
    return range(0, longest + 1, step)
