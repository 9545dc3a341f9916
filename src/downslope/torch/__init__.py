"""The PyTorch front door: ``downslope.torch.SGD``, a drop-in for ``torch.optim.SGD``."""

from downslope.torch.sgd import SGD

__all__ = ["SGD"]
