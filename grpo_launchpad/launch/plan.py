"""The plan of a launch: every setting that verl is given, with where its value comes from.

A launcher's lines, the environment, ``cluster/env.sh``, the device, the trackers, SMOKE and the arguments are put in
one order here, and nowhere else. From the plan come the command, the variables, the words in which a problem names its
place, and the digest of a verification.
"""

import hashlib
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path

from grpo_launchpad.launch import devices, smoke, trackers
from grpo_launchpad.launch.environment import Environment, UserError, read_environment
from grpo_launchpad.launch.knobs import Knob, knob_of, knobs_of, quoted
from grpo_launchpad.launch.name import LauncherName
from grpo_launchpad.launch.page import Page
from grpo_launchpad.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
PASSWORD_IN_ADDRESS = re.compile(r"://[^/@]*:[^/@]*@")
RUNTIME_ENV = "ray_kwargs.ray_init.runtime_env"
TRAINER = "verl.trainer.main_ppo"


class Source(IntEnum):
    """Who sets a value. A later one beats an earlier one."""

    PROJECT = 0
    TRACKER = 1
    DEVICE = 2
    LAUNCHER = 3
    CLUSTER = 4
    SMOKE = 5
    ENVIRONMENT = 6
    ARGUMENT = 7


TITLES = {
    Source.LAUNCHER: "launcher",
    Source.CLUSTER: "cluster/env.sh",
    Source.ENVIRONMENT: "environment",
    Source.ARGUMENT: "arguments",
    Source.SMOKE: "SMOKE=1",
    Source.DEVICE: "device",
    Source.TRACKER: "trackers",
    Source.PROJECT: "files and names of this run",
}


@dataclass(frozen=True)
class Origin:
    """Where a value comes from.

    Attributes:
        source: who set it.
        name: the variable that was set, or "" if it was no variable.
        line: of the launcher where the key stands, or 0.
        reason: why, where the launcher does not say.
    """

    source: Source
    name: str = ""
    line: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Setting:
    """One override for verl.

    Attributes:
        key: of verl.
        value: as Hydra reads it, quoted if need be; "" for a deleted key.
        origin: where it comes from.
        prefix: Hydra's "", "+", "++" or "~".
    """

    key: str
    value: str
    origin: Origin
    prefix: str = ""

    @property
    def override(self) -> str:
        return f"{self.prefix}{self.key}" + ("" if self.prefix == "~" and not self.value else f"={self.value}")

    @property
    def plain_value(self) -> str:
        """The value without Hydra's quotes."""
        if len(self.value) > 1 and self.value[0] == self.value[-1] == "'":
            return re.sub(r"(\\+)('|\Z)", lambda found: "\\" * (len(found[1]) // 2) + found[2], self.value[1:-1])
        return self.value


@dataclass(frozen=True)
class Consequence:
    """A key that follows from others when they are set by somebody who outranks whoever set the key.

    Attributes:
        key: that follows.
        of: the keys that it follows from.
        value: its value from theirs; None if nothing follows.
        reason: for a reader.
        engine: the one in which it does, or "" for any.
    """

    key: str
    of: tuple[str, ...]
    value: Callable[..., str | None]
    reason: str
    engine: str = ""


def _sum(*lengths: str) -> str | None:
    return str(sum(map(int, lengths))) if all(length.isdecimal() for length in lengths) else None


def _is_not_zero(number: str) -> str | None:
    try:
        return str(float(number) != 0)
    except ValueError:
        return None


def _from_files(rank: str) -> str | None:
    return "safetensors" if rank.isdecimal() and int(rank) > 0 else None


ROLLOUT, ACTOR = "actor_rollout_ref.rollout", "actor_rollout_ref.actor"
CONSEQUENCES = (
    Consequence(
        f"{ROLLOUT}.max_model_len",
        ("data.max_prompt_length", "data.max_response_length"),
        _sum,
        "prompt + response",
    ),
    Consequence(
        f"{ACTOR}.use_kl_loss",
        (f"{ACTOR}.kl_loss_coef",),
        _is_not_zero,
        "whether kl_loss_coef is above 0",
    ),
    Consequence(
        f"{ROLLOUT}.load_format",
        ("actor_rollout_ref.model.lora_rank",),
        _from_files,
        "with an adapter, the rollout engine reads the base weights from the files",
        "fsdp",
    ),
)


@dataclass(frozen=True)
class Plan:
    """One launch, decided and not yet started.

    Attributes:
        launcher: the launcher's file.
        name: the fields of its name.
        device: what it trains on: the name's, or "cpu" in a smoke run.
        run: the run's folder.
        run_name: of the run, for trackers and messages.
        settings: key -> what verl is given, in the order in which it is given.
        variables: variable -> value, which the trainer needs beside the user's environment.
        environment: what the user's environment says.
        python: the interpreter.
        smoked: in a smoke run, (knob, value without SMOKE, value) of what was made small.
    """

    launcher: Path
    name: LauncherName
    device: str
    run: RunFolder
    run_name: str
    settings: dict[str, Setting]
    variables: dict[str, str]
    environment: Environment
    python: str
    smoked: tuple[tuple[str, str, str], ...] = field(default=())

    @property
    def flags(self) -> dict[str, bool]:
        return self.environment.flags

    @cached_property
    def overrides(self) -> list[str]:
        """The Hydra overrides, as verl's trainer takes them."""
        return [setting.override for setting in self.settings.values()]

    def value(self, key: str) -> str:
        """Return the value of a key without quotes, or "" if the plan does not set it."""
        return self.settings[key].plain_value if key in self.settings else ""

    def with_settings(self, *settings: Setting) -> "Plan":
        """Return the plan with further settings, which beat those it has."""
        return replace(self, settings=self.settings | {setting.key: setting for setting in settings})

    @property
    def shown_variables(self) -> dict[str, str]:
        """The variables that may be printed: an address with a password stays in the environment."""
        return {name: value for name, value in self.variables.items() if not PASSWORD_IN_ADDRESS.search(value)}

    def command(self) -> str:
        """Return the command with what it needs of the environment: it can be pasted into a shell."""
        exports = [f"export {name}={shlex.quote(value)}\n" for name, value in self.shown_variables.items()]
        words = [f"{shlex.quote(self.python)} -P -m {TRAINER}", *map(shlex.quote, self.overrides)]
        return "".join(exports) + " \\\n    ".join(words) + "\n"

    def place_of(self, key: str) -> str:
        """Return a key with the place where it was set, in a reader's words.

        Anything else is returned as it is: a file, a variable, a key that nobody set.
        """
        setting = self.settings.get(key)
        if setting is None:
            return key
        origin = setting.origin
        if origin.source is Source.ARGUMENT:
            return f"argument {setting.override}"
        if origin.source is Source.CLUSTER:
            return f"cluster/env.sh {origin.name} ({key})"
        if origin.source is Source.ENVIRONMENT:
            return f"environment {origin.name} ({key})"
        if origin.source is Source.LAUNCHER:
            line = f"{self.launcher.name}:{origin.line} " if origin.line else f"{self.launcher.name} "
            return f"{line}{origin.name} ({key})" if origin.name else f"{line}{key}"
        return key

    def fix_in_place(self, fix: str) -> str:
        """Return a fix that names a knob as one that helps where an argument holds the value that the knob would set.

        Args:
            fix: of a problem, with knobs as ``NAME=value``.
        """
        for knob in knobs_of(self.name.engine):
            held = [each for each in knob.keys if self._is_argument(each)]
            if held and re.search(rf"\b{knob.name}\b", fix):
                fix = re.sub(rf"\b{knob.name}=(\S+?)(?=[,;:)]?(\s|$))", rf"the argument {held[0]}=\1", fix)
                fix = re.sub(rf"(?<![\w.]){knob.name}\b", f"the argument {held[0]}", fix)
        return fix

    def _is_argument(self, key: str) -> bool:
        return key in self.settings and self.settings[key].origin.source is Source.ARGUMENT

    def digest(self, versions: Mapping[str, str]) -> str:
        """Return a digest of what verl is given and of the engines that read it.

        Args:
            versions: package -> version.
        """
        lines = sorted(f"{setting.key}={setting.value}" for setting in self.settings.values())
        lines += [f"{package} {version}" for package, version in sorted(versions.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def plan_of_page(
    launcher: Path, variables: Mapping[str, str] | None = None, root: Path = ROOT, arguments: Sequence[str] = ()
) -> Plan:
    """Return the plan of a launcher as its page says, without bash and without ``cluster/env.sh``.

    Args:
        launcher: its file.
        variables: the environment; none by default.
        root: the project's folder, below which data and runs are.
        arguments: the user's overrides.
    """
    variables = {"PYTHON": "python", **(variables or {})}
    data = variables.get("DATA_DIR") or str(root / "data")
    lines = Page(launcher).overrides(variables | {"DATA_DIR": data})
    return make_plan(launcher, lines, arguments, variables, (), root)


def make_plan(
    launcher: Path,
    lines: Sequence[str],
    arguments: Sequence[str],
    variables: Mapping[str, str],
    cluster_names: Collection[str] = (),
    root: Path = ROOT,
    called: str = "",
) -> Plan:
    """Return the plan of a launch.

    Args:
        launcher: the launcher's file.
        lines: the overrides of its arrays, as bash expanded them.
        arguments: the user's overrides.
        variables: the environment.
        cluster_names: the variables that ``cluster/env.sh`` set.
        root: the project's folder.
        called: the launcher's name, if its file has another one, as an exported launcher may.

    Raises:
        LauncherNameError: if the launcher's name is out of form.
        UserError: for a mistake in the environment, the launcher's lines or the arguments.
    """
    return _Planner(launcher, lines, arguments, variables, cluster_names, root, called or launcher.stem).plan()


class _Planner:
    def __init__(
        self,
        launcher: Path,
        lines: Sequence[str],
        arguments: Sequence[str],
        variables: Mapping[str, str],
        cluster_names: Collection[str],
        root: Path,
        called: str,
    ):
        self.launcher, self.called, self.user, self.root = launcher, called, variables, root
        self.name = LauncherName.parse(called)
        self.page = Page(launcher)
        self.environment = read_environment(variables, self.name.engine, cluster_names)
        self.settings: dict[str, Setting] = {}
        self.layers: dict[Source, list[Setting]] = {source: [] for source in Source}
        self.layers[Source.LAUNCHER] = [setting for line in lines if (setting := self._of_line(line))]
        for knob in knobs_of(self.name.engine):
            if given := self.environment.knobs.get(knob.name):
                source = Source.CLUSTER if given.in_cluster_file else Source.ENVIRONMENT
                self.layers[source] += self._of_knob(knob, given.value, source, given.variable)
        self.layers[Source.ARGUMENT] = [self._of_argument(argument) for argument in arguments]

    def plan(self) -> Plan:
        flags = self.environment.flags
        suffix = ".smoke" if flags["SMOKE"] else ""
        if flags["NEW_RUN"]:
            suffix += time.strftime("-%Y%m%d-%H%M%S")
        places = self.environment.places
        run_name = places.get("RUN_NAME", self.called) + suffix
        folder = Path(places["RUN_DIR"] + suffix) if "RUN_DIR" in places else self.root / "runs" / run_name
        run = RunFolder(Path(os.path.abspath(folder.expanduser())))
        chosen = places.get("CHECKPOINT_DIR")
        checkpoints = Path(os.path.abspath(Path(chosen + suffix).expanduser())) if chosen else run.checkpoints
        device = "cpu" if flags["SMOKE"] else self.name.device
        python = places.get("PYTHON", sys.executable)

        smoked = self._make_small(run) if flags["SMOKE"] else ()
        effective = self._merged()
        workers = effective["trainer.n_gpus_per_node"].plain_value if "trainer.n_gpus_per_node" in effective else "1"
        used = trackers.trackers_of(self.user)
        self.layers[Source.TRACKER] = [_setting("trainer.logger", f"[{','.join(used)}]", Source.TRACKER)]
        for key in devices.keys_of(device, self.name.engine, int(workers) if workers.isdecimal() else 1):
            name, _, value = key.override.partition("=")
            self.layers[Source.DEVICE].append(_setting(name, value, Source.DEVICE, reason=key.reason))
        variables = self._variables(device, used, run)
        self.layers[Source.PROJECT] = self._of_project(run, run_name, checkpoints, places, python, variables)
        return Plan(
            launcher=self.launcher,
            name=self.name,
            device=device,
            run=run,
            run_name=run_name,
            settings=self._merged(),
            variables=variables,
            environment=self.environment,
            python=python,
            smoked=smoked,
        )

    def _of_line(self, text: str) -> Setting | None:
        """Return the setting of a launcher's line, or None if its knob is empty."""
        prefix, key, value = split_override(text)
        knob = knob_of(key, self.name.engine)
        number = self.page.line_of(key)
        if knob is not None:
            if not value:
                return None
            if fault := knob.fault(value):
                where = f"{self.launcher}:{number}: " if number else ""
                raise UserError(f"{where}{knob.name}={value} is not {fault}")
            value = knob.hydra_value(value)
        name = next((line.knob for line in self.page.lines if line.key == key), "")
        return Setting(key, value, Origin(Source.LAUNCHER, name, number), prefix)

    def _of_knob(self, knob: Knob, value: str, source: Source, variable: str) -> list[Setting]:
        return [
            Setting(key, knob.hydra_value(value), Origin(source, variable, self.page.line_of(key)), knob.prefix)
            for key in knob.keys
        ]

    def _of_argument(self, text: str) -> Setting:
        prefix, key, value = split_override(text)
        if text.startswith("-"):
            raise UserError(f"{text} is no override; verl's keys are given as key=value, and --help shows the knobs")
        return Setting(key, value, Origin(Source.ARGUMENT), prefix)

    def _of_project(
        self,
        run: RunFolder,
        run_name: str,
        checkpoints: Path,
        places: dict[str, str],
        python: str,
        variables: dict[str, str],
    ) -> list[Setting]:
        """Return where things go, and what Ray has to be told of this machine."""
        values = {
            "trainer.project_name": quoted(places["PROJECT_NAME"]) if "PROJECT_NAME" in places else "grpo-launchpad",
            "trainer.experiment_name": quoted(run_name),
            "trainer.default_local_dir": quoted(str(checkpoints)),
            "trainer.rollout_data_dir": quoted(str(run.rollouts("train"))),
            "trainer.validation_data_dir": quoted(str(run.rollouts("validation"))),
            "hydra.run.dir": quoted(str(run.launch)),
            "hydra.output_subdir": "null",
        }
        if "RAY_ADDRESS" in places:  # a running cluster does not inherit this shell's environment
            for name, value in variables.items():
                if not PASSWORD_IN_ADDRESS.search(value):
                    values[f"++{RUNTIME_ENV}.env_vars.{name}"] = quoted(value)
        elif " " in python:  # Ray hands it to a shell as it is
            values[f"++{RUNTIME_ENV}.py_executable"] = quoted(shlex.quote(python))
        return [_setting(key, value, Source.PROJECT) for key, value in values.items()]

    def _variables(self, device: str, used: list[str], run: RunFolder) -> dict[str, str]:
        paths = [str(self.root), *(path for path in (self.user.get("PYTHONPATH") or "").split(":") if path)]
        variables = {"PYTHONPATH": ":".join(dict.fromkeys(paths)), "PYTHONUNBUFFERED": "1"}
        wanted = [
            *trackers.variables_of(used, self.user, str(run.path)),
            *devices.variables_of(device, self.name.engine),
        ]
        for variable in wanted:
            value = variable.value if isinstance(variable.value, str) else variable.value()
            variables[variable.name] = value if variable.fixed else self.user.get(variable.name) or value
        return variables

    def _make_small(self, run: RunFolder) -> tuple[tuple[str, str, str], ...]:
        before = self._merged()
        knobs = {knob.name: knob for knob in knobs_of(self.name.engine)}

        def value_of(name: str) -> str:
            keys = knobs[name].keys if name in knobs else ()
            return next((before[key].plain_value for key in keys if key in before), "")

        def by_hand(name: str) -> bool:
            keys = knobs[name].keys if name in knobs else ()
            return any(key in before and before[key].origin.source >= Source.ENVIRONMENT for key in keys)

        small = smoke.make_small(self.name, value_of, by_hand, str(run.data))
        unused = {key for name in small.left_out if name in knobs for key in knobs[name].keys}
        for source in (Source.LAUNCHER, Source.CLUSTER):
            self.layers[source] = [
                setting
                for setting in self.layers[source]
                if setting.key not in unused and not smoke.WITHOUT_USE.fullmatch(setting.key)
            ]
        for name, value in small.knobs.items():
            if name in ("MODEL_PATH", "NNODES"):  # a rehearsal of whatever model and cluster the user named
                for layer in self.layers.values():
                    layer[:] = [setting for setting in layer if setting.key not in knobs[name].keys]
            self.layers[Source.SMOKE] += self._of_knob(knobs[name], value, Source.SMOKE, name)
        changed = [(name, value_of(name), value) for name, value in small.knobs.items()]
        changed += [(name, value_of(name), "") for name in small.left_out if name in knobs]
        return tuple(change for change in changed if change[1] != change[2])

    def _merged(self) -> dict[str, Setting]:
        """Return the settings of all layers, the later ones in the place of the earlier ones."""
        settings: dict[str, Setting] = {}
        for source, layer in self.layers.items():
            for setting in layer:
                _put(settings, setting, at_end=source is Source.ARGUMENT)
        for consequence in CONSEQUENCES:
            if consequence.engine not in ("", self.name.engine) or not all(key in settings for key in consequence.of):
                continue
            causes = [settings[key] for key in consequence.of]
            cause = max(causes, key=lambda each: each.origin.source)
            own = settings.get(consequence.key)
            value = consequence.value(*(each.plain_value for each in causes))
            if value is None or (own is not None and own.origin.source >= cause.origin.source):
                continue
            origin = replace(cause.origin, line=self.page.line_of(consequence.key), reason=consequence.reason)
            settings[consequence.key] = Setting(consequence.key, value, origin)
        return settings


def _put(settings: dict[str, Setting], setting: Setting, at_end: bool) -> None:
    old = settings.get(setting.key)
    if old is not None and "+" in old.prefix:
        if setting.prefix == "~":  # verl's tree does not have it: nothing is left to delete
            del settings[setting.key]
            return
        setting = replace(setting, prefix="++")
    if old is not None and at_end:
        del settings[setting.key]
    settings[setting.key] = setting


def _setting(key: str, value: str, source: Source, reason: str = "") -> Setting:
    prefix, key, _ = split_override(f"{key}=")
    return Setting(key, value, Origin(source, reason=reason), prefix)


def split_override(text: str) -> tuple[str, str, str]:
    """Return an override's prefix ("", "+", "++" or "~"), key and value."""
    name, _, value = text.partition("=")
    key = name.lstrip("+~")
    return name[: len(name) - len(key)], key, value
