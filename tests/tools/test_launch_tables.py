"""docs/{en,zh}/launchers.md and cpu.md: their tables are those of the code, and both languages say the same."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from grpo_launchpad.launch.devices import DEVICES, keys_of
from grpo_launchpad.launch.environment import FLAGS, PLACES
from grpo_launchpad.launch.knobs import read_knobs
from grpo_launchpad.launch.plan import plan_of_page
from grpo_launchpad.launch.show import settings_by_origin
from tools import launch_tables
from tools.launch_tables import LANGUAGES, PhraseError, Phrases
from tools.launchers import FOLDER, ROOT

PAGES = ("launchers.md", "cpu.md", "watching.md")
EXAMPLE = FOLDER / "run_qwen2-7b_fsdp_gsm8k.sh"
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
# Where a run replaces what is somebody else's.
REPLACING = (
    *("reward_metrics.py", "verl_glm4v.py", "verl_beside_trl.py"),
    *("platforms/cpu.py", "platforms/cpu_vllm.py", "platforms/megatron_cpu.py"),
)


def read(language: str, page: str) -> str:
    return (ROOT / "docs" / language / page).read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return [token.content for token in MarkdownIt().parse(text) if token.type == "fence"]


def quoted(text: str) -> set[str]:
    """What stands between backticks within the text."""
    return set(CODE.findall(FENCE.sub("", text)))


def test_the_tables_are_up_to_date():
    command = [sys.executable, "-m", "tools.launch_tables", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_knob_has_one_row_with_all_its_keys_and_names(language):
    table = read(language, "launchers.md").split("<!-- knobs: ")[1].split("<!-- end of knobs -->")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    names = [row.split("`")[1] for row in rows]
    assert len(set(names)) == len(names)
    for knob in read_knobs():
        (row,) = (row for row in rows if row.startswith(f"| `{knob.name}` |"))
        assert {*knob.keys, *knob.also} <= set(CODE.findall(row))
        assert f"| {knob.kind} |" in row


def test_a_knob_of_one_backend_says_so():
    table = launch_tables.knobs(str)
    assert "| `ACTOR_TP` | Megatron | count |" in table
    assert "| `SP_SIZE` | FSDP2 | count |" in table
    assert "| `LORA_RANK` | all | integer |" in table
    assert "<br>FSDP2: `actor_rollout_ref.model.lora_rank`<br>Megatron: `actor_rollout_ref.model.lora.rank`" in table


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_flag_place_and_setting_of_a_device_is_on_its_page(language):
    code = {page: quoted(read(language, page)) for page in PAGES}
    assert {*FLAGS, *PLACES} <= code["launchers.md"]
    for device, page in (("npu", "launchers.md"), ("cpu", "cpu.md")):
        for variable in DEVICES[device].variables:
            assert {variable.name, f"{variable.name}={variable.value}"} & code[page], variable.name
        assert {key.override for key in DEVICES[device].keys} <= code[page]


def test_the_number_of_cpus_is_the_one_on_the_page():
    for workers in (1, 4):
        assert f"ray_kwargs.ray_init.num_cpus={5 + 3 * workers}" in [
            x.override for x in keys_of("cpu", "fsdp", workers)
        ]


def test_missing_and_unused_phrases_are_named():
    whole = launch_tables.read_phrases().chinese
    phrases = Phrases(
        {text: chinese for text, chinese in whole.items() if text != "learning rate"} | {"gone": "没有了"}
    )
    with pytest.raises(PhraseError, match=r"missing: learning rate\n  unused: gone"):
        launch_tables.wanted(phrases=phrases)


def test_a_phrase_without_chinese_is_missing():
    phrases = Phrases(launch_tables.read_phrases().chinese | {"learning rate": ""})
    with pytest.raises(PhraseError, match="missing: learning rate"):
        launch_tables.wanted(phrases=phrases)


def test_a_wrong_phrase_is_the_users_mistake(monkeypatch, tmp_path, capsys):
    phrases = tmp_path / "phrases.yaml"
    phrases.write_text('- en: "gone"\n  zh: "没有了"\n')
    monkeypatch.setattr(launch_tables.read_phrases, "__defaults__", (phrases,))
    monkeypatch.setattr(sys, "argv", ["launch_tables", "--check"])
    with pytest.raises(SystemExit) as end:
        launch_tables.main()
    assert end.value.code == 2
    assert "unused: gone" in capsys.readouterr().err


# ---------------------------------------------------------------- the two languages


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_structure(page):
    english, chinese = (read(language, page) for language in LANGUAGES)
    for what in (r"^ *(-|\d\.) ", r"^<!-- (\w+): ", r"^\|"):
        found = [re.findall(what, text, re.MULTILINE) for text in (english, chinese)]
        assert found[0] == found[1], what
    assert re.findall(r"^(#+) ", english, re.MULTILINE) == re.findall(r"^(#+) ", chinese, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_quote_the_same(page):
    english, chinese = (read(language, page) for language in LANGUAGES)
    assert blocks(english) == blocks(chinese)
    assert quoted(english) == quoted(chinese)


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_figures_in_their_tables(page):
    english, chinese = (
        [line for line in read(language, page).splitlines() if line.startswith("|")] for language in LANGUAGES
    )
    for row in zip(english, chinese, strict=True):
        figures = [sorted(re.findall(r"\d[\d.,]*\d|\d", CODE.sub("", line))) for line in row]
        assert figures[0] == figures[1], row


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_link_to_the_same(page):
    def targets(language: str) -> list[Path]:
        links = [link for link in re.findall(r"\]\(([^)#]+)", read(language, page)) if "://" not in link]
        return [(ROOT / "docs" / language / link).resolve() for link in links]

    english, chinese = targets("en"), targets("zh")
    assert all(path.exists() for path in (*english, *chinese))
    plain = [[str(path).replace("/docs/zh/", "/docs/en/") for path in paths] for paths in (english, chinese)]
    assert sorted(plain[0]) == sorted(plain[1])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_links_within_a_page_lead_to_a_heading(language, page):
    text = read(language, page)
    headings = {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)", text, re.M)
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in headings, anchor


# ---------------------------------------------------------------- what the pages claim


def test_the_lines_of_a_launcher_on_the_page_are_its_own():
    (excerpt,) = (block for block in blocks(read("en", "launchers.md")) if block.startswith("ALGORITHM=("))
    assert excerpt in EXAMPLE.read_text()


def test_the_settings_on_the_page_are_those_of_its_command():
    (excerpt,) = (block for block in blocks(read("en", "launchers.md")) if block.startswith("environment:"))
    variables = {"ACTOR_LR": "3e-6", "MAX_RESPONSE_LEN": "2048"}
    plan = plan_of_page(EXAMPLE, variables, arguments=["trainer.total_epochs=1"])
    assert excerpt in settings_by_origin(plan) + "\n"


def replaced_names(path: Path) -> set[str]:
    """The names, without their modules, of what a file assigns to, or wraps, in modules that it imports or is given."""
    tree = ast.parse(path.read_text())
    owners, names = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            owners |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef) and any("when_imported" in ast.unparse(x) for x in node.decorator_list):
            owners |= {argument.arg for argument in node.args.args}
    for node in ast.walk(tree):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            text = ast.unparse(target)
            if "." in text and re.split(r"[.\[]", text)[0] in owners:
                names.add(text.split(".", maxsplit=1)[1].replace("'", '"').split(".")[-1])
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "wrapt.patch_function_wrapper":
            names.add(node.args[1].value.split(".")[-1])
    return names


@pytest.mark.parametrize("file", REPLACING)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_run_replaces_is_on_the_page(language, file):
    path = ROOT / "grpo_launchpad" / file
    listed = {text.split(".")[-1] for text in quoted(read(language, "cpu.md"))}
    names = replaced_names(path)
    assert names
    assert names <= listed, names - listed
    if path.name == "megatron_cpu.py":
        answers = re.search(r"answers = \{\n(.*?)\n    \}", path.read_text(), re.DOTALL)[1]
        assert set(re.findall(r'^ +"(\w+)":', answers, re.MULTILINE)) | {"empty", "zeros", "tensor"} <= listed
