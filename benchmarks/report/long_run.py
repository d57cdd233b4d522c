"""Make the folder of a long run that never was, as a launcher and verl would have left it.

    python -m benchmarks.report.long_run FOLDER [--steps 10000] [--groups 2] [--answers 5]

The same seed gives the same folder. The numbers are shaped like a training's; the texts are words of a small vocabulary
with numbers between them, which compress about as well as a model's reasoning does.
"""

import argparse
import json
import math
import random
from pathlib import Path

START = 1_790_000_000.0
SPOKEN = (
    "so we have the number of which is then because each let find first total minus plus times equals therefore if"
    " hence since now consider multiply divide remaining left cost sum ratio answer check again wait actually"
    " value x y step"
)
WORDS = SPOKEN.split()
LIMIT = 1024


def text(random_: random.Random, words: int) -> str:
    """Return that many words, every fifth a number."""
    return " ".join(
        str(random_.randrange(1000)) if random_.random() < 0.2 else random_.choice(WORDS) for _ in range(words)
    )


def metrics(step: int, steps: int, rewards: list[float], random_: random.Random) -> dict[str, float]:
    """Return what verl logs of a step: about 100 numbers, of which some are the report's."""
    share = step / steps
    seconds = 40 + 20 * share + random_.gauss(0, 3)
    found = {f"perf/other_{number}": random_.random() for number in range(60)}
    return found | {
        "critic/rewards/mean": sum(rewards) / len(rewards),
        "critic/rewards/max": max(rewards),
        "critic/rewards/min": min(rewards),
        "actor/entropy": 0.6 * math.exp(-share) + random_.gauss(0, 0.02),
        "actor/grad_norm": math.exp(random_.gauss(-1, 0.3)),
        "actor/ppo_kl": random_.gauss(0, 1e-4),
        "response_length/mean": 300 + 250 * share + random_.gauss(0, 20),
        "response_length/max": LIMIT,
        "response_length/clip_ratio": 0.02 + 0.03 * random_.random(),
        "training/rollout_probs_diff_mean": 0.002 + 0.001 * random_.random(),
        "rollout_corr/k3_kl": 0.0005 * random_.random(),
        "groups/without_signal": 0.3 + 0.3 * random_.random(),
        "training/off_policy/trajectory_staleness/mean": random_.random(),
        "training/off_policy/trajectory_staleness_worst/max": random_.randrange(4),
        "timing_s/step": seconds,
        "timing_s/gen": 0.6 * seconds,
        "timing_s/old_log_prob": 0.1 * seconds,
        "timing_s/update_actor": 0.25 * seconds,
        "perf/total_num_tokens": 50_000,
    }


def write(folder: Path, steps: int, groups: int, answers: int) -> None:
    """Write the folder; rollouts are steps x groups x answers."""
    random_ = random.Random(0)
    for name in ("launch", "rollouts/train", "rollouts/validation"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    identity = {"name": folder.name, "model": "model-7b", "task": "math", "backend": "fsdp", "world_size": 8}
    (folder / "launch/run.json").write_text(json.dumps(identity))
    attempt = [
        {"attempt": 1, "started_at": START, "pid": 1},
        {"attempt": 1, "ended_at": START + 50 * steps, "exit_code": 0},
    ]
    (folder / "launch/attempts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in attempt))
    settings = f"data:\n  max_response_length: {LIMIT}\ntrainer:\n  total_training_steps: {steps}\n"
    (folder / "launch/resolved.yaml").write_text(settings)
    (folder / "launch/command.sh").write_text("python -m verl.trainer.main_ppo\n")
    (folder / "launch/env.txt").write_text("HOME=/root\n")
    (folder / "log.1.txt").write_text("2026-01-01T00:00:00.000 Training Progress:   0%\n" * 1000)
    prompts = [(text(random_, 40), str(random_.randrange(1000))) for _ in range(max(1, steps * groups // 4))]
    with (folder / "metrics.1.jsonl").open("w") as log:
        for step in range(steps + 1):
            share, rewards, rows = step / steps, [], []
            for group in range(groups):
                prompt, gold = prompts[(step * groups + group) % len(prompts)]
                for answer in range(answers):
                    words = min(LIMIT, int(random_.lognormvariate(4.2 + share / 2, 0.5)))
                    reward = float(random_.random() < 0.2 + 0.6 * share)
                    rewards.append(reward)
                    rows.append(
                        {
                            "input": prompt,
                            "output": text(random_, words),
                            "gts": gold,
                            "score": reward,
                            "step": step,
                            "uid": f"{step}-{group}_{answer}_0",
                            "response_tokens": words if words < LIMIT - 40 else LIMIT,
                        }
                    )
            data = {}
            if step:
                data = metrics(step, steps, rewards, random_)
                (folder / f"rollouts/train/{step}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            if step % max(1, steps // 100) == 0:
                data |= {"val-core/math/acc/mean@1": 0.3 + 0.4 * share + random_.gauss(0, 0.01)}
            if data:
                log.write(json.dumps({"step": step, "data": data}) + "\n")
    for step in (0, steps):
        rows = [
            {"input": prompt, "output": text(random_, 100), "gts": gold, "score": 1.0} for prompt, gold in prompts[:200]
        ]
        (folder / f"rollouts/validation/{step}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=2, help="prompts a step")
    parser.add_argument("--answers", type=int, default=5, help="answers a prompt")
    given = parser.parse_args()
    write(given.folder, given.steps, given.groups, given.answers)
