"""One training step in one line."""

from statistics import fmean

from grpo_launchpad.runs.metrics import accuracies
from grpo_launchpad.runs.pace import Pace, remaining_time

_SHOWN = (
    ("reward", "critic/rewards/mean", "{:.3f}"),
    ("response", "response_length/mean", "{:.0f} tokens"),
    ("rollout-trainer difference", "training/rollout_probs_diff_mean", "{:.4f}"),
)


def step_line(step: int, total: int | None, metrics: dict[str, float], pace: Pace) -> str:
    """Say what a step learnt, how long it took, and how long the run still takes."""
    parts = [f"step {step}/{total}" if total else f"step {step}"]
    parts += [f"{label} {form.format(metrics[key])}" for label, key, form in _SHOWN if key in metrics]
    if measured := accuracies(metrics):
        parts.append(f"held-out accuracy {fmean(measured.values()):.3f}")
    if "timing_s/step" in metrics:
        parts.append(f"{metrics['timing_s/step']:.1f} s")
        if step != total and (left := remaining_time(pace.remaining(total))):
            parts.append(left)
    return "  ".join(parts)
