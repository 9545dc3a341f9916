"""Names of hyperparameters in code and configurations that stand in sentences. Data only."""

NAMES = {
    "lr": "lr learning_rate base_lr learningrate init_lr initial_lr lr0 initial_learning_rate lr_init start_lr learning_rate_init "
    "base_learning_rate eta0 optimizer_lr max_lr peak_lr lr_max blr init_learning_rate starting_learning_rate optim_lr",
    "final": "min_lr lr_min end_learning_rate eta_min final_lr lr_end end_lr minimum_learning_rate",
    "momentum": "momentum mom mu sgd_momentum momentum_rate optimizer_momentum opt_momentum",
    "weight_decay": "weight_decay wd weightdecay l2_reg optimizer_weight_decay opt_weight_decay w_decay decay_weight",
    "keras_l2": "kernel_regularizer bias_regularizer",
    "batch": "batch_size batch bs b batchsize train_batch_size ims_per_batch batch_sz minibatch_size mini_batch_size "
    "global_batch_size train_batch batch_train total_batch_size mb_size",
    "epochs": "epochs max_epochs num_epochs n_epochs total_epochs nepochs train_epochs max_epoch epoch num_train_epochs "
    "n_epoch nepoch training_epochs",
    "steps": "max_iter max_steps total_steps iterations num_steps train_steps max_iters max_update num_iterations niter total_iters "
    "num_train_steps training_steps max_updates total_iterations n_steps",
    "nesterov": "nesterov use_nesterov",
    "dampening": "dampening",
    "clip": "clip_norm clip grad_clip max_grad_norm clip_grad clip_grad_norm clipnorm global_clipnorm gradient_clip_val "
    "clip_gradients gradient_clipping max_norm grad_norm grad_clip_norm gradient_clip clip_max_norm",
    "warmup_epochs": "warmup_epochs warmup_epoch lr_warmup_epochs warm_up_epochs warmup_length",
    "warmup_steps": "warmup_steps warmup_iters warmup_updates warm_up_steps lr_warmup_steps num_warmup_steps warmup_iterations",
    "warmup_start": "warmup_lr warmup_init_lr warmup_start_lr lr_warmup_start",
    "warmup_factor": "warmup_factor lr_warmup_decay warmup_ratio_start",
    "gamma": "gamma lr_gamma lr_decay lr_decay_rate learning_rate_decay_factor decay_rate lr_decay_factor learning_rate_decay "
    "lr_decay_ratio lr_shrink lr_factor lr_drop_factor lr_drop_rate",
    "every": "stepsize step_size lr_step_size decay_steps lr_decay_step lr_drop_every lr_decay_steps lr_decay_every lr_step_period",
    "every_epochs": "num_epochs_per_decay decay_epochs epochs_per_decay lr_decay_epoch",
    "milestones": "milestones step lr_milestones stepvalue schedule lr_steps lr_decay_epochs lr_step steps boundaries lr_drops "
    "lr_decay_milestones multi_steps decay_milestones learning_rate_steps",
    "policy": "lr_policy sched lr_scheduler lr_schedule scheduler lr_scheduler_type lr_sched learning_rate_decay_type policy "
    "lr_mode lr_scheduler_name",
    "power": "power lr_power poly_power",
    "optimizer": "optimizer opt optim solver_type optimizer_name optimizer_type",
    "beta1": "beta1 beta_1 adam_beta1",
    "beta2": "beta2 beta_2 adam_beta2",
    "eps": "eps epsilon adam_epsilon opt_eps",
    "rho": "rho alpha rmsprop_decay",
    "ema": "ema model_ema_decay ema_decay moving_average_decay",
}
"""What a name means -> the names."""

MEANINGS = {name: meaning for meaning, names in NAMES.items() for name in names.split()}
"""A name -> what it means."""

POLICIES = {
    "step": "step", "steplr": "step", "multistep": "multistep", "warmupmultisteplr": "multistep", "multisteplr": "multistep",
    "inv": "inverse", "poly": "polynomial", "polynomial": "polynomial", "exp": "exponential", "exponential": "exponential",
    "cosine": "cosine", "cos": "cosine", "cosineannealinglr": "cosine", "fixed": "constant", "constant": "constant",
    "linear": "linear", "cosinelr": "cosine", "polylr": "polynomial", "onecycle": "onecycle", "cosine_annealing": "cosine",
    "exponentiallr": "exponential", "plateau": "plateau", "reduce_lr_on_plateau": "plateau", "reduceonplateau": "plateau", "reducelronplateau": "plateau", "cosineannealing": "cosine",
    "warmupcosinelr": "cosine", "polynomiallr": "polynomial",
}  # fmt: skip
"""A policy's name -> our schedule."""

OPTIMIZERS = {
    "sgd": "sgd", "momentum": "sgd", "nesterov": "sgd", "nag": "sgd", "msgd": "sgd", "adam": "adam", "adamw": "adamw", "rmsprop": "rmsprop",
    "lars": "lars", "lamb": "lamb", "adagrad": "adagrad", "adadelta": "adadelta", "sgdw": "sgdw", "rmsproptf": "rmsprop", "lion": "lion",
    "momentumoptimizer": "sgd", "gradientdescentoptimizer": "sgd", "adamoptimizer": "adam", "rmspropoptimizer": "rmsprop",
}  # fmt: skip
"""An optimizer's name in code -> ours."""
