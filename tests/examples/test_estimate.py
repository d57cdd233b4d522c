"""Each launcher next to its estimate: it fits the hardware that its header names, and the header's numbers agree."""

import re

import pytest

from grpo_launchpad.estimate import vllm
from grpo_launchpad.estimate.devices import GIB
from grpo_launchpad.estimate.hardware import stated_in
from grpo_launchpad.estimate.memory import host_total
from grpo_launchpad.estimate.of_config import Estimated, estimate

# Without recomputation the vision tower is most of what could be too much, and how many tokens are images is not known.
TIGHT_IF_IMAGES_ARE_LARGE = {"run_qwen2.5-vl-7b_megatron_geo3k", "run_qwen3-vl-8b_megatron_geo3k"}
WEIGHTS = re.compile(r"(?P<size>[\d.]+) (?:GiB )?(?:of|for the) weights(?! and)")
CACHE = re.compile(r"(?P<count>[\d,.]+) ?(?P<unit>k|M)? tokens of KV cache|cache(?: of|:) (?P<plain>[\d,]+) tokens")


@pytest.fixture
def found(launcher, configuration) -> Estimated:
    if launcher.device == "cpu":
        pytest.skip("trains on a CPU")
    stated = stated_in(launcher.page.header)
    assert stated.device is not None, launcher.page.header
    return estimate(configuration(launcher), stated.device, npu=launcher.device == "npu")


def test_fits_the_hardware_of_its_header(launcher, found):
    wanted = "tight" if launcher.name in TIGHT_IF_IMAGES_ARE_LARGE else "fits"
    assert found.memory.verdict.word == wanted, found.memory.worst


def test_memory_of_a_machine_that_the_header_names_is_enough(launcher, found):
    host = stated_in(launcher.page.header).host
    if host is not None:
        assert host_total(found.memory) < 1.1 * host  # processes are counted by a round number


def test_numbers_of_the_engine_in_its_comments_agree(launcher, found):
    comments = " ".join(re.findall(r"#.*", launcher.page.text.partition("ROLLOUT=(")[2]))
    if weights := WEIGHTS.search(comments):
        assert float(weights["size"]) * GIB == pytest.approx(vllm.weights(found.launch.engine), rel=0.12, abs=0.8 * GIB)
    if cache := CACHE.search(comments):
        number = float((cache["count"] or cache["plain"]).replace(",", ""))
        scale = {"k": 1e3, "M": 1e6, None: 1}[cache["unit"]]
        assert number * scale == pytest.approx(found.memory.cache_tokens, rel=0.35)
