"""The conventions of torch.optim.SGD and of the optimizers that are written on torch.

What lives here: facts. What does not: what a row is made of (`convention.py`) and the translation.
"""

from __future__ import annotations

from downslope.exchange.convention import Argument, Convention
from downslope.exchange.row_parts import ANY, DAMPENING, MAXIMIZE, MOMENTUM, NESTEROV, WEIGHT_DECAY, lr_argument

_TORCH_FORM = {"undampened_first_step": True, "state_key": "momentum_buffer", "schedules": "torch"}
_TORCH_NEUTRAL = dict.fromkeys(("params", "param_names", "foreach", "fused", "differentiable", "initial_lr"), ANY)

ROWS = (
    Convention(
        name="torch",
        title="torch.optim.SGD",
        arguments=(lr_argument(1e-3), MOMENTUM, DAMPENING, WEIGHT_DECAY, NESTEROV, MAXIMIZE),
        **_TORCH_FORM,
        without_momentum=("dampening",),
        neutral=_TORCH_NEUTRAL | {"capturable": ANY},
        source="run: torch 2.13",
    ),
    Convention(
        name="timm",
        title="timm.optim.SGDW",
        arguments=(
            Argument(
                name="opt",
                choices={
                    None: {},
                    "sgdw": {"nesterov": True, "momentum": 0.9},
                    "sgd": {"decay": "coupled", "nesterov": True, "momentum": 0.9},
                    "momentum": {"decay": "coupled", "nesterov": False, "momentum": 0.9},
                },
                goes_to="timm.optim.create_optimizer_v2, in whose names `sgd` is torch.optim.SGD with Nesterov and "
                "`momentum` without, and which decays no parameter of one dimension",
            ),
            Argument(name="corrected_weight_decay", default=False, choices={False: {}, True: {"decay": "corrected"}}),
            lr_argument(1e-3),
            MOMENTUM,
            DAMPENING,
            WEIGHT_DECAY,
            NESTEROV,
            MAXIMIZE,
        ),
        decay="decoupled",
        **_TORCH_FORM,
        without_momentum=("dampening",),
        neutral=_TORCH_NEUTRAL | {"caution": (False,)},
        source="run: timm 1.0.31; read: timm/optim/_optim_factory.py",
    ),
    Convention(
        name="composer",
        title="composer.optim.DecoupledSGDW",
        arguments=(lr_argument(), MOMENTUM, DAMPENING, WEIGHT_DECAY, NESTEROV),
        decay="relative",
        **_TORCH_FORM,
        without_momentum=("dampening",),
        nesterov_with_dampening=False,
        neutral={"params": ANY, "initial_lr": ANY},
        source="read: composer/optim/decoupled_weight_decay.py",
    ),
    Convention(
        name="heavyball",
        title="heavyball.SGD",
        arguments=(lr_argument(0.0025), Argument(name="beta", sets="momentum", default=0.9), WEIGHT_DECAY),
        decay="decoupled",
        state_key="momentum",
        neutral={
            **dict.fromkeys(("params", "foreach", "storage_dtype", "mars_gamma"), ANY),
            "warmup_steps": (0,),
            "mars": (False,),
            "caution": (False,),
            "gradient_clipping": (None,),
            "update_clipping": (None,),
        },
        schedules="torch",
        remarks=("rounds bfloat16 stochastically; newer versions put a prefix before the key of the state",),
        source="read: heavyball/utils.py, chainable.py",
    ),
    Convention(
        name="bitsandbytes",
        title="bitsandbytes.optim.SGD",
        arguments=(lr_argument(), Argument(name="momentum", sets="momentum", required=True), WEIGHT_DECAY),
        state_key="state1",
        ignores=("nesterov", "dampening"),
        neutral={
            **dict.fromkeys(("params", "optim_bits", "args", "min_8bit_size", "block_wise"), ANY),
            "percentile_clipping": (100,),
        },
        needs_momentum=True,
        schedules="torch",
        remarks=("its 8-bit state is quantised, and cannot be carried over exactly",),
        source="read: bitsandbytes/optim/sgd.py and its 32-bit kernel",
    ),
    Convention(
        name="apex",
        title="apex.optimizers.FusedSGD",
        arguments=(
            lr_argument(),
            MOMENTUM,
            DAMPENING,
            WEIGHT_DECAY,
            NESTEROV,
            Argument(
                name="wd_after_momentum",
                default=False,
                choices={False: {"decay": "coupled"}, True: {"decay": "decoupled"}},
            ),
        ),
        **_TORCH_FORM,
        without_momentum=("dampening",),
        neutral={"params": ANY, "materialize_master_grads": ANY, "set_grad_none": ANY},
        remarks=("one flag says for all parameters whether this is the first step",),
        source="read: apex/optimizers/fused_sgd.py",
    ),
)
