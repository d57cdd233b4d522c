"""What a run says while it trains: a line a step, metrics.jsonl, TensorBoard, and Weights & Biases if asked for."""

import fcntl
import json
from dataclasses import asdict
from pathlib import Path

from arguments import GRPOArguments
from tasks import SetupError

SHOWN = {"accuracy": "{:.1%}", "reward": "{:.3f}", "loss": "{:+.4f}", "kl": "{:.4f}", "grad_norm": "{:.3f}"}


class RunLog:
    """Writes metrics by step; a run that goes on loses what it logged after its checkpoint."""

    def __init__(self, args: GRPOArguments, first_step: int):
        """
        Raises:
            SetupError: if another run writes to the same output_dir.
        """
        from torch.utils.tensorboard import SummaryWriter

        output_dir = Path(args.output_dir)
        output_dir.mkdir(parents=True, exist_ok=True)
        self.file = (output_dir / "metrics.jsonl").open("a+")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(f"{output_dir} is in use by another run; give another --output_dir") from None
        self.file.seek(0)
        # A process that was killed may have left half a line.
        lines = self.file.readlines()
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= first_step]
        if kept != lines:
            self.file.truncate(0)
            self.file.writelines(kept)
            self.file.flush()
        name = output_dir.resolve().name
        self.tensorboard = SummaryWriter(Path(args.log_dir) / name, purge_step=first_step + 1)
        self.wandb = None
        if args.wandb_project:
            import wandb

            id_file = output_dir / "wandb_id"
            known = id_file.read_text() if first_step and id_file.exists() else None
            self.wandb = wandb.init(
                project=args.wandb_project, name=name, config=asdict(args), id=known, resume="allow"
            )
            id_file.write_text(self.wandb.id)

    def __call__(self, step: int, metrics: dict[str, float]) -> None:
        self.file.write(json.dumps({"step": step} | metrics) + "\n")
        self.file.flush()
        for name, value in metrics.items():
            self.tensorboard.add_scalar(name, value, step)
        if self.wandb:
            self.wandb.log(metrics, step=step)
        shown = [f"{name.replace('_', ' ')} {SHOWN[name].format(metrics[name])}" for name in SHOWN if name in metrics]
        if metrics.get("skipped_updates"):
            shown.append(f"skipped updates {metrics['skipped_updates']}")
        print(f"step {step:4}  " + "  ".join(shown), flush=True)

    def close(self) -> None:
        self.file.close()
        self.tensorboard.close()
        if self.wandb:
            self.wandb.finish()
