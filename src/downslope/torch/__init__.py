"""The PyTorch front door: ``downslope.torch.SGD``, a drop-in for ``torch.optim.SGD``, and what goes with it."""

from downslope.torch.distributed_state import load_planner
from downslope.torch.grad_scaler import GradScaler
from downslope.torch.sgd import SGD

__all__ = ["SGD", "GradScaler", "load_planner"]
