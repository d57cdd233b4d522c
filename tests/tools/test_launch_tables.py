import subprocess
import sys

from grpo_launchpad.knobs import read_knobs

from tools import knob_table
from tools.launchers import ROOT


def test_the_table_is_up_to_date():
    command = [sys.executable, "-m", "tools.knob_table", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_knob_has_one_row_with_all_its_keys():
    rows = knob_table.table().splitlines()[2:]
    names = [row.split("`")[1] for row in rows]
    assert len(set(names)) == len(names)
    for knob in read_knobs():
        (row,) = (row for row in rows if row.startswith(f"| `{knob.name}` |"))
        assert all(f"`{key}`" in row for key in knob.keys)
        assert f"| {knob.kind} |" in row


def test_a_knob_of_one_backend_says_so():
    rows = knob_table.table()
    assert "| `ACTOR_TP` | Megatron | count |" in rows
    assert "| `SP_SIZE` | FSDP2 | count |" in rows
    assert "| `LORA_RANK` | all | integer |" in rows
    assert "<br>FSDP2: `actor_rollout_ref.model.lora_rank`<br>Megatron: `actor_rollout_ref.model.lora.rank`" in rows
