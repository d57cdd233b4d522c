import subprocess
import sys

import torch


def python(code: str, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=300)


def test_every_interpreter_of_the_environment_can_import_torchvision():
    done = python(
        "import torch, torchvision; print(torchvision.transforms.functional.resize(torch.ones(3, 8, 8), [4, 4]).shape)"
    )
    assert done.stdout == f"{torch.Size([3, 4, 4])}\n", done.stderr


def test_is_still_needed():
    """Without the declarations (-S: no .pth files) the import fails, or the module can go."""
    paths = [path for path in sys.path if "site-packages" in path]
    done = python(f"import sys; sys.path += {paths!r}; import torchvision", "-S")
    assert "torchvision::nms does not exist" in done.stderr


def test_costs_nothing_until_torchvision_is_imported():
    done = python("import sys; print(sorted({'torch', 'torchvision'} & set(sys.modules)))")
    assert done.stdout == "[]\n"
