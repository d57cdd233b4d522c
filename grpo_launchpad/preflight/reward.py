"""Checks of this project's reward: its configuration, and whether it knows the data's own answers."""

import shlex
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.doctor.versions import tested_verl
from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.preflight.source import assigned

REWARD_PACKAGE = "pkg://reward_score"
REWARDS = "reward.custom_reward_function.reward_kwargs.rewards"
REWARD_KWARGS = "reward.custom_reward_function.reward_kwargs"
SELF_TEST_ROWS = 256  # of a file; enough to find a wrong form, and done within a second
ROWS_NAMED = 5


def is_used(config: DictConfig) -> bool:
    """Say whether this project's reward is what the run uses."""
    return OmegaConf.select(config, "reward.custom_reward_function.path") == REWARD_PACKAGE


def check_composition(config: DictConfig) -> list[Problem]:
    """Check the composition, and that GDPO, if it is used, finds its components."""
    if not is_used(config):
        return []
    from reward_score import Composition

    rewards, _ = _rewards_and_options(config)
    try:
        names = Composition.parse(rewards).names()
    except ValueError as error:
        return [Problem(REWARDS, str(error), "set REWARDS to a composition such as correctness:1.0,format:0.2")]
    if config.algorithm.adv_estimator != "gdpo":
        return []
    problems = []
    keys = OmegaConf.select(config, "algorithm.gdpo_reward_keys") or []
    unknown = [key for key in keys if key not in ("score", "acc", *names)]
    if not keys or unknown:
        what = f"{', '.join(unknown)} is no component of the reward" if unknown else "GDPO needs its components' names"
        fix = f"add +algorithm.gdpo_reward_keys=[{','.join(names)}]"
        problems.append(Problem("algorithm.gdpo_reward_keys", what, fix))
    weights = OmegaConf.select(config, "algorithm.gdpo_reward_weights")
    if weights is not None and len(weights) != len(keys):
        what = f"{len(weights)} weights for {len(keys)} components"
        problems.append(Problem("algorithm.gdpo_reward_weights", what, "give one weight for each component"))
    if config.trainer.use_v1:
        what = f"{tested_verl()}: the V1 trainer gives GDPO no components and stops in the first step"
        problems.append(Problem("trainer.use_v1", what, "add trainer.use_v1=False"))
    return problems


def check_algorithm(config: DictConfig) -> list[Problem]:
    """Check what the reward manager and the group filter ask of the reward.

    Source: verl 0.9.1 ``experimental/reward_loop/reward_manager/dapo.py:40``, ``trainer/ppo/v1/replay_buffer.py:299``.
    """
    problems = []
    options = OmegaConf.select(config, "reward.reward_kwargs") or {}
    buffer = options.get("overlong_buffer_cfg") or {}
    if config.reward.reward_manager.name == "dapo" and buffer.get("enable"):
        length, limit = buffer.get("len") or 0, options.get("max_resp_len")
        key = "reward.reward_kwargs.overlong_buffer_cfg.len"
        if limit is None:
            where, fix = (
                "reward.reward_kwargs.max_resp_len",
                f"add +reward.reward_kwargs.max_resp_len={config.data.max_response_length}",
            )
            problems.append(Problem(where, "the overlong buffer needs it, and it has no value", fix))
        elif not 0 < length <= limit:
            what = f"a buffer of {length} tokens does not lie within max_resp_len={limit}"
            problems.append(Problem(key, what, f"set it to at most {limit}, and above 0"))
    groups = OmegaConf.select(config, "algorithm.filter_groups") or {}
    if groups.get("enable") and config.trainer.use_v1 and is_used(config):
        metric = groups.get("metric")
        known = {"acc", "score", *assigned("verl", "trainer/ppo/v1/replay_buffer.py", "FILTER_GROUPS_REWARD_METRIC")}
        known |= _component_names(config)
        if metric not in known:
            what = f"the reward returns no {metric!r}, and the filter stops the training without it"
            fix = f"set it to one of {', '.join(sorted(known))}"
            problems.append(Problem("algorithm.filter_groups.metric", what, fix))
    return problems


def _component_names(config: DictConfig) -> set[str]:
    from reward_score import Composition

    try:
        return set(Composition.parse(_rewards_and_options(config)[0]).names())
    except ValueError:  # check_composition says so
        return set()


def check_rows(where: str, path: Path, table, config: DictConfig) -> list[Problem]:
    """Check that the reward has a scorer for each row, and test it on the ground truths of a sample.

    The sample is the same in every launch: rows at equal distances, 256 of them.

    Args:
        where: the configuration key that names the file.
        path: the parquet file.
        table: its rows, with data_source and reward_model.ground_truth.
        config: the composed configuration.
    """
    if not is_used(config):
        return []
    import pyarrow as pa

    from reward_score import Composition, UnknownDataSourceError, check_configuration
    from reward_score.self_test import Row, self_test

    rewards, options = _rewards_and_options(config)
    try:
        Composition.parse(rewards)
    except ValueError:
        return []  # check_composition says so
    try:
        check_configuration(table.column("data_source").unique().to_pylist(), rewards, options)
        numbers = range(0, table.num_rows, max(1, -(-table.num_rows // SELF_TEST_ROWS)))
        sample = table.select(["data_source", "reward_model"]).take(pa.array(numbers, pa.int64())).to_pylist()
        result = self_test(
            [
                Row(number + 1, row["data_source"], row["reward_model"]["ground_truth"])
                for number, row in zip(numbers, sample, strict=True)
            ],
            rewards,
            options,
        )
    except UnknownDataSourceError as error:
        fix = "give the rows a known data_source, add a scorer to reward_score/, or set reward.custom_reward_function"
        return [Problem(where, f"{path}: {error}", fix)]
    except ValueError as error:
        return [Problem(REWARD_KWARGS, str(error), f"correct or remove the option {REWARD_KWARGS}.<option>")]
    if not result.failures:
        return []
    named = "; ".join(map(str, result.failures[:ROWS_NAMED]))
    more = f"; and {len(result.failures) - ROWS_NAMED} more" if len(result.failures) > ROWS_NAMED else ""
    what = f"{path}: {len(result.failures)} of {result.tested} rows fail the reward's self-test: {named}{more}"
    fix = f"correct ground_truth or data_source in these rows; all of them: {_command(path, rewards, options)}"
    return [Problem(where, what, fix)]


def _rewards_and_options(config: DictConfig) -> tuple[object, dict[str, object]]:
    given = OmegaConf.select(config, REWARD_KWARGS)
    options = OmegaConf.to_container(given, resolve=True) if given else {}
    return options.pop("rewards", None), options


def _command(path: Path, rewards: object, options: dict[str, object]) -> str:
    from reward_score import Composition

    words = ["python", "-m", "reward_score", "--self-test", str(path)]
    if rewards is not None:
        words += ["--rewards", str(Composition.parse(rewards))]
    for name, value in options.items():
        words += ["--option", f"{name}={value}"]
    return shlex.join(words)
