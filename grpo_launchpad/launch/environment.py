"""What the environment says about a launch: knobs under any of their names, flags, places, and what it says in vain."""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from grpo_launchpad.estimate.devices import UnknownDeviceError
from grpo_launchpad.estimate.hardware import named_in
from grpo_launchpad.launch.knobs import ALL_BACKENDS, read_knobs


class UserError(Exception):
    """A mistake of the user's, said in one line with what mends it. The launch ends with exit code 2."""


# flag -> (its value if it is not set, meaning)
FLAGS = {
    "DRY_RUN": (
        False,
        "checks everything, prints where each value comes from and the command; writes and starts nothing",
    ),
    "CHECK": (False, "the same without the command"),
    "SMOKE": (False, "runs the launcher on this machine's CPU with a shrunken model, in `runs/<name>.smoke`"),
    "NEW_RUN": (False, "starts afresh in `runs/<name>-<time>`; without it a launcher resumes `runs/<name>`"),
    "PREFLIGHT": (True, "0 skips the checks"),
    "VERBOSE": (False, "shows the trainer's whole log, not one line a step"),
}
YES, NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")

# variable -> (names that verl's scripts have for it, meaning)
PLACES = {
    "RUN_NAME": (("EXPERIMENT_NAME", "EXP_NAME"), "another name than the launcher's"),
    "PROJECT_NAME": ((), "under which trackers list the run; `grpo-launchpad` by default"),
    "RUN_DIR": ((), "the folder of the run; `runs/<name>` by default"),
    "CHECKPOINT_DIR": (
        ("CKPTS_DIR", "CKPT_DIR", "CKPT_HOME"),
        "the folder of its checkpoints; `checkpoints` in it by default",
    ),
    "DATA_DIR": ((), "the folder with the tasks' data; `data` of the project by default"),
    "LOGGER": ((), "trackers; `console,file` by default, or a list such as `console,wandb`"),
    "PYTHON": (
        (),
        "the interpreter; by default the active virtual environment if it has verl, else `.venv`, else `python3`",
    ),
    "END_IF_HUNG": (
        (),
        "ends a run whose step takes so many times as long as usual, with exit code 75, on which a scheduler may start"
        " it again; by default such a step is only named",
    ),
    "DEVICE": (
        (),
        "the accelerator that is estimated for, such as `A100-40`; by default this machine's, else the header's",
    ),
    "RAY_ADDRESS": ((), "a running Ray cluster; it is then given the variables that the launcher sets"),
}

# Names of verl's scripts that no single knob stands for.
ELSEWHERE = {
    "ALL_OFFLOAD": "set PARAM_OFFLOAD, OPTIMIZER_OFFLOAD and REF_OFFLOAD",
    "OFFLOAD": "set PARAM_OFFLOAD, OPTIMIZER_OFFLOAD and REF_OFFLOAD",
    "USE_KL_LOSS": "set KL_LOSS_COEF: 0 does without the KL loss and its reference model",
    "ACTOR_GRAD_OFFLOAD": "unset it: verl 0.9 removed grad_offload, which never did anything",
    "COMMON_GRAD_OFFLOAD": "unset it: verl 0.9 removed grad_offload, which never did anything",
    "MICRO_BATCH_SIZE": "set PPO_MAX_TOKEN_LEN: micro batches are counted in tokens here",
    "PPO_MICRO_BATCH_SIZE_PER_GPU": "set PPO_MAX_TOKEN_LEN: micro batches are counted in tokens here",
    "LOG_PROB_MICRO_BATCH_SIZE_PER_GPU": "set LOG_PROB_MAX_TOKEN_LEN: micro batches are counted in tokens here",
    "OPTIMIZER_OFFLOAD_FRACTION": "give +actor_rollout_ref.actor.optim.override_optimizer_config."
    "optimizer_offload_fraction=... as an argument",
    "DIST_CKPT_PATH": "give actor_rollout_ref.actor.megatron.dist_checkpointing_path as an argument",
    "USE_DIST_CKPT": "give actor_rollout_ref.actor.megatron.use_dist_checkpointing as an argument",
    "DATADIR": "set DATA_DIR",
    "DATASET_DIR": "set DATA_DIR",
}

# A name this much like a knob's is one with a slip of the finger: a letter more, less or other. NUM_NODES, which other
# programs have, is less like NNODES.
LIKENESS = 0.87


@dataclass(frozen=True)
class Given:
    """A value that the user set.

    Attributes:
        value: as set, not empty.
        variable: the name under which it was set.
        in_cluster_file: whether ``cluster/env.sh`` set it.
    """

    value: str
    variable: str
    in_cluster_file: bool


@dataclass(frozen=True)
class Environment:
    """Everything in the environment that concerns a launch.

    Attributes:
        knobs: knob -> what it was set to, those of the launch's engine.
        flags: each of FLAGS -> whether it is on.
        places: each of PLACES that is set.
        variables: the whole environment.
    """

    knobs: dict[str, Given]
    flags: dict[str, bool]
    places: dict[str, str]
    variables: Mapping[str, str]


def read_environment(variables: Mapping[str, str], engine: str, cluster_names: Collection[str] = ()) -> Environment:
    """Return what an environment says about a launch.

    Args:
        variables: the environment.
        engine: the launcher's, "fsdp" or "megatron".
        cluster_names: the variables that ``cluster/env.sh`` set.

    Raises:
        UserError: for a flag that is neither yes nor no, a value of a wrong kind, a knob of the other engine, two names
            of one thing that do not agree, a name that is probably misspelt, one that stands for nothing here, and a
            device that the estimate does not know.
    """
    _refuse_names_in_vain(variables)
    flags = {name: _flag(name, variables.get(name)) for name in FLAGS}
    places = {}
    for name, (also, _) in PLACES.items():
        if given := _given(name, also, variables, cluster_names):
            places[name] = given.value
    if "END_IF_HUNG" in places and not re.fullmatch(r"[0-9]{1,6}([.][0-9]+)?", places["END_IF_HUNG"]):
        raise UserError(f"END_IF_HUNG={places['END_IF_HUNG']} is not a number, such as 10: times the usual step")
    try:
        named_in(variables)
    except UnknownDeviceError as error:
        raise UserError(f"DEVICE: {error}") from error
    return Environment(_knobs(variables, engine, cluster_names), flags, places, variables)


def _knobs(variables: Mapping[str, str], engine: str, cluster_names: Collection[str]) -> dict[str, Given]:
    found: dict[str, Given] = {}
    of_another_engine: dict[str, str] = {}
    for knob in read_knobs():
        given = _given(knob.name, knob.also, variables, cluster_names)
        if given is None:
            continue
        if knob.backend not in (ALL_BACKENDS, engine):
            of_another_engine[knob.name] = knob.backend
            continue
        if fault := knob.fault(given.value):
            raise UserError(f"{given.variable}={given.value} is not {fault}")
        found[knob.name] = given
    for name, backend in of_another_engine.items():
        if name not in found:
            raise UserError(f"{name} is a knob of {backend} launchers; this one trains with {engine}")
    return found


def _given(
    name: str, also: Collection[str], variables: Mapping[str, str], cluster_names: Collection[str]
) -> Given | None:
    """Return the value of the first of several names that has one; what the environment says beats the cluster's file.

    Raises:
        UserError: if two of them, set in the same place, have different values.
    """
    given = [Given(variables[each], each, each in cluster_names) for each in (name, *also) if variables.get(each)]
    given.sort(key=lambda each: each.in_cluster_file)
    if not given:
        return None
    first = given[0]
    for other in given[1:]:
        if other.in_cluster_file == first.in_cluster_file and other.value != first.value:
            both = f"{first.variable}={first.value} and {other.variable}={other.value}"
            raise UserError(f"{both} are the same setting; unset one of them")
    return first


def _flag(name: str, value: str | None) -> bool:
    if value is None:
        return FLAGS[name][0]
    if value.strip().lower() in YES:
        return True
    if value.strip().lower() in NO:
        return FLAGS[name][0] if value == "" else False
    raise UserError(f"{name}={value} is neither yes nor no; write {name}=1 or {name}=0")


def _refuse_names_in_vain(variables: Mapping[str, str]) -> None:
    names = [knob.name for knob in read_knobs()]
    understood = {*names, *(other for knob in read_knobs() for other in knob.also), *FLAGS, *PLACES}
    understood |= {other for also, _ in PLACES.values() for other in also}
    plain = {_plain(name): name for name in (*names, *FLAGS, "RUN_NAME", "RUN_DIR", "CHECKPOINT_DIR")}
    for variable, value in variables.items():
        if variable in understood or not value:
            continue
        if variable in ELSEWHERE:
            raise UserError(f"{variable} is set, and no launcher reads it: {ELSEWHERE[variable]}")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
            continue
        if meant := _meant(_plain(variable), plain):
            raise UserError(f"{variable} is set, and no launcher reads it: is {plain[meant]} meant? Unset it if not")


def _meant(word: str, words: Collection[str]) -> str:
    """Return the word that was probably meant, or ""; with letters that changed places it is of the same letters."""
    near = difflib.get_close_matches(word, words, n=1, cutoff=LIKENESS)
    moved = [each for each in words if sorted(each) == sorted(word) and _moved_only(word, each)]
    return (near or moved or [""])[0]


def _moved_only(one: str, other: str) -> bool:
    """Say whether two neighbours have changed places, and nothing else is different."""
    places = [index for index, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    return len(places) == 2 and places[1] - places[0] == 1


def _plain(name: str) -> str:
    return name.replace("_", "").upper()
