"""Checks of the training and validation files."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.preflight.reward import check_composition, check_rows

DATA_PREP = Path(__file__).resolve().parents[2] / "data_prep"


def check_data(config: DictConfig, made_later: frozenset[str] = frozenset()) -> list[Problem]:
    """Check that the parquet files exist, can be read, have verl's columns, right answers, and rows for a batch.

    Args:
        config: the composed configuration.
        made_later: folders whose files are made before the training starts; they are not looked at.
    """
    problems = check_composition(config)
    train_rows = 0
    complete = True
    for key in ("train_files", "val_files"):
        files = OmegaConf.select(config.data, key)
        for file in [files] if isinstance(files, str) else files:
            if str(Path(file).parent) in made_later:
                complete = False
                continue
            rows, found = _check_file(f"data.{key}", Path(file).expanduser(), config)
            complete = complete and rows is not None
            problems += found
            train_rows += (rows or 0) if key == "train_files" else 0
    batch = config.data.train_batch_size
    if not problems and complete and train_rows < batch:
        problems.append(
            Problem(
                "data.train_batch_size",
                f"{batch} prompts a batch, but the training files have only {train_rows} rows",
                f"set TRAIN_BATCH_SIZE to at most {train_rows}, or prepare more data",
            )
        )
    return list(dict.fromkeys(problems))  # a wrong option is one problem, however many files there are


def check_capacity(config: DictConfig) -> list[Problem]:
    """Check that TransferQueue holds a whole validation and a whole step: one key a prompt and one a sample.

    Source: TransferQueue's ``storage/simple_storage.py``, put_data, which raises when it is full; verl 0.9.1 puts the
    prompts and the samples there (``trainer/ppo/v1/trainer_base.py``).
    """
    key = "transfer_queue.backend.SimpleStorage.total_storage_size"
    room = OmegaConf.select(config, key)
    if not isinstance(room, int):
        return []
    rollout = config.actor_rollout_ref.rollout
    rows = rows_of(config.data.val_files)
    if isinstance(config.data.val_max_samples, int) and config.data.val_max_samples > 0:
        rows = min(rows, config.data.val_max_samples)
    problems = []
    for what, prompts, samples, fix in (
        ("validation rows", rows, rollout.val_kwargs.n, "set VAL_ROWS"),
        ("prompts a step", config.data.train_batch_size, rollout.n, "set TRAIN_BATCH_SIZE"),
    ):
        needed = prompts * (samples + 1)
        if needed > room:
            said = f"{prompts} {what} with {samples} samples each are {needed} keys, and the queue holds {room}"
            problems.append(Problem(key, said, f"{fix} to {room // (samples + 1)} at most, or add {key}={2 * needed}"))
    return problems


def rows_of(files: object) -> int:
    """Return the rows of parquet files, as far as they can be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    for file in [files] if isinstance(files, str) else files or []:
        try:
            rows += pq.read_metadata(Path(file).expanduser()).num_rows
        except (OSError, pa.ArrowException):
            continue  # check_data says what is wrong with it
    return rows


def _check_file(where: str, path: Path, config: DictConfig) -> tuple[int | None, list[Problem]]:
    """Return the number of rows of a parquet file (None if it is not known) and what is wrong with it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return 0, [Problem(where, f"{path} does not exist", f"{_command(path)} --out '{path.parent}'")]
    if path.suffix != ".parquet":  # verl reads json and jsonl as well; their rows are not looked at here
        return None, []
    try:
        # Of the columns that are looked at; images and the like stay on the disk.
        prompt = config.data.prompt_key
        looked_at = ("data_source", prompt, "reward_model")
        with pq.ParquetFile(path) as parquet:
            names = parquet.schema_arrow.names
            table = parquet.read(columns=[name for name in looked_at if name in names and name != prompt])
            schema = parquet.schema_arrow
    except (pa.ArrowException, OSError) as error:
        remake = f"delete it and prepare it again: {_command(path)}"
        return 0, [Problem(where, f"{path} is not a readable parquet file ({error})", remake)]

    missing = [name for name in looked_at if name not in names]
    if missing:
        found = ", ".join(names)
        fix = f"prepare the data with data_prep/, or name the prompt column with data.prompt_key (now {prompt!r})"
        return table.num_rows, [Problem(where, f"{path} lacks the column(s) {', '.join(missing)}; it has {found}", fix)]
    problems = []
    if not _is_list(schema.field(prompt).type):
        problems.append(
            Problem(
                where,
                f"{path}: column {prompt} is {schema.field(prompt).type}, verl needs a list of chat messages",
                'store each prompt as [{"role": "user", "content": "..."}]',
            )
        )
    reward_type = table.schema.field("reward_model").type
    if not pa.types.is_struct(reward_type) or reward_type.get_field_index("ground_truth") < 0:
        problems.append(
            Problem(where, f"{path}: column reward_model has no ground_truth", "prepare the data with data_prep/")
        )
    source_type = table.schema.field("data_source").type
    if pa.types.is_dictionary(source_type):
        source_type = source_type.value_type
    if not (pa.types.is_string(source_type) or pa.types.is_large_string(source_type)):
        what = f"{path}: column data_source is {source_type}, verl needs a text"
        problems.append(Problem(where, what, "name the data set of each row in one text, such as openai/gsm8k"))
    return table.num_rows, problems or _empty_rows(where, path, table) or check_rows(where, path, table, config)


def _is_list(kind) -> bool:
    """Say whether a column holds lists, whichever of Arrow's three kinds of them; verl reads each."""
    import pyarrow as pa

    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _command(path: Path) -> str:
    """Return what prepares a file: the module of its folder's name, else the one for data sets of the user's own."""
    name = path.parent.name
    return f"python data_prep/{name if (DATA_PREP / f'{name}.py').exists() else 'custom'}.py"


def _empty_rows(where: str, path: Path, table) -> list[Problem]:
    problems = []
    for name in ("data_source", "reward_model"):
        column = table.column(name)
        if column.null_count:
            first = column.is_null().index(True).as_py() + 1
            what = f"{path}: {column.null_count} of {table.num_rows} rows have no {name}, the first of them row {first}"
            problems.append(Problem(where, what, "fill it in, or leave these rows out"))
    return problems
