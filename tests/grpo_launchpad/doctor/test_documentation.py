"""docs/{en,zh}/doctor.md: both say the same, and name every item."""

import re

import pytest

from grpo_launchpad.doctor.judge import judge
from grpo_launchpad.doctor.versions import ENGINES, ROOT

PAGES = {language: (ROOT / "docs" / language / "doctor.md").read_text() for language in ("en", "zh")}
BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def test_both_have_the_same_blocks_sections_and_rows():
    english, chinese = PAGES["en"], PAGES["zh"]
    assert BLOCK.findall(english) == BLOCK.findall(chinese)
    for mark in ("^#+ ", r"^\|"):
        assert len(re.findall(mark, english, re.MULTILINE)) == len(re.findall(mark, chinese, re.MULTILINE))
    assert re.findall(r"\]\((.+?)\)", english) == re.findall(r"\]\((.+?)\)", chinese)


@pytest.mark.parametrize("language", PAGES)
def test_links_lead_somewhere(language):
    for target in re.findall(r"\]\((.+?)\)", PAGES[language]):
        assert (ROOT / "docs" / language / target).exists()


@pytest.mark.parametrize("language", PAGES)
def test_every_item_has_a_row(machine, language):
    machine.gpus(1)
    items = {each.item for each in judge(machine.facts())} - set(ENGINES)
    rows = re.findall(r"^\| ([^|]+) \|", PAGES[language], re.MULTILINE)
    named = {name.strip("` ") for row in rows for name in re.split(r", |、", row)}
    assert items <= named, items - named
