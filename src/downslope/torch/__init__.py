"""The PyTorch front door: ``downslope.torch.SGD``, a drop-in for ``torch.optim.SGD``, and what goes with it."""

from downslope.torch.grad_scaler import GradScaler
from downslope.torch.sgd import SGD
from downslope.torch.state import load_planner

__all__ = ["SGD", "GradScaler", "load_planner"]
