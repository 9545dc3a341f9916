"""The conventions of systems that stand by themselves, from Caffe to tinygrad.

What lives here: facts. What does not: what a row is made of (`convention.py`) and the translation.
"""

from __future__ import annotations

from downslope.exchange import own_words
from downslope.exchange.convention import Argument, Convention
from downslope.exchange.row_parts import (
    ANY,
    DAMPENING,
    MOMENTUM,
    NESTEROV,
    WEIGHT_DECAY,
    learning_rate_argument,
    lr_argument,
)

ROWS = (
    Convention(
        name="caffe",
        title="Caffe's SGD solver",
        arguments=(
            Argument(
                name="type",
                default="SGD",
                choices={"SGD": {"nesterov": False}, "Nesterov": {"nesterov": True}},
                aliases=("solver_type",),
                reads=own_words.caffe_solver_type,
            ),
            lr_argument(name="base_lr"),
            MOMENTUM,
            WEIGHT_DECAY,
            *(Argument(name=name, sets=name) for name in own_words.CAFFE_POLICY),
        ),
        lr_in_velocity=True,
        state_key="history",
        neutral={"regularization_type": ("L2",), "clip_gradients": (-1, -1.0), "iter_size": ANY},
        schedules="caffe",
        read=own_words.read_caffe_policy,
        write=own_words.write_caffe_policy,
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
        neutral={
            **dict.fromkeys(("parameters", "epoch_size", "gradient_clipping_with_truncation"), ANY),
            "l1_regularization_weight": (0, 0.0),
            "gaussian_noise_injection_std_dev": (0, 0.0),
            "gradient_clipping_threshold_per_sample": (float("inf"),),
            "use_mean_gradient": (None, False),
            "minibatch_size": (None,),
        },
        read=own_words.read_unit_gain,
        write=own_words.write_unit_gain,
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
            **dict.fromkeys(own_words.SKLEARN_OTHERS, ANY),
        },
        remarks=("alpha is divided by the number of samples in the batch, and decays weights, not intercepts",),
        source="run: scikit-learn 1.9.1",
    ),
)
