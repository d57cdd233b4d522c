"""Command line: grpo-launchpad export runs/<name>"""

import argparse
import contextlib
import logging
import os
import sys
import tempfile
from pathlib import Path

from grpo_launchpad import hubs, models
from grpo_launchpad.export import CannotExport, NotProved
from grpo_launchpad.report.run_folder import RunFolderError, read_run
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.lock import LockedError, take_lock
from grpo_launchpad.runs.versions import installed
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
    try:
        if args.push:
            _check_push(args.push)
        folder = export_model(
            args.run, args.step, args.out, adapter_only=args.adapter, engine=not args.no_engine, anew=True
        )
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
    print(folder)
    if args.push:
        try:
            print(f"pushed to {hubs.to_hugging_face(folder, args.push)}")
        except hubs.HubError as error:
            print(f"grpo-launchpad export: {args.push}: {error}", file=sys.stderr)
            print(f"  The folder is whole; push it later: hf upload {args.push} '{folder}'", file=sys.stderr)
            return 1
    return 0


def export_model(
    path: Path,
    step: int | None = None,
    out: Path | None = None,
    *,
    adapter_only: bool = False,
    engine: bool = True,
    anew: bool = False,
) -> Path:
    """Return the folder of a run's model, written and proved if it is not there.

    Args:
        path: the run's folder.
        step: of the checkpoint; the last complete one by default.
        out: the new folder; ``export/step_<N>`` of the run by default.
        adapter_only: whether to write the adapter as PEFT has it, and not the model.
        engine: whether to ask the rollout engine for answers.
        anew: whether a folder that is there already is a mistake.

    Raises:
        CannotExport, RunFolderError, ModelNotFoundError: if it cannot be exported as asked.
        NotProved: if what was written is not the run's model. Then, as with every error, no folder is left.
        OSError: if it cannot be written.
    """
    lock = _hold(path)
    try:
        return _export(path, step, out, adapter_only, engine, anew)
    finally:
        if lock is not None:
            os.close(lock)


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


def _export(path: Path, step: int | None, out: Path | None, adapter_only: bool, engine: bool, anew: bool) -> Path:
    _quiet()
    run = read_run(path)
    _check_version(run.identity)
    from grpo_launchpad.export import adapter, answers, card, checkpoint, model_folder, proof

    files = RunFolder(path)
    found = checkpoint.find(files, step)
    if adapter_only and not found.adapter:
        raise CannotExport(f"{found.folder}: all weights were trained, there is no adapter. Leave --adapter out.")
    out = Path(os.path.abspath((out or files.export(found.step, adapter_only)).expanduser()))
    if out.exists():
        if anew or not _is_of(found.folder, out):
            raise CannotExport(f"{out}: is there already. Remove it, or give another folder with --out.")
        return out
    # What was made here was made from its name alone, and may be made again.
    base = models.resolve(found.base, download=models.is_made_here(found.base))
    model_folder.check_space(out, model_folder.needed_bytes(found, base, adapter_only))

    def fill(folder: Path) -> None:
        answered = None
        with tempfile.TemporaryDirectory() as temporary:
            scratch = Path(temporary)
            if adapter_only:
                adapter.write(found, folder, found.base)
                model_folder.copy_licence(base, folder)
                tensors = proof.prove_adapter(folder)
            else:
                _say(f"step {found.step}: writing the model")
                model_folder.write(found, folder, base, scratch)
                _say("comparing its tensors with the checkpoint's and the base model's")
                tensors = proof.prove_tensors(found, folder, base, scratch if found.adapter else None)
            if engine and not adapter_only:
                _say("asking vLLM what the run asked at that step")
                answered = answers.prove_answers(files, found, folder, scratch)
        card.write(folder, run, found, base, tensors, answered)
        for file in folder.rglob("*"):  # safetensors makes files that only their owner reads
            file.chmod(0o755 if file.is_dir() else 0o644)
        for line in card.checks(found, tensors, answered):
            _say(line)

    parent_is_new = not out.parent.exists()
    try:
        return write_whole_folder(out, fill)
    except BaseException:
        if parent_is_new:
            with contextlib.suppress(OSError):
                out.parent.rmdir()
        raise


def _is_of(checkpoint: Path, export: Path) -> bool:
    """Say whether a folder was exported after its checkpoint was saved, which a resumed run may have done again."""
    return max(file.stat().st_mtime for file in checkpoint.rglob("*")) <= export.stat().st_mtime


def _check_push(repository: str) -> None:
    try:
        hubs.check_upload(repository)
    except hubs.HubError as error:
        raise CannotExport(f"--push {repository}: {error}\n  Or export without --push.") from error


def _check_version(identity: dict) -> None:
    trained, here = (identity.get("versions") or {}).get("verl"), installed().get("verl")
    if trained and trained != here:
        raise CannotExport(
            f"{identity.get('name')} was trained with verl {trained} and this is verl {here}, which may "
            "read its checkpoints otherwise.\n  Export it in the environment that trained it."
        )


def _say(text: str) -> None:
    print(f"export: {text}", file=sys.stderr)


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
