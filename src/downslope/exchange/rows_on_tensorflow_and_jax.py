"""The conventions of the optimizers of TensorFlow and JAX: Keras, TensorFlow 1, TensorFlow Addons, optax.

What lives here: facts. What does not: what a row is made of (`convention.py`) and the translation.
"""

from __future__ import annotations

from downslope.exchange import own_words
from downslope.exchange.convention import Argument, Convention
from downslope.exchange.row_parts import ANY, MOMENTUM, NESTEROV, learning_rate_argument

_CHAIN = "the chain: optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(...))"
_AFTER_TRACE = (
    "the chain: optax.chain(optax.trace(decay=momentum, nesterov=nesterov), "
    "optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(learning_rate))"
)
_L2 = "each layer: kernel_regularizer=keras.regularizers.L2(kernel_regularizer)"
_L2_LOSS = "the loss: + l2_loss * tf.nn.l2_loss(param), for each param"

ROWS = (
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
                reads=own_words.keras_l2,
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
        read=own_words.read_inverse_decay,
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
        read=own_words.read_inverse_decay,
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
