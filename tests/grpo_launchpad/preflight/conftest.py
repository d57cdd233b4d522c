"""A launch without a fault; each test spoils one thing."""

from pathlib import Path

import pytest

from data_prep.pipeline.verl_parquet import make_row
from grpo_launchpad.preflight.check import check
from grpo_launchpad.preflight.compose import compose
from tests.verl_files import write_split

ROWS = 20


class Launch:
    """The overrides of a good launch, and what the checks say about it."""

    def __init__(self, folder: Path):
        self.run_dir = folder / "run"
        self.train = folder / "arithmetic" / "train.parquet"
        self.test = folder / "arithmetic" / "test.parquet"
        self.model = folder / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")
        self.launcher = folder / "run_test_fsdp_arithmetic.sh"
        self.launcher.write_text("#!/usr/bin/env bash\n")
        self.write()

    def write(self, rows: int = ROWS, data_source: str = "arithmetic") -> None:
        for split in ("train", "test"):
            write_split(self.train.parent, split, [self.row(index, data_source) for index in range(rows)])

    def own_reward(self, text: str) -> str:
        """Write a reward of the user's own; return the override that names it."""
        file = self.train.parents[1] / "mine.py"
        file.write_text(text)
        return f"reward.custom_reward_function.path={file}"

    @staticmethod
    def row(index: int, data_source: str = "arithmetic") -> dict:
        return make_row(
            data_source=data_source,
            messages=[{"role": "user", "content": f"{index}+1="}],
            ability="math",
            ground_truth=str(index + 1),
            extra_info={"split": "train", "index": index},
        )

    def overrides(self, *more: str) -> list[str]:
        return [
            f"data.train_files='{self.train}'",
            f"data.val_files='{self.test}'",
            "data.train_batch_size=16",
            "data.max_prompt_length=16",
            "data.max_response_length=8",
            f"actor_rollout_ref.model.path='{self.model}'",
            "actor_rollout_ref.actor.ppo_mini_batch_size=16",
            "actor_rollout_ref.actor.use_dynamic_bsz=True",
            "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=64",
            "actor_rollout_ref.rollout.n=4",
            "algorithm.adv_estimator=grpo",
            "reward.custom_reward_function.path=pkg://reward_score",
            f"trainer.default_local_dir='{self.run_dir}/checkpoints'",
            *more,
        ]

    def problems(self, *more: str):
        overrides = self.overrides(*more)
        return check(compose(overrides), overrides, self.run_dir)

    def problem(self, *more: str):
        """The only problem there is."""
        (problem,) = self.problems(*more)
        assert problem.where
        assert problem.what
        assert problem.fix
        return problem


@pytest.fixture
def launch(tmp_path, monkeypatch) -> Launch:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return Launch(tmp_path)
