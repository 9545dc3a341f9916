"""The conventions: one row for each system, with where its facts come from.

A source that says "run" was checked by running the release named, most of them by the project's own tests; one that
says "read" was read in the file named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, cast

from downslope.core.checks import as_float
from downslope.core.errors import SettingsError, did_you_mean
from downslope.core.schedules.schedule import Schedule, scaled
from downslope.core.settings import Settings
from downslope.systems import schedules
from downslope.systems.convention import Argument, Convention, Values

# Arguments that many systems share, for the rows of the table of conventions.

ANY: tuple[object, ...] = ()
"""In `Convention.neutral`: whatever its value, the argument is no part of the rule."""

SKLEARN_OTHERS = (
    *("hidden_layer_sizes", "activation", "power_t", "max_iter", "loss", "shuffle", "random_state", "tol", "verbose"),
    *("warm_start", "early_stopping", "validation_fraction", "beta_1", "beta_2", "epsilon", "n_iter_no_change"),
    "max_fun",
)
"""Arguments of scikit-learn's MLP that are no part of the update rule."""


CAFFE_OTHERS = (
    *("net", "net_param", "train_net", "test_net", "train_net_param", "test_net_param", "train_state", "test_state"),
    *("test_iter", "test_interval", "test_compute_loss", "test_initialization", "display", "average_loss", "iter_size"),
    *("snapshot", "snapshot_prefix", "snapshot_diff", "snapshot_format", "snapshot_after_train", "solver_mode"),
    *("device_id", "random_seed", "debug_info", "layer_wise_reduce", "weights", "delta", "momentum2", "rms_decay"),
)
"""Fields of a Caffe solver that are no part of the update rule; iter_size averages gradients."""

NESTEROV = Argument(name="nesterov", sets="nesterov", default=False)
MOMENTUM = Argument(name="momentum", sets="momentum", default=0.0)
DAMPENING = Argument(name="dampening", sets="dampening", default=0.0)
MAXIMIZE = Argument(name="maximize", sets="maximize", default=False)
WEIGHT_DECAY = Argument(name="weight_decay", sets="weight_decay", default=0.0)


def lr_argument(default: float | None = None, *, name: str = "lr") -> Argument:
    """Return the argument of the learning rate, required where it has no default."""
    return Argument(name=name, sets="lr", default=default, required=default is None, scheduled=True)


def learning_rate_argument(default: float | None = None) -> Argument:
    """Return the argument of the learning rate as Keras and its kin call it; a schedule of Keras's is read too."""
    return Argument(
        name="learning_rate",
        sets="lr",
        default=default,
        required=default is None,
        scheduled=True,
        aliases=("lr",),
        reads=schedules.keras_lr,
    )


# What is no product of numbers: solver types, regularizers, unit gain.


def caffe_solver_type(value: Any) -> Any:
    """Return Caffe's solver type by its present name; older files say SGD or NESTEROV, or 0 or 1."""
    return {0: "SGD", 1: "Nesterov", "NESTEROV": "Nesterov"}.get(value, value)


def keras_l2(value: Any) -> float:
    """Return the l of Keras's L2(l): from the number, the object, its configuration, or the word "l2".

    Raises:
        SettingsError: If it is another regularizer.
    """
    if isinstance(value, Mapping):
        config = cast("Mapping[str, Any]", value).get("config", value)
        if isinstance(config, Mapping) and "l2" in config and not config.get("l1"):
            return as_float("kernel_regularizer", config["l2"])
    elif value in ("l2", "L2"):
        return 0.01  # Keras's own default
    elif hasattr(value, "l2") and not getattr(value, "l1", None):
        return as_float("kernel_regularizer", float(value.l2))
    elif isinstance(value, int | float):
        return as_float("kernel_regularizer", value)
    raise SettingsError(
        f"`kernel_regularizer` must be the l of L2(l), such as 2.5e-4, or an L2 regularizer; got {value!r}. "
        "No other penalty is weight decay."
    )


def read_unit_gain(fields: Values) -> Values:
    """Return fields in which CNTK's unit gain has become dampening equal to momentum.

    With Nesterov, CNTK dampens the gradient of the look-ahead as well, which is a factor 1 - momentum on lr.
    """
    fields = dict(fields)
    unit_gain, momentum = fields.pop("unit_gain", False), fields["momentum"]
    if not isinstance(unit_gain, bool):
        raise SettingsError(f"cntk: `unit_gain` must be True or False; got {unit_gain!r}.")
    if not unit_gain or momentum == 0:
        return fields
    if isinstance(momentum, Schedule) or (fields.get("nesterov") and isinstance(fields["lr"], Schedule)):
        raise SettingsError("cntk: unit gain with a schedule is not one setting. Give unit_gain=False and its lr.")
    if fields.get("nesterov"):
        return {**fields, "lr": (1 - momentum) * fields["lr"]}
    return {**fields, "dampening": momentum}


def write_unit_gain(fields: Values) -> Values:
    """Return fields in which dampening equal to momentum has become CNTK's unit gain."""
    if fields["dampening"] and fields["dampening"] == fields["momentum"]:
        return {**fields, "dampening": 0.0, "unit_gain": True}
    return {**fields, "unit_gain": False}


def read_quasi_hyperbolic(fields: Values) -> Values:
    """Return fields in which the dampening of quasi-hyperbolic momentum is written out: that of momentum."""
    momentum = fields["momentum"]
    if isinstance(momentum, int | float) and momentum == 0:
        return {name: value for name, value in fields.items() if name != "nu"}  # whatever nu is, the gradient alone
    return {**fields, "dampening": momentum}


def write_quasi_hyperbolic(fields: Values) -> Values:
    """Return fields said by nu and a dampening equal to momentum: every form of momentum is, in another lr.

    v <- m v + (1 - t) g with the step a g + b v is, for u = v (1 - m) / (1 - t), u <- m u + (1 - m) g with the step
    s ((1 - n) g + n u), where s n = b (1 - t) / (1 - m) and s = a + s n.
    """
    momentum, dampening, nu = fields["momentum"], fields["dampening"], fields["nu"]
    if isinstance(momentum, Schedule):
        raise SettingsError("qhoptim cannot express a schedule of momentum: its dampening would follow.")
    if dampening and fields["undampened_first_step"]:
        raise SettingsError(
            f"qhoptim cannot express undampened_first_step=True with dampening={dampening!r}: its first step is "
            "dampened like every other."
        )
    if dampening == momentum and not fields["nesterov"]:
        return {**fields, "dampening": 0.0, "nu": 1.0 if nu is None else nu}
    direct = 1.0 if fields["nesterov"] else 0.0 if nu is None else 1 - nu
    carried = (momentum if fields["nesterov"] else 1.0 if nu is None else nu) * (1 - dampening) / (1 - momentum)
    whole = direct + carried
    if not whole:
        raise SettingsError("qhoptim cannot express dampening=1.0: no gradient enters its velocity then.")
    decay = fields["weight_decay"] if fields["decay"] == "coupled" else scaled(fields["weight_decay"], 1 / whole)
    said = {"lr": scaled(fields["lr"], whole), "nu": carried / whole, "weight_decay": decay}
    return {**fields, **said, "dampening": 0.0, "nesterov": False}


# The conventions of torch.optim.SGD and of the optimizers that are written on torch.

_TORCH_FORM = {"undampened_first_step": True, "state_key": "momentum_buffer", "schedules": "torch"}
_TORCH_NEUTRAL = dict.fromkeys(("params", "param_names", "foreach", "fused", "differentiable", "initial_lr"), ANY)

TORCH_ROWS = (
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
        source="read: bitsandbytes/optim/sgd.py, csrc/kernels.cu",
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
    Convention(
        name="qhoptim",
        title="qhoptim.pyt.QHM",
        arguments=(
            Argument(
                name="weight_decay_type",
                default="grad",
                choices={"grad": {"decay": "coupled"}, "direct": {"decay": "decoupled"}},
            ),
            lr_argument(),
            Argument(name="momentum", sets="momentum", required=True),
            Argument(name="nu", sets="nu", required=True),
            WEIGHT_DECAY,
        ),
        state_key="momentum_buffer",
        neutral={"params": ANY},
        nesterov_with_dampening=True,
        schedules="torch",
        read=read_quasi_hyperbolic,
        write=write_quasi_hyperbolic,
        remarks=("its velocity is dampened by momentum, from the first step on",),
        source="read: qhoptim/pyt/qhm.py",
    ),
)


# The conventions of the optimizers of TensorFlow and JAX

_CHAIN = "the chain: optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(...))"
_AFTER_TRACE = (
    "the chain: optax.chain(optax.trace(decay=momentum, nesterov=nesterov), "
    "optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(learning_rate))"
)
_L2 = "each layer: kernel_regularizer=keras.regularizers.L2(kernel_regularizer)"
_L2_LOSS = "the loss: + l2_loss * tf.nn.l2_loss(param), for each param"

TENSORFLOW_AND_JAX_ROWS = (
    Convention(
        name="keras",
        title="keras.optimizers.SGD",
        arguments=(
            learning_rate_argument(0.01),
            MOMENTUM,
            NESTEROV,
            Argument(name="weight_decay", sets="weight_decay", decay="decoupled"),
            Argument(
                name="kernel_regularizer",
                sets="weight_decay",
                decay="coupled",
                factor=2.0,
                goes_to=_L2,
                reads=keras_l2,
            ),
            Argument(name="decay", sets="inverse_decay"),  # of Keras 1 and 2: lr / (1 + decay * step)
        ),
        lr_in_velocity=True,
        velocity_sign=-1,
        state_key="momentums",
        without_momentum=("nesterov",),
        neutral={
            **dict.fromkeys(("name", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor"), ANY),
            **dict.fromkeys(("jit_compile", "is_legacy_optimizer"), ANY),
            **dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm"), (None,)),
            "use_ema": (False,),
            "gradient_accumulation_steps": (None, 1),
        },
        schedules="keras",
        read=schedules.read_inverse_decay,
        source="run: Keras 3.15.1",
    ),
    Convention(
        name="tf1",
        title="tf.compat.v1.train.MomentumOptimizer",
        arguments=(
            learning_rate_argument(),
            Argument(name="momentum", sets="momentum", required=True),
            Argument(name="use_nesterov", sets="nesterov", default=False),
            Argument(name="l2_loss", sets="weight_decay", decay="coupled", goes_to=_L2_LOSS),
        ),
        state_key="momentum",
        without_momentum=("nesterov",),
        neutral={"use_locking": ANY, "name": ANY},
        schedules="tf1",
        source="read: tensorflow/python/training/momentum.py",
    ),
    Convention(
        name="tfa",
        title="tfa.optimizers.SGDW",
        arguments=(
            Argument(name="weight_decay", sets="weight_decay", required=True, scheduled=True),
            learning_rate_argument(0.001),
            MOMENTUM,
            NESTEROV,
            Argument(name="decay", sets="inverse_decay"),
        ),
        lr_in_velocity=True,
        velocity_sign=-1,
        decay="independent",
        state_key="momentum",
        without_momentum=("nesterov",),
        neutral={"name": ANY, "clipnorm": (None,), "clipvalue": (None,)},
        schedules="keras",
        read=schedules.read_inverse_decay,
        remarks=("weight decay is not times lr: a schedule of lr does not move it",),
        source="read: tensorflow_addons/optimizers/weight_decay_optimizers.py",
    ),
    Convention(
        name="optax",
        title="optax.sgd",
        arguments=(
            learning_rate_argument(),
            Argument(name="momentum", sets="momentum"),
            NESTEROV,
            Argument(name="weight_decay", sets="weight_decay", default=0.0, goes_to=_CHAIN),
            Argument(
                name="decay_after_trace",
                default=False,
                choices={False: {"decay": "coupled"}, True: {"decay": "decoupled"}},
                goes_to=_AFTER_TRACE,
            ),
        ),
        state_key="trace",
        without_momentum=("nesterov",),
        neutral={"accumulator_dtype": ANY},
        schedules="optax",
        source="run: optax 0.2.8",
    ),
)


# The conventions of systems that stand by themselves, from Caffe to tinygrad.

OTHER_ROWS = (
    Convention(
        name="caffe",
        title="Caffe's SGD solver",
        arguments=(
            Argument(
                name="type",
                default="SGD",
                choices={"SGD": {"nesterov": False}, "Nesterov": {"nesterov": True}},
                aliases=("solver_type",),
                reads=caffe_solver_type,
            ),
            lr_argument(name="base_lr"),
            MOMENTUM,
            WEIGHT_DECAY,
            *(Argument(name=name, sets=name) for name in schedules.CAFFE_POLICY),
        ),
        lr_in_velocity=True,
        state_key="history",
        without_momentum=("nesterov",),
        neutral={
            **dict.fromkeys(CAFFE_OTHERS, ANY),
            "regularization_type": ("L2",),
            "clip_gradients": (-1, -1.0),
        },
        schedules="caffe",
        read=schedules.read_caffe_policy,
        write=schedules.write_caffe_policy,
        remarks=("each blob's lr_mult and decay_mult are groups here",),
        source="read: src/caffe/solvers/sgd_solver.cpp, nesterov_solver.cpp",
    ),
    Convention(
        name="mxnet",
        title="mxnet.optimizer.SGD",
        arguments=(  # the default learning rate is 0.01 or 0.1, depending on the version, so it must be given
            learning_rate_argument(),
            MOMENTUM,
            Argument(name="wd", sets="weight_decay", default=0.0),
        ),
        lr_in_velocity=True,
        velocity_sign=-1,
        state_key="mom",
        neutral={
            **dict.fromkeys(("lazy_update", "multi_precision", "begin_num_update", "param_idx2name"), ANY),
            **dict.fromkeys(("aggregate_num", "use_fused_step"), ANY),
            "rescale_grad": (1, 1.0),
            "clip_gradient": (None, -1, -1.0),
            "lr_scheduler": (None,),
        },
        schedules="mxnet",
        remarks=("of named parameters, only those ending in _weight or _gamma are decayed",),
        source="read: src/operator/optimizer_op-inl.h",
    ),
    Convention(
        name="paddle",
        title="paddle.optimizer.Momentum",
        arguments=(
            learning_rate_argument(0.001),
            Argument(name="momentum", sets="momentum", default=0.9),
            Argument(name="use_nesterov", sets="nesterov", default=False),
            Argument(name="weight_decay", sets="weight_decay"),
        ),
        state_key="velocity",
        without_momentum=("nesterov",),
        neutral={
            **dict.fromkeys(("parameters", "multi_precision", "use_multi_tensor", "name"), ANY),
            "grad_clip": (None,),
            "rescale_grad": (1, 1.0),
        },
        schedules="paddle",
        source="read: python/paddle/optimizer/momentum.py",
    ),
    Convention(
        name="mindspore",
        title="mindspore.nn.Momentum",
        arguments=(
            learning_rate_argument(),
            Argument(name="momentum", sets="momentum", required=True),
            WEIGHT_DECAY,
            Argument(name="use_nesterov", sets="nesterov", default=False),
        ),
        state_key="moments",
        without_momentum=("nesterov",),
        neutral={"params": ANY, "loss_scale": ANY},
        schedules="mindspore",
        remarks=("without groups of your own, parameters named beta or gamma are not decayed",),
        source="read: mindspore/nn/optim/momentum.py",
    ),
    Convention(
        name="cntk",
        title="cntk.learners.momentum_sgd",
        arguments=(
            Argument(name="lr", sets="lr", required=True, batch_power=1),
            Argument(name="momentum", sets="momentum", required=True),
            Argument(name="unit_gain", sets="unit_gain", default=True),
            Argument(
                name="nesterov",
                sets="nesterov",
                default=False,
                goes_to="the learner: cntk.learners.nesterov instead of momentum_sgd",
            ),
            Argument(name="l2_regularization_weight", sets="weight_decay", default=0.0),
        ),
        lr_in_velocity=True,
        state_key="smoothed_gradient",
        without_momentum=("nesterov",),
        neutral={
            **dict.fromkeys(("parameters", "epoch_size", "gradient_clipping_with_truncation"), ANY),
            "l1_regularization_weight": (0, 0.0),
            "gaussian_noise_injection_std_dev": (0, 0.0),
            "gradient_clipping_threshold_per_sample": (float("inf"),),
            "use_mean_gradient": (None, False),
            "minibatch_size": (None,),
        },
        read=read_unit_gain,
        write=write_unit_gain,
        remarks=("lr is per sample: for a loss averaged over the batch it is lr * batch_size",),
        source="read: Source/Math/Matrix.cpp, the update of dense gradients",
    ),
    Convention(
        name="mlx",
        title="mlx.optimizers.SGD",
        arguments=(learning_rate_argument(), MOMENTUM, WEIGHT_DECAY, DAMPENING, NESTEROV),
        state_key="v",
        without_momentum=("dampening",),
        schedules="mlx",
        remarks=("dampens the first step too",),
        source="read: python/mlx/optimizers/optimizers.py",
    ),
    Convention(
        name="tinygrad",
        title="tinygrad.nn.optim.SGD",
        arguments=(
            lr_argument(0.001),
            MOMENTUM,
            WEIGHT_DECAY,
            NESTEROV,
            Argument(
                name="classic",
                default=False,
                choices={False: {"lr_in_velocity": False}, True: {"lr_in_velocity": True}},
            ),
        ),
        state_key="b",
        without_momentum=("nesterov",),
        neutral={"params": ANY, "fused": ANY},
        schedules="torch",
        source="read: tinygrad/nn/optim.py",
    ),
    Convention(
        name="sklearn",
        title='sklearn.neural_network.MLPClassifier(solver="sgd")',
        arguments=(
            Argument(name="learning_rate_init", sets="lr", default=0.001),
            Argument(name="momentum", sets="momentum", default=0.9),
            Argument(name="nesterovs_momentum", sets="nesterov", default=True),
            Argument(name="alpha", sets="weight_decay", default=1e-4, batch_power=-1),
        ),
        lr_in_velocity=True,
        velocity_sign=-1,
        state_key="velocities",
        without_momentum=("nesterov",),
        neutral={
            "solver": ("sgd",),
            "learning_rate": ("constant",),
            **dict.fromkeys(SKLEARN_OTHERS, ANY),
        },
        remarks=("alpha is divided by the number of samples in the batch, and decays weights, not intercepts",),
        source="run: scikit-learn 1.9.1",
    ),
)


_OWN = Convention(
    name="downslope",
    title="downslope.Settings",
    arguments=tuple(
        Argument(name=f.name, sets=f.name, default=f.default, scheduled=f.name in {"lr", "momentum", "weight_decay"})
        for f in fields(Settings)
    ),
    undampened_first_step=True,
    state_key="velocity",
    nesterov_with_dampening=True,
    source="this package",
)
_OWN_IN_KERAS = replace(
    _OWN,
    name="downslope.keras",
    title="downslope.keras.SGD",
    velocity_sign=-1,
    state_key="momentums",
    remarks=("its variables hold the velocity with its sign turned, as Keras's own do",),
)

CONVENTIONS: Mapping[str, Convention] = MappingProxyType(
    {row.name: row for row in (_OWN, _OWN_IN_KERAS, *TORCH_ROWS, *TENSORFLOW_AND_JAX_ROWS, *OTHER_ROWS)}
)
"""The table, by name."""

_OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "pytorch": "torch",
        "jax": "optax",
        "tensorflow": "keras",
        "tf": "keras",
        "tf.keras": "keras",
        "tensorflow1": "tf1",
        "tensorflow_addons": "tfa",
        "paddlepaddle": "paddle",
        "scikit-learn": "sklearn",
        "numpy": "downslope",
        "downslope.numpy": "downslope",
        "downslope.torch": "downslope",
        "downslope.jax": "downslope",
    }
)


def find_convention(name: str) -> Convention:
    """Return the row of a system.

    Args:
        name: Its name in the table, or what else it is called: "pytorch" for "torch".

    Raises:
        SettingsError: If there is none; the message lists those there are.

    Example:
        >>> find_convention("keras").lr_in_velocity
        True
    """
    word = _OTHER_NAMES.get(str(name).lower(), str(name).lower())
    if word not in CONVENTIONS:
        known = ", ".join(CONVENTIONS)
        raise SettingsError(
            f"there is no convention {name!r}.{did_you_mean(str(name), CONVENTIONS)} Those there are: {known}."
        )
    return CONVENTIONS[word]
