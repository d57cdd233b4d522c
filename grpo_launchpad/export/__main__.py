"""Command line: grpo-launchpad export runs/<name>"""

import argparse
import logging
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from grpo_launchpad import hubs, models
from grpo_launchpad.export import CannotExport, NotProved
from grpo_launchpad.report.run_folder import RunFolderError, read_run
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.lock import LockedError, take_lock
from grpo_launchpad.whole_folder import write_whole_folder

EPILOG = """\
examples:
  grpo-launchpad export runs/run_tiny_cpu_arithmetic               the last checkpoint, to runs/<name>/export/step_<N>
  grpo-launchpad export runs/x --step 40 --out ~/models/x-40       another one, to a folder of your choice
  grpo-launchpad export runs/x --adapter                           the adapter alone (LoRA), as PEFT has it
  grpo-launchpad export runs/x --push me/x                         and to the Hugging Face hub, as a private repository

The folder is there when it has proved what it is, and not before: its tensors are the checkpoint's and not the base
model's, transformers and vLLM load it, and its greedy answers are those that the run recorded at that step.

exit codes: 0 exported, 2 a mistake of the user's, 1 a failure: then no folder is left
"""


def main(arguments: list[str] | None = None) -> int:
    """Export a checkpoint; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="grpo-launchpad export",
        description="Write the model of a run's checkpoint as one Hugging Face folder, and prove what it is.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder that a launcher wrote: runs/<name>")
    parser.add_argument("--step", type=int, help="which checkpoint; the last one by default")
    parser.add_argument("--out", type=Path, help="the new folder; runs/<name>/export/step_<N> by default")
    parser.add_argument("--adapter", action="store_true", help="the adapter alone (LoRA), as PEFT has it")
    parser.add_argument(
        "--no-engine", action="store_true", help="do not start vLLM, where the machine is too small for it"
    )
    parser.add_argument("--push", metavar="OWNER/NAME", help="also to this repository of the Hugging Face hub")
    args = parser.parse_args(arguments)
    lock = None
    try:
        lock = _hold(args.run)
        folder = _export(args)
    except (RunFolderError, CannotExport, models.ModelNotFoundError) as error:
        print(f"grpo-launchpad export: {error}", file=sys.stderr)
        return 2
    except NotProved as error:
        print(f"grpo-launchpad export: {error}\nNothing was exported.", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"grpo-launchpad export: {where}{error.strerror or error}. Nothing was exported.", file=sys.stderr)
        return 1
    finally:
        if lock is not None:
            os.close(lock)
    if args.push:
        try:
            address = hubs.to_hugging_face(folder, args.push)
        except hubs.HubError as error:
            print(f"grpo-launchpad export: {args.push}: {error}", file=sys.stderr)
            print(f"  The folder is whole: {folder}\n  hf upload {args.push} '{folder}'", file=sys.stderr)
            return 1
        print(f"  pushed to  {address}")
    return 0


def _hold(path: Path) -> int | None:
    """Keep launches away from the run while it is read: a new checkpoint replaces an old one.

    Raises:
        CannotExport: if it is being trained.
    """
    run = RunFolder(path)
    if not run.identity.is_file() or not os.access(run.launch, os.W_OK):
        return None  # no run, which is said later; or one that nobody here can go on with
    try:
        return take_lock(run, wait_seconds=0)
    except LockedError:
        raise CannotExport(
            f"{path}: the run is still going on, and a new checkpoint replaces an old one.\n"
            "  Export it when it has ended, or stop it: launching it again goes on from its last checkpoint."
        ) from None


def _export(args: argparse.Namespace) -> Path:
    _quiet()
    run = read_run(args.run)
    _check_version(run.identity)
    if args.push:
        try:
            hubs.check_upload(args.push)
        except hubs.HubError as error:
            raise CannotExport(f"--push {args.push}: {error}\n  Or export without --push.") from error
    from grpo_launchpad.export import adapter, answers, card, checkpoint, model_folder, proof

    files = RunFolder(args.run)
    found = checkpoint.find(files, args.step)
    if args.adapter and not found.adapter:
        raise CannotExport(f"{found.folder}: all weights were trained, there is no adapter. Leave --adapter out.")
    out = Path(os.path.abspath((args.out or files.export(found.step, args.adapter)).expanduser()))
    if out.exists():
        raise CannotExport(f"{out}: is there already. Remove it, or give another --out.")
    base = models.resolve(found.base, download=False)
    model_folder.check_space(out, model_folder.needed_bytes(found, args.adapter))
    tensors = answered = None

    def fill(folder: Path) -> None:
        nonlocal tensors, answered
        if args.adapter:
            adapter.write(found, folder, found.base)
            model_folder.copy_licence(base, folder)
            card.write(folder, run, found, base, None, None)
            return
        with tempfile.TemporaryDirectory() as scratch:
            merged_from = Path(scratch) / "adapter"
            merged_from.mkdir()
            _say(f"step {found.step}: writing the model")
            model_folder.write(found, folder, base, merged_from)
            _say("comparing its tensors with the checkpoint's and the base model's")
            tensors = proof.prove_tensors(found, folder, base, merged_from if found.adapter else None)
            if not args.no_engine:
                _say("asking vLLM what the run asked at that step")
                answered = answers.prove_answers(files, found, folder, Path(scratch) / "engine.log")
        card.write(folder, run, found, base, tensors, answered)

    write_whole_folder(out, fill)
    print(out)
    for line in card.checks(found, tensors, answered):
        print(f"  {line}")
    return out


def _check_version(identity: dict) -> None:
    trained = (identity.get("versions") or {}).get("verl")
    if trained and trained != version("verl"):
        raise CannotExport(
            f"{identity.get('name')} was trained with verl {trained} and this is verl {version('verl')}, which may "
            "read its checkpoints otherwise.\n  Export it in the environment that trained it."
        )


def _say(text: str) -> None:
    print(f"export: {text} ...", file=sys.stderr)


def _quiet() -> None:
    """Leave out the progress bars and warnings of the libraries: they tell of steps that are not the user's."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    logging.getLogger("torch.distributed.device_mesh").setLevel(logging.ERROR)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


if __name__ == "__main__":
    sys.exit(main())
