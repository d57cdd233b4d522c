"""What MODEL|RUN[:STEP] on the command line means: a model's folder, and for a run how it was trained."""

from dataclasses import dataclass, field
from pathlib import Path

from grpo_launchpad import models
from grpo_launchpad.runs.folder import RunFolder

OWN_SCORERS = "pkg://reward_score"


class ModelArgumentError(Exception):
    """The argument names no model that can answer; the text says why and what mends it.

    Attributes:
        exit_code: 2 for a user's mistake, 1 where an export failed.
    """

    def __init__(self, text: str, exit_code: int = 2):
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True)
class RunSettings:
    """What of a run's configuration its evaluation has to share.

    Attributes:
        base_model: that the run started from.
        chat_template_kwargs: of ``data.apply_chat_template_kwargs``.
        max_response_length: tokens that an answer had in training.
        dtype: of the rollout engine.
        reward_path: the module of the reward function, "" for verl's own.
        reward_name: the function in it.
        reward_kwargs: that it is called with.
        val_files: the held-out rows.
    """

    base_model: str
    chat_template_kwargs: dict = field(default_factory=dict)
    max_response_length: int | None = None
    dtype: str = "auto"
    reward_path: str = OWN_SCORERS
    reward_name: str = "compute_score"
    reward_kwargs: dict = field(default_factory=dict)
    val_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelArgument:
    """A model that was named on the command line.

    Attributes:
        text: as named.
        name: for tables: a run's name with its step, a model's own name.
        run: the run's folder, None for a model.
        step: of the run's checkpoint, None for the last.
        settings: of the run, None for a model.
    """

    text: str
    name: str
    run: Path | None = None
    step: int | None = None
    settings: RunSettings | None = None

    def folder(self) -> Path:
        """Return the model's folder; a run's checkpoint is exported if it was not before.

        Raises:
            ModelArgumentError: if there is none, or a run's export fails.
        """
        if self.run is not None:
            from grpo_launchpad.export import CannotExport, NotProved
            from grpo_launchpad.export.__main__ import export_model
            from grpo_launchpad.report.run_folder import RunFolderError

            try:
                return export_model(self.run, self.step, None)
            except (CannotExport, RunFolderError, models.ModelNotFoundError) as error:
                raise ModelArgumentError(str(error)) from error
            except (NotProved, OSError) as error:
                raise ModelArgumentError(f"{self.text}: its export failed: {error}", exit_code=1) from error
        try:
            return models.resolve(self.text)
        except models.ModelNotFoundError as error:
            raise ModelArgumentError(str(error)) from error


def read_model_argument(text: str) -> ModelArgument:
    """Return what an argument names. Nothing is exported, made or downloaded yet.

    Raises:
        ModelArgumentError: if it is neither a run nor a model that could be found, or the run has no configuration.
    """
    before, colon, after = text.rpartition(":")
    if colon and after.isdecimal() and is_run(Path(before)):
        return _run_argument(text, Path(before), int(after))
    if is_run(Path(text)):
        return _run_argument(text, Path(text), None)
    if (Path(text) / "adapter_config.json").is_file():
        raise ModelArgumentError(
            f"{text} is an adapter without its base model. Give the run that it comes from, or merge it: "
            "grpo-launchpad export RUN"
        )
    name = text if models.is_repository_name(text) else Path(text).name or text
    return ModelArgument(text, name)


def is_run(folder: Path) -> bool:
    """Return whether a folder is one that a launcher wrote."""
    return RunFolder(folder).identity.is_file()


def _run_argument(text: str, run: Path, step: int | None) -> ModelArgument:
    name = run.resolve().name
    return ModelArgument(text, name if step is None else f"{name}:{step}", run, step, read_settings(run))


def read_settings(run: Path) -> RunSettings:
    """Read what a run's evaluation has to share, from launch/resolved.yaml.

    Raises:
        ModelArgumentError: if the file is missing or cannot be read.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    path = RunFolder(run).configuration
    try:
        config = OmegaConf.load(path)
        reward = OmegaConf.to_container(OmegaConf.select(config, "reward.custom_reward_function") or {}, resolve=True)
        kwargs = OmegaConf.select(config, "data.apply_chat_template_kwargs")
        files = OmegaConf.select(config, "data.val_files") or []
        return RunSettings(
            base_model=OmegaConf.select(config, "actor_rollout_ref.model.path"),
            chat_template_kwargs=OmegaConf.to_container(kwargs, resolve=True) if kwargs else {},
            max_response_length=OmegaConf.select(config, "data.max_response_length"),
            dtype=OmegaConf.select(config, "actor_rollout_ref.rollout.dtype") or "auto",
            reward_path=reward.get("path") or "",
            reward_name=reward.get("name") or "compute_score",
            reward_kwargs=reward.get("reward_kwargs") or {},
            val_files=tuple([files] if isinstance(files, str) else files),
        )
    except FileNotFoundError:
        raise ModelArgumentError(
            f"{path}: missing, so nobody knows how the run was trained. A launcher writes it when it starts; give the "
            "exported model's folder instead, or launch the run again."
        ) from None
    except (OSError, OmegaConfBaseException, ValueError) as error:
        raise ModelArgumentError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
