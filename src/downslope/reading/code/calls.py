"""What optimizers and schedules are called in code, and their arguments in order. Data only."""

from __future__ import annotations

from functools import lru_cache

from downslope.reading.code.values import words_of
from downslope.reading.configuration.entries import squeezed
from downslope.reading.configuration.keys import OPTIMIZERS
from downslope.reading.configuration.names import concepts_of


def optimizer_of(name: str) -> str:
    """Return which optimizer a name in code is, or ""."""
    return OPTIMIZERS.get(squeezed(name), "")


NAMED_BY_WORD = words_of(
    "trainer create_optimizer create_optimizer_v2 create init_optimizer get mlpclassifier mlpregressor neuralnet "
    "neuralnetclassifier neuralnetregressor"
)
"""Calls that are told by a word which optimizer to make."""

NESTEROV = frozenset({"nesterovag", "nag", "nesterov_momentum"})
"""Optimizers whose name means Nesterov's form."""

SETTINGS = {
    "lr": "lr learning_rate learning_rate_init base_lr base_learning_rate eta step_size",
    "momentum": "momentum mom mu beta mass sgd_momentum",
    "weight_decay": "weight_decay wd weight_decay_rate l2_regularization_weight",
    "nesterov": "nesterov use_nesterov nesterovs_momentum",
    "dampening": "dampening",
    "nu": "nu",
    "trust": "trust_coefficient trust_coeff trust_coef",
    "beta1": "beta1 beta_1 b1 adam_beta1",
    "beta2": "beta2 beta_2 b2 adam_beta2",
    "eps": "eps epsilon adam_epsilon",
    "rho": "alpha rho",
    "clip": "global_clipnorm grad_clip clip_norm max_grad_norm clipnorm",
}
"""A setting -> the keywords for it."""

SETTING_OF = {name: setting for setting, names in SETTINGS.items() for name in names.split()}
"""A keyword of an optimizer -> the setting."""

DEFAULTS = {"optax.lars": 0.9, "momentumsgd": 0.9, "correctedmomentumsgd": 0.9, "nesterovag": 0.9, "flax.momentum": 0.9}
"""An optimizer -> the momentum that it has where none is given."""

SIGNATURES = {
    "sgd": "params lr momentum dampening weight_decay nesterov",
    "fusedsgd": "params lr momentum dampening weight_decay nesterov",
    "keras.sgd": "lr momentum nesterov",
    "optax.sgd": "lr momentum nesterov",
    "paddle.sgd": "lr params weight_decay grad_clip",
    "mindspore.sgd": "params lr momentum dampening weight_decay nesterov",
    "chainer.sgd": "lr",
    "mxnet.sgd": "momentum",
    "lasagne.sgd": "loss params lr",
    "lasagne.momentum": "loss params lr momentum",
    "nesterov_momentum": "loss params lr momentum",
    "paddle.momentum": "lr momentum params nesterov weight_decay",
    "mindspore.momentum": "params lr momentum weight_decay loss_scale nesterov",
    "flax.momentum": "lr beta weight_decay nesterov",
    "momentum": "params lr momentum weight_decay",
    "jax.sgd": "lr",
    "descent": "lr",
    "momentum_sgd": "params lr momentum",
    "nesterov": "lr momentum",
    "jax.momentum": "lr momentum",
    "momentumoptimizer": "lr momentum use_locking name nesterov",
    "gradientdescentoptimizer": "lr",
    "gradientdescentmomentum": "lr momentum",
    "momentumsgd": "lr momentum",
    "correctedmomentumsgd": "lr momentum",
    "nesterovag": "lr momentum",
    "nag": "momentum",
    "adam": "params lr betas eps weight_decay",
    "keras.adam": "lr beta1 beta2 eps",
    "optax.adam": "lr b1 b2 eps",
    "optax.adamw": "lr b1 b2 eps",
    "optax.amsgrad": "lr b1 b2 eps",
    "optax.rmsprop": "lr rho eps",
    "adamw": "params lr betas eps weight_decay",
    "adamoptimizer": "lr beta1 beta2 eps",
    "rmsprop": "params lr rho eps weight_decay momentum",
    "keras.rmsprop": "lr rho momentum eps",
    "rmspropoptimizer": "lr rho momentum eps",
    "lars": "params lr momentum",
    "optax.lars": "lr weight_decay weight_decay_mask trust",
    "qhm": "params lr momentum nu weight_decay weight_decay_type",
    "polyoptimizer": "params lr weight_decay max_step lr_power",
}
"""An optimizer, or "framework.optimizer" -> its arguments in order."""

FRAMEWORKS = (
    ("downslope", ("downslope",)), ("composer", ("composer",)),
    ("keras", ("keras",)), ("optax", ("optax",)), ("flax", ("flax",)), ("jax", ("jax",)),
    ("paddle", ("paddle", "fluid")),
    ("mindspore", ("mindspore", "nn.momentum", "nn.optim.", "nn.sgd")), ("mxnet", ("mxnet", "mx.", "gluon")),
    ("chainer", ("chainer",)), ("lasagne", ("lasagne",)), ("tensorflow", ("tensorflow", "tf.", "slim.", "tensorpack")),
    ("timm", ("timm",)), ("transformers", ("transformers",)), ("torch", ("torch", "optim.", "lr_scheduler", "apex")),
)  # fmt: skip
"""A framework -> what its paths hold, in lower case."""

_STARTS_AT_0 = "start=0.0 restart=True"
_WARMED_UP = "optimizer warmup<num_warmup_steps total<num_training_steps"
_OPTAX_WARMUP = "start<init_value initial<peak_value warmup<warmup_steps"
_MXNET_WARMUP = "warmup<warmup_steps start<warmup_begin_lr=0.0"
_TIMM_WARMUP = "warmup<warmup_t start<warmup_lr_init restart<warmup_prefix=False unit='epoch'"
_TIMM_WORDS = "duration<epochs final<min_lr warmup<warmup_epochs start<warmup_lr unit='epoch'"

ROWS = {
    "CosineAnnealingWarmRestarts": "cosine optimizer T_0 T_mult eta_min=0.0",
    "LinearLR": "linear optimizer start_factor=0.3333333333333333 end_factor=1.0 total_iters=5",
    "OneCycleLR": "onecycle optimizer max_lr total_steps epochs steps_per_epoch pct_start anneal_strategy "
    "cycle_momentum base_momentum max_momentum div_factor final_div_factor three_phase unit='step'",
    "exponential_decay": "exponential learning_rate global_step decay_steps decay_rate staircase=False",
    "polynomial_decay": "polynomial learning_rate global_step decay_steps end_learning_rate=0.0001 power=1.0 cycle",
    "cosine_decay": "cosine learning_rate global_step decay_steps alpha=0.0",
    "inverse_time_decay": "inverse learning_rate global_step decay_steps gamma<decay_rate staircase",
    "keras.InverseTimeDecay": "inverse initial_learning_rate decay_steps gamma<decay_rate staircase",
    "tensorflow.InverseTimeDecay": "inverse initial_learning_rate decay_steps gamma<decay_rate staircase",
    "keras.CosineDecay after a warmup": "cosine start<initial_learning_rate decay_steps alpha=0.0 name "
    "initial<warmup_target warmup<warmup_steps restart=True",
    "keras.decay": "inverse gamma<decay unit='step'",
    "optax.polynomial_schedule": "polynomial init_value end_value power transition_steps transition_begin",
    "optax.constant_schedule": "constant value",
    "optax.cosine_onecycle_schedule": "onecycle transition_steps peak_value pct_start div_factor final_div_factor",
    "warmup_cosine_decay_schedule": f"cosine {_OPTAX_WARMUP} total<decay_steps end_value=0.0 exponent restart=True",
    "warmup_exponential_decay_schedule": f"exponential {_OPTAX_WARMUP} transition_steps decay_rate transition_begin "
    "staircase end_value restart=True",
    "transformers.linear": f"linear {_WARMED_UP} {_STARTS_AT_0}",
    "transformers.cosine": f"cosine {_WARMED_UP} num_cycles {_STARTS_AT_0}",
    "transformers.constant": f"constant {_WARMED_UP} {_STARTS_AT_0}",
    "transformers.polynomial": f"polynomial {_WARMED_UP} lr_end=1e-07 power=1.0 {_STARTS_AT_0}",
    "paddle.StepDecay": "exponential learning_rate step_size gamma=0.1",
    "paddle.MultiStepDecay": "multistep learning_rate milestones gamma=0.1",
    "paddle.CosineAnnealingDecay": "cosine learning_rate T_max eta_min=0.0",
    "paddle.ExponentialDecay": "exponential learning_rate gamma",
    "paddle.PolynomialDecay": "polynomial learning_rate decay_steps end_lr=0.0001 power=1.0 cycle",
    "paddle.exponential_decay": "exponential learning_rate decay_steps decay_rate staircase",
    "paddle.polynomial_decay": "polynomial learning_rate decay_steps end_learning_rate=0.0001 power=1.0 cycle",
    "paddle.CosineDecay": "cosine learning_rate step_each_epoch duration<epochs final=0.0 unit='epoch'",
    "paddle.cosine_decay": "cosine learning_rate step_each_epoch duration<epochs final=0.0 unit='epoch'",
    "paddle.InverseTimeDecay": "inverse learning_rate gamma",
    "mindspore.ExponentialDecayLR": "exponential learning_rate decay_rate decay_steps is_stair=False",
    "mindspore.CosineDecayLR": "cosine min_lr max_lr decay_steps",
    "mindspore.PolynomialDecayLR": "polynomial learning_rate end_learning_rate decay_steps power",
    "cosine_decay_lr": "cosine min_lr max_lr total_step step_per_epoch decay_epoch unit='epoch'",
    "polynomial_decay_lr": "polynomial learning_rate end_learning_rate total_step step_per_epoch decay_epoch power "
    "unit='epoch'",
    "exponential_decay_lr": "exponential learning_rate decay_rate total_step step_per_epoch decay_epoch is_stair "
    "unit='epoch'",
    "FactorScheduler": f"exponential step factor stop_factor_lr base_lr {_MXNET_WARMUP}",
    "MultiFactorScheduler": f"multistep times<step factor base_lr {_MXNET_WARMUP}",
    "PolyScheduler": f"polynomial total<max_update base_lr pwr=2 final_lr=0.0 {_MXNET_WARMUP} restart=True",
    "CosineScheduler": f"cosine total<max_update base_lr final_lr=0.0 {_MXNET_WARMUP} restart=True",
    "gluoncv.poly": "polynomial base_lr=0.1 final<target_lr=0.0 power=2",
    "gluoncv.cosine": "cosine base_lr=0.1 final<target_lr=0.0",
    "gluoncv.linear": "linear base_lr=0.1 final<target_lr=0.0",
    "gluoncv.constant": "constant value<base_lr=0.1",
    "gluoncv.step": "multistep base_lr=0.1 factor<step_factor=0.1",
    "timm.cosine": f"cosine {_TIMM_WORDS}",
    "timm.poly": f"polynomial {_TIMM_WORDS} power<decay_rate",
    "timm.step": "exponential decay_epochs decay_rate warmup<warmup_epochs start<warmup_lr unit='epoch'",
    "timm.multistep": "multistep times<decay_milestones decay_rate warmup<warmup_epochs start<warmup_lr unit='epoch'",
    "CosineLRScheduler": f"cosine optimizer t_initial lr_min=0.0 cycle_mul cycle_decay cycle_limit {_TIMM_WARMUP}",
    "StepLRScheduler": f"exponential optimizer decay_t decay_rate {_TIMM_WARMUP}",
    "MultiStepLRScheduler": f"multistep optimizer times<decay_t decay_rate {_TIMM_WARMUP}",
    "PolyLR": "polynomial optimizer max_iters power=0.9",
    "PolynomialLRDecay": "polynomial optimizer max_decay_steps end_learning_rate=0.0001 power=1.0",
    "PolyOptimizer": "polynomial params lr weight_decay max_step power<lr_power final=0.0 unit='step'",
    "WarmupMultiStepLR": "multistep optimizer milestones gamma=0.1 start_factor<warmup_factor warmup<warmup_iters "
    "unit='step'",
    "downslope.Constant": "constant value",
    "downslope.Exponential": "exponential initial<initial rate every unit='step' staircase=False end<end",
    "downslope.MultiStep": "multistep initial<initial factor times<milestones unit='step'",
    "downslope.Linear": "linear initial<initial final duration unit='step'",
    "downslope.Polynomial": "polynomial initial<initial final duration unit='step' power=1.0",
    "downslope.Cosine": "cosine initial<initial final duration unit='step'",
    "downslope.Inverse": "inverse initial<initial gamma power=1.0 unit='step'",
    "downslope.OneCycle": "onecycle peak<peak duration unit='step' pct_start=0.3 div_factor=25.0 final_div_factor=1e4",
    "StepScheduler": "exponential step_size gamma=0.1 staircase=True unit='epoch'",
    "MultiStepScheduler": "multistep milestones gamma=0.1 unit='epoch'",
    "MultiStepWithWarmupScheduler": "multistep warmup<t_warmup milestones gamma=0.1 unit='epoch'",
    "CosineAnnealingScheduler": "cosine duration<t_max alpha_f=0.0 unit='epoch'",
    "CosineAnnealingWithWarmupScheduler": "cosine warmup<t_warmup duration<t_max alpha_f=0.0 unit='epoch'",
    "LinearScheduler": "linear alpha_i=1.0 alpha_f=0.0 duration<t_max unit='epoch'",
    "LinearWithWarmupScheduler": "linear warmup<t_warmup alpha_i=1.0 alpha_f=0.0 duration<t_max unit='epoch'",
    "PolynomialScheduler": "polynomial power duration<t_max alpha_f=0.0 unit='epoch'",
    "fit_one_cycle": "onecycle n_epoch lr_max div div_final pct_start unit='epoch'",
    "ExponentialShift": "exponential every rate staircase=True",
    "ExponentialShift at times": "multistep times factor<rate",
}
"""A schedule, or "framework.schedule" -> our kind, and its arguments in order, each `argument`, `argument=default` or
`our_field<argument=default`; what follows the last by place is ours and has no argument."""

FIELD_OF = {
    "initial": "learning_rate initial_learning_rate init_value base_lr max_lr base_learning_rate",
    "every": "step_size decay_steps transition_steps step decay_t decay_epochs decay_epoch every",
    "duration": "T_max T_0 total_iters max_update t_initial max_iters max_decay_steps decay_steps transition_steps "
    "decay_epoch n_epoch cyc_len total_steps max_step max_iter duration",
    "rate": "gamma decay_rate factor rate",
    "factor": "factor gamma decay_rate",
    "end": "end_value stop_factor_lr",
    "final": "eta_min end_learning_rate end_lr end_value final_lr lr_min min_lr lr_end final",
    "power": "power pwr",
    "staircase": "staircase is_stair",
    "times": "milestones step_epoch step_iter times",
    "peak": "peak_value lr_max max_lr",
}
"""Our field -> the arguments for it, its own name where none stand here; which of two is meant, the kind decides."""

KINDS = {
    "exponential": "initial rate every staircase end",
    "multistep": "initial factor times",
    "cosine": "initial final duration",
    "polynomial": "initial final duration power",
    "linear": "initial final duration",
    "inverse": "initial gamma power",
    "onecycle": "peak duration pct_start div_factor final_div_factor",
    "constant": "value",
}
"""A schedule -> its fields."""

OFF = {"cycle": False, "transition_begin": 0, "exponent": 1, "three_phase": False, "num_cycles": 0.5}
"""Arguments that make a schedule none of ours -> what they are where they do not."""

NAMES = {
    "sgd.lr": "lr learning_rate base_lr init_lr initial_lr lr0 initial_learning_rate base_learning_rate start_lr "
    "learningrate",
    "sgd.momentum": "momentum sgd_momentum",
    "sgd.weight_decay": "weight_decay wd weightdecay l2_reg",
    "data.batch_size": "batch_size train_batch_size batchsize batch_size_train train_batch bs mini_batch_size "
    "minibatch_size total_batch_size global_batch_size",
    "train.epochs": "epochs num_epochs n_epochs max_epochs total_epochs nepochs nb_epoch max_epoch epoch_num "
    "num_epoch train_epochs "
    "num_train_epochs number_epochs number_of_epochs num_of_epochs n_epoch nb_epochs training_epochs epochs_num",
    "train.steps": "max_iter max_steps total_steps num_steps train_steps max_iters num_iterations total_iters "
    "max_iterations n_iters",
    "train.clip_norm": "clip_grad_norm max_grad_norm grad_clip gradient_clip_val clip_norm",
    "sgd.nesterov": "nesterov use_nesterov",
    "train.label_smoothing": "label_smoothing label_smooth labelsmoothing smoothing",
    "train.accumulate": "gradient_accumulation_steps accumulation_steps accum_steps grad_accum_steps accum_iter "
    "accumulate_grad_batches gradient_accumulations",
    "train.ema": "ema_decay model_ema_decay",
    "data.augment.mixup": "mixup_alpha",
    "data.augment.cutmix": "cutmix_alpha",
    "lr.factor": "drop_factor decay_factor lr_decay_factor lr_decay_rate lr_decay decay_rate lr_step_factor gamma "
    "lr_gamma lr_drop_factor",
    "lr.warmup_epochs": "warmup_epochs warmup_epoch num_warmup_epochs n_warmup_epochs",
    "lr.warmup_steps": "warmup_steps warmup_iters num_warmup_steps n_warmup_steps",
    "lr.warmup_start": "warmup_lr_init warmup_start_lr warmup_init_lr",
    "lr.milestones": "milestones drop_epochs decay_epochs lr_milestones lr_steps lr_step lr_decay_epochs "
    "lr_drop_epochs lr_step_epochs step_epochs lr_decay_epoch",
}
"""A field -> variables, options and keywords whose name alone says it."""

_NAME_OF = {name: path for path, names in NAMES.items() for name in names.split()}
_BY_WORDS = {
    "momentum": "sgd.momentum", "weight_decay": "sgd.weight_decay", "batch": "data.batch_size",
    "epochs": "train.epochs", "accumulate": "train.accumulate", "smoothing": "train.label_smoothing",
    "gamma": "lr.factor",
}  # fmt: skip


@lru_cache(maxsize=4096)
def field_of(name: str) -> str:
    """Return the field that a name of a variable, an option or a keyword alone says, "" for none.

    Example:
        >>> field_of("total_epoch"), field_of("sgd_batchsize"), field_of("hidden_size")
        ('train.epochs', 'data.batch_size', '')
    """
    told = (_BY_WORDS[concept] for concept in concepts_of(name) if concept in _BY_WORDS)
    return _NAME_OF.get(name.lower()) or next(told, "")


def is_foreign(path: str) -> bool:
    """Return whether a dotted path is a framework's or a well-known module's."""
    known = any(mark in path.lower() for _, marks in FRAMEWORKS for mark in marks)
    return known or path.partition(".")[0] in _FOREIGN


_FOREIGN = frozenset(["numpy", "np", "os", "sys", "math", "nn", "optim", "tf", "mx", "F", "random", "time", "json"])
