"""torchvision beside a CPU build of PyTorch: its Python part is imported, its compiled operators are only declared.

The package index has torchvision as a CUDA build. Its operators cannot be loaded beside a CPU build of PyTorch, and its
import ends with "operator torchvision::nms does not exist", which takes every model class of transformers with it. What
reads images here (transformers' and vLLM's processors) uses none of these operators, so their names are enough.

``requirements/install.sh`` has every interpreter of the CPU environment import this module, by a .pth file. It costs
nothing until torchvision is imported, and does nothing where the operators load.
"""

import importlib.abc
import sys

OPERATORS = (
    "nms",
    "qnms",
    "qroi_align",
    *("roi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d"),
    *("_roi_align_backward", "_ps_roi_align_backward", "_roi_pool_backward", "_ps_roi_pool_backward"),
    "_deform_conv2d_backward",
)


class _DeclareOperators(importlib.abc.MetaPathFinder):
    """Runs once, when torchvision's registrations for its operators are about to be imported."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision._autograd_registrations":  # torchvision imports it right after the operators
            sys.meta_path.remove(self)
            declare_missing_operators()
        return


def declare_missing_operators() -> None:
    """Declare torchvision's operators, without an implementation, if its compiled part was not loaded."""
    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in OPERATORS:
        library.define(f"{name}(Tensor input) -> Tensor")
    declare_missing_operators.library = library  # PyTorch forgets the operators with the object


sys.meta_path.insert(0, _DeclareOperators())
