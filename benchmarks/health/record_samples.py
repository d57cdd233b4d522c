"""Keep what the health rules look at of a recorded run, small enough for the repository.

    python -m benchmarks.health.record_samples runs/NAME tests/samples/runs/NAME.jsonl

The first line of a sample holds the facts, the settings that pace needs, and the lines of the log that a rule may know;
then come verl's records.
"""

import json
import re
import sys
from pathlib import Path

from grpo_launchpad.health.monitor import OWN_LINE
from grpo_launchpad.health.rules import LOG_RULES
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.metrics import metric_records
from grpo_launchpad.runs.settings import settings_of

KEPT = re.compile(
    r"val-core/.*|val-aux/.*/scorer_error/.*|critic/rewards/.*|reward/.*|groups/.*|actor/(?:entropy|grad_norm|kl_loss|ppo_kl"
    r"|lr|perf/max_memory_reserved_gb)|training/(?:rollout_probs_diff_mean|off_policy/.*|filter_groups/.*|rollout_failure/.*)"
    r"|rollout_corr/k3_kl|response_length/(?:mean|max|min|clip_ratio)|response/.*|timing_s/.*|perf/(?:mfu|total_num).*"
)
LINES_KEPT = 20


def sample(run: RunFolder, attempt: int = 1) -> list[dict]:
    """Return the lines of a run's sample."""
    settings, lines = settings_of(run), []
    with run.log(attempt).open(encoding="utf-8", errors="replace") as log:
        for line in log:
            text = line.rstrip("\n").split(" ", 1)[-1]
            if OWN_LINE not in text and any(rule.log.search(text) for rule in LOG_RULES):
                lines.append(text[:600])
    facts = {"response_limit": settings.response_limit, "batch": settings.batch, "validation_rows": 256}
    frequencies = {name: getattr(settings, name) for name in ("total_steps", "test_freq", "save_freq")}
    records = [{"facts": facts, "settings": frequencies, "log": lines[:LINES_KEPT]}]
    for step, values in metric_records(run.metrics(attempt)):
        kept = {name: None if value != value else float(f"{value:.6g}") for name, value in values.items()}
        records.append({"step": step, "data": {name: value for name, value in kept.items() if KEPT.fullmatch(name)}})
    return records


if __name__ == "__main__":
    folder, target = sys.argv[1:]
    Path(target).write_text("".join(json.dumps(record) + "\n" for record in sample(RunFolder(Path(folder)))))
