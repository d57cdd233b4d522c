"""Checks of a reward of the user's own: its file is opened and its function is looked at; nothing of it is run."""

import ast
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.preflight.reward import REWARD_KWARGS, REWARDS, is_used

FUNCTION = "reward.custom_reward_function"
# What verl calls it with. Source: experimental/reward_loop/reward_manager/naive.py:66, dapo.py and gdpo.py as well.
CALLED_WITH = ("data_source", "solution_str", "ground_truth", "extra_info")
FILE, PACKAGE = "file://", "pkg://"


def check_custom_reward(config: DictConfig) -> list[Problem]:
    """Check that a reward function of the user's own is there and takes what verl calls it with.

    verl 0.9.1 finds out when the first sample is scored: ``utils/import_utils.py:179``, ``naive.py:66``.
    """
    path, name = (OmegaConf.select(config, f"{FUNCTION}.{key}") for key in ("path", "name"))
    if not path or is_used(config) or str(path).startswith(PACKAGE):
        return []
    file = Path(str(path).removeprefix(FILE)).expanduser()
    if not file.is_file():
        return [
            Problem(f"{FUNCTION}.path", f"{file} is no file", "correct the path; an absolute one is the same anywhere")
        ]
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        return [Problem(f"{FUNCTION}.path", f"{file} is no Python: {error}", "correct it")]
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    if name not in functions:
        bound = {target.id for each in tree.body for target in getattr(each, "targets", ()) if hasattr(target, "id")}
        bound |= {
            alias.asname or alias.name
            for each in tree.body
            for alias in getattr(each, "names", ())
            if hasattr(alias, "name")
        }
        if name in bound or "*" in bound:
            return []  # made elsewhere; its parameters cannot be seen from here
        there = f"; it has {', '.join(sorted(functions))}" if functions else ""
        fix = f"name the function with {FUNCTION}.name, or call it {name}"
        return [Problem(f"{FUNCTION}.name", f"{file} has no function {name}{there}", fix)]
    return _check_parameters(config, file, functions[name])


def _check_parameters(
    config: DictConfig, file: Path, function: ast.FunctionDef | ast.AsyncFunctionDef
) -> list[Problem]:
    arguments = function.args
    taken = {each.arg for each in (*arguments.args, *arguments.kwonlyargs)}
    given = [*CALLED_WITH, *(OmegaConf.select(config, REWARD_KWARGS) or {})]
    problems = []
    where = f"{file}:{function.lineno}"
    unknown = [] if arguments.kwarg else [each for each in given if each not in taken]
    if any(each in CALLED_WITH for each in unknown):
        what = f"{function.name} does not take {', '.join(unknown)}; verl calls it with {', '.join(given)} by name"
        fix = f"def {function.name}({', '.join(CALLED_WITH)}, **options)"
        return [Problem(where, what, fix)]
    if unknown:
        what = f"{function.name} does not take {', '.join(unknown)}, which the launch gives it"
        fix = "let it take **options" + (f", or add '~{REWARDS}'" if "rewards" in unknown else "")
        problems.append(Problem(where, what, fix))
    needed = arguments.args[: len(arguments.args) - len(arguments.defaults)]
    needed += [
        each for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None
    ]
    missing = [each.arg for each in needed if each.arg not in given]
    if missing:
        what = f"{function.name} needs {', '.join(missing)}, which nothing gives it"
        problems.append(Problem(where, what, f"give it a default, or set +{REWARD_KWARGS}.{missing[0]}=..."))
    return problems
