"""Torchvision's compiled operators, declared by name so that it can be imported where its build does not fit torch's.

PyPI's torchvision is built for PyPI's torch, not for the CPU build that these tests run with. timm and transformers
import it, and for the models here call none of its operators: a call would fail, as nothing stands behind the names.
"""

import torch

_NAMES = (
    *("nms", "qnms", "roi_align", "_roi_align_backward", "roi_pool", "_roi_pool_backward", "ps_roi_align"),
    *("_ps_roi_align_backward", "ps_roi_pool", "_ps_roi_pool_backward", "deform_conv2d", "_deform_conv2d_backward"),
)
_LIBRARIES = []


def declare():
    """Declare the operators, unless torchvision's own are there."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in _NAMES:
            library.define(f"{name}(Tensor inputs) -> Tensor")
        _LIBRARIES.append(library)  # they are gone when it is
