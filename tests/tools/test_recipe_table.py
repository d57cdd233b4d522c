import subprocess
import sys

import pytest

from grpo_launchpad import verification
from grpo_launchpad.verification import new_record
from tools import recipe_table
from tools.launchers import ROOT, Launcher, LauncherError, all_launchers

TEXT = """\
#!/usr/bin/env bash
# GRPO | {model} | Anything | GSM8K
# Hardware: 2 nodes of 8 GPUs with 80 GB, or 1 of 8 with 141 GB (NNODES=1).
CLUSTER=(
    "trainer.nnodes=${{NNODES:=2}}"
    "trainer.n_gpus_per_node=${{NGPUS_PER_NODE:=8}}"
)
"""


@pytest.fixture
def write_launcher(tmp_path):
    def write(name, text=None):
        path = tmp_path / f"{name}.sh"
        path.write_text(text or TEXT.format(model=name.split("_")[1].title()))
        return Launcher(path)

    return write


def check(module):
    return subprocess.run([sys.executable, "-m", module, "--check"], cwd=ROOT, capture_output=True, text=True)


def test_every_launcher_is_recorded_as_composed():
    records = verification.read()
    missing = [each.name for each in all_launchers() if "C" not in verification.current(each.path, records)]
    assert not missing, f"run: make recipes ({', '.join(missing)})"


def test_there_is_no_record_of_a_launcher_that_is_gone():
    gone = {record.launcher for record in verification.read()} - {launcher.name for launcher in all_launchers()}
    assert not gone, f"delete their lines from {verification.RECORDS}"


def test_the_tables_are_up_to_date():
    done = check("tools.recipe_table")
    assert done.returncode == 0, done.stderr


def test_every_launcher_is_in_the_table_once():
    page = recipe_table.PAGE.read_text()
    for each in all_launchers():
        assert page.count(f"]({each.path.name})") == 1


def test_a_row_says_what_the_launcher_is(write_launcher):
    made = write_launcher("run_qwen3-8b_fsdp-lora-npu_gsm8k")
    table = recipe_table.recipes([made], [new_record(made.path, "C")])
    name = "run_qwen3-8b_fsdp-lora-npu_gsm8k"
    assert f"| [{name}]({name}.sh) | Qwen3-8B | FSDP2, LoRA | GSM8K | 2 x 8 NPU, 80 GB | C |" in table
    assert "### Qwen3 and Qwen3.5" in table
    assert "1 launchers, by the highest level reached: 1 C (composes), 0 S (" in table


def test_launchers_are_grouped_and_sorted_by_size(write_launcher):
    names = ["qwen2.5-32b_fsdp_a", "qwen2.5-7b_fsdp_a", "qwen2.5-0.5b_fsdp_a", "qwen2.5-vl-7b_fsdp_geo3k", "x_fsdp_a"]
    groups = recipe_table.groups([write_launcher(f"run_{name}") for name in names])
    assert {title: [each.model for each in members] for title, members in groups.items()} == {
        "Qwen2 and Qwen2.5": ["qwen2.5-0.5b", "qwen2.5-7b", "qwen2.5-32b"],
        "Others": ["x"],
        "Vision-language models": ["qwen2.5-vl-7b"],
    }


def test_the_front_page_has_a_row_for_each_group(write_launcher):
    names = ["qwen3-8b_fsdp_a", "qwen3-8b_fsdp-lora_a", "qwen3-8b_megatron-npu_a"]
    launchers = [write_launcher(f"run_{name}") for name in names]
    overview = recipe_table.overview(launchers, [new_record(launchers[0].path, "C")])
    assert "| Qwen3 and Qwen3.5 | Qwen3-8B | FSDP2, Megatron, LoRA, on NPUs | GSM8K | 3 |" in overview
    assert overview.endswith("0 G (ran in full on accelerators), 2 not verified as they are now.")


def test_the_front_page_says_how_many_ran_on_accelerators(write_launcher):
    launchers = [write_launcher(f"run_qwen3-8b_fsdp_{task}") for task in ("a", "b", "c")]
    ran = [new_record(each.path, "G", status="completed", hardware="8x H100 80 GB") for each in launchers[:2]]
    failed = [
        new_record(launchers[2].path, "G", status="failed"),
        new_record(launchers[2].path, "S", status="completed"),
    ]
    overview = recipe_table.overview(launchers, [*ran, *failed])
    assert "3 launchers" in overview
    assert "0 C (composes), 1 S (ran shrunken on a CPU), 2 G (ran in full on accelerators)." in overview


def test_what_cannot_run_on_a_cpu_is_listed_with_its_reason(write_launcher):
    made = write_launcher("run_qwen3-8b_megatron_gsm8k")
    table = recipe_table.recipes([made], [new_record(made.path, "S", reason="SMOKE=1 needs what is not there")])
    assert "- SMOKE=1 needs what is not there:\n  `run_qwen3-8b_megatron_gsm8k`" in table


def test_a_full_size_run_names_its_hardware(write_launcher):
    made = write_launcher("run_qwen3-8b_megatron_gsm8k")
    record = new_record(made.path, "G", status="completed", hardware="8x H100 80 GB")
    assert "| G (8x H100 80 GB) |" in recipe_table.recipes([made], [record])


@pytest.mark.parametrize(("old", "new"), [("80 GB", "much"), ("# GRPO |", "# PPO |")])
def test_a_header_without_what_the_table_needs_is_named(write_launcher, old, new):
    made = write_launcher("run_a_fsdp_b", TEXT.format(model="a").replace(old, new).replace("141 GB", "more"))
    with pytest.raises(LauncherError, match=r"run_a_fsdp_b\.sh.*: write"):
        recipe_table.recipes([made], [])


def test_an_outdated_table_is_named_and_left_alone(tmp_path, monkeypatch, capsys):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- recipes: made -->\nold\n<!-- end of recipes -->\nafter\n")
    monkeypatch.setattr(recipe_table, "PAGE", page)
    monkeypatch.setattr(recipe_table, "FRONT_PAGE", page)
    monkeypatch.setattr(sys, "argv", ["recipe_table", "--check"])
    with pytest.raises(SystemExit) as end:
        recipe_table.main()
    assert end.value.code == 1
    assert f"{page}; run: make recipes" in capsys.readouterr().err
    assert "old" in page.read_text()

    monkeypatch.setattr(sys, "argv", ["recipe_table"])
    recipe_table.main()
    text = page.read_text()
    assert text.startswith("before\n<!-- recipes: made -->\n\n| |")
    assert text.endswith(".\n\n<!-- end of recipes -->\nafter\n")


def test_a_page_without_markers_is_named(tmp_path, monkeypatch):
    page = tmp_path / "README.md"
    page.write_text("nothing")
    monkeypatch.setattr(recipe_table, "PAGE", page)
    with pytest.raises(ValueError, match="end of recipes"):
        recipe_table.wanted()
