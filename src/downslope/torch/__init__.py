"""SGD for PyTorch: ``downslope.torch.SGD``, a drop-in for ``torch.optim.SGD``, and what goes with it."""

import torch

from downslope.core.schedules import SCHEDULES
from downslope.torch.blocks import decoded_state
from downslope.torch.grad_scaler import GradScaler
from downslope.torch.on_device import device_backend
from downslope.torch.parameters import param_groups
from downslope.torch.schedule_free import ScheduleFreeSGD
from downslope.torch.scheduler import scheduler
from downslope.torch.sgd import SGD
from downslope.torch.state import load_planner

__all__ = [
    "SGD",
    "GradScaler",
    "ScheduleFreeSGD",
    "decoded_state",
    "device_backend",
    "load_planner",
    "param_groups",
    "scheduler",
]

# schedules within what trainers save (a LightningModule's arguments, say) are read by torch.load(weights_only=True)
torch.serialization.add_safe_globals([*SCHEDULES.values()])
