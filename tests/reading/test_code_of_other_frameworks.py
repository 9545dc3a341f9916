"""Whole programs for TensorFlow, Keras, JAX, MXNet, Paddle, scikit-learn and others: every value that each states."""

from __future__ import annotations

import pytest

from reading.neighbours import differences

CASES = {
    "tf1 momentum piecewise": (
        """\
global_step = tf.train.get_or_create_global_step()
boundaries = [32000, 48000]
values = [0.1, 0.01, 0.001]
lr = tf.train.piecewise_constant(global_step, boundaries, values)
optimizer = tf.train.MomentumOptimizer(learning_rate=lr, momentum=0.9)
train_op = optimizer.minimize(loss, global_step=global_step)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [32000, 48000],
            "sgd.lr.unit": "step",
            "sgd.momentum": 0.9,
        },
    ),
    "gluon": (
        """\
lr_scheduler = mx.lr_scheduler.MultiFactorScheduler(step=[30*num_batches, 60*num_batches], factor=0.1, base_lr=0.1)
trainer = gluon.Trainer(net.collect_params(), 'sgd', {'lr_scheduler': lr_scheduler, 'wd': 1e-4, 'momentum': 0.9})
for epoch in range(90):
    for batch in train_data:
        trainer.step(batch_size)
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [30, 60],
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 90,
        },
    ),
    "mxnet module fit": (
        """\
mod.fit(train_iter, eval_data=val_iter, optimizer='sgd',
        optimizer_params={'learning_rate': 0.05, 'momentum': 0.9, 'wd': 0.0005, 'lr_scheduler': mx.lr_scheduler.FactorScheduler(step=500, factor=0.9)},
        num_epoch=10, eval_metric='acc')
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.05,
            "sgd.lr.rate": 0.9,
            "sgd.lr.every": 500,
            "sgd.lr.unit": "step",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.epochs": 10,
        },
    ),
    "paddle": (
        """\
lr = paddle.optimizer.lr.PiecewiseDecay(boundaries=[30, 60, 90], values=[0.1, 0.01, 0.001, 0.0001])
opt = paddle.optimizer.Momentum(learning_rate=lr, momentum=0.9, weight_decay=paddle.regularizer.L2Decay(1e-4), parameters=model.parameters())
for epoch in range(120):
    for x, y in loader():
        loss = model(x, y)
        loss.backward()
        opt.step()
        opt.clear_grad()
    lr.step()
""",
        {
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [30, 60, 90],
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 120,
        },
    ),
    "paddle warmup cosine": (
        """\
scheduler = paddle.optimizer.lr.CosineAnnealingDecay(learning_rate=0.1, T_max=100)
scheduler = paddle.optimizer.lr.LinearWarmup(learning_rate=scheduler, warmup_steps=5, start_lr=0.0, end_lr=0.1)
optimizer = paddle.optimizer.Momentum(scheduler, 0.9, parameters=net.parameters(), use_nesterov=True)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.start": 0.0,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.duration": 100,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
        },
    ),
    "mindspore": (
        """\
step_size = dataset.get_dataset_size()
lr = nn.cosine_decay_lr(min_lr=0.0, max_lr=0.1, total_step=step_size * 90, step_per_epoch=step_size, decay_epoch=90)
opt = nn.Momentum(net.trainable_params(), lr, 0.9, weight_decay=1e-4, loss_scale=1024)
model.train(90, dataset, callbacks=cb)
""",
        {
            "sgd.lr.schedule": "cosine",
            "sgd.lr.initial": 0.1,
            "sgd.lr.duration": 90,
            "sgd.lr.unit": "epoch",
            "sgd.lr.final": 0.0,
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
            "train.epochs": 90,
        },
    ),
    "optax chain sgdr": (
        """\
schedule = optax.join_schedules([optax.linear_schedule(0.0, 0.1, 5 * steps_per_epoch), optax.cosine_decay_schedule(0.1, 95 * steps_per_epoch)], [5 * steps_per_epoch])
tx = optax.chain(optax.clip_by_global_norm(1.0), optax.add_decayed_weights(5e-4), optax.sgd(schedule, momentum=0.9, nesterov=True))
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.start": 0.0,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.duration": 95,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "train.clip_norm": 1.0,
            "sgd.weight_decay": 0.0005,
        },
    ),
    "optax warmup": (
        """\
lr = optax.warmup_cosine_decay_schedule(init_value=0.0, peak_value=args.lr, warmup_steps=500, decay_steps=10000, end_value=1e-5)
opt = optax.sgd(lr, momentum=0.9)
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 500,
            "sgd.lr.start": 0.0,
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.duration": 9500,
            "sgd.lr.then.final": 1e-05,
            "sgd.momentum": 0.9,
        },
    ),
    "keras exponential": (
        """\
lr_schedule = keras.optimizers.schedules.ExponentialDecay(initial_learning_rate=1e-2, decay_steps=10000, decay_rate=0.9, staircase=True)
optimizer = keras.optimizers.SGD(learning_rate=lr_schedule, clipnorm=1.0)
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.01,
            "sgd.lr.every": 10000,
            "sgd.lr.rate": 0.9,
            "sgd.lr.staircase": True,
            "sgd.lr.unit": "step",
            "train.clip_norm": 1.0,
        },
    ),
    "keras plateau": (
        """\
reduce_lr = ReduceLROnPlateau(monitor='val_loss', factor=0.2, patience=5, min_lr=0.001)
model.compile(optimizer=SGD(0.01, momentum=0.9, nesterov=True), loss='mse')
model.fit(x, y, epochs=100, batch_size=64, callbacks=[reduce_lr])
""",
        {
            "sgd.lr": 0.01,
            "train.plateau.factor": 0.2,
            "train.plateau.patience": 5,
            "train.plateau.min_lr": 0.001,
            "train.plateau.metric": "loss",
            "sgd.nesterov": True,
            "train.epochs": 100,
            "data.batch_size": 64,
            "sgd.momentum": 0.9,
        },
    ),
    "chainer": (
        """\
optimizer = chainer.optimizers.MomentumSGD(lr=0.05, momentum=0.9)
optimizer.setup(model)
optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(5e-4))
updater = training.updaters.StandardUpdater(train_iter, optimizer, device=0)
trainer = training.Trainer(updater, (300, 'epoch'), out='result')
trainer.extend(extensions.ExponentialShift('lr', 0.5), trigger=(25, 'epoch'))
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.05,
            "sgd.lr.rate": 0.5,
            "sgd.lr.every": 25,
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0005,
            "train.epochs": 300,
        },
    ),
    "py2 tabs": (
        """\
	opt = SGD(lr=0.01, decay=1e-6, momentum=0.9, nesterov=True)
	model.compile(loss='categorical_crossentropy', optimizer=opt)
	print "training..."
	model.fit(X_train, Y_train, batch_size=128, nb_epoch=20, show_accuracy=True, verbose=1)
""",
        {
            "sgd.lr.schedule": "inverse",
            "sgd.lr.initial": 0.01,
            "sgd.lr.gamma": 1e-06,
            "sgd.momentum": 0.9,
            "sgd.nesterov": True,
            "data.batch_size": 128,
            "train.epochs": 20,
        },
    ),
    "tf1 exp decay": (
        """\
global_step = tf.Variable(0, trainable=False)
learning_rate = tf.train.exponential_decay(0.1, global_step, 100000, 0.96, staircase=True)
train_step = tf.train.GradientDescentOptimizer(learning_rate).minimize(loss, global_step=global_step)
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.every": 100000,
            "sgd.lr.rate": 0.96,
            "sgd.lr.staircase": True,
            "sgd.lr.unit": "step",
        },
    ),
    "tf1 mnist": (
        """\
  learning_rate = tf.train.exponential_decay(
      0.01,                # Base learning rate.
      batch * BATCH_SIZE,  # Current index into the dataset.
      train_size,          # Decay step.
      0.95,                # Decay rate.
      staircase=True)
  optimizer = tf.train.MomentumOptimizer(learning_rate, 0.9).minimize(loss, global_step=batch)
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.01,
            "sgd.lr.every": 1,
            "sgd.lr.unit": "epoch",
            "sgd.lr.rate": 0.95,
            "sgd.lr.staircase": True,
            "sgd.momentum": 0.9,
        },
    ),
    "tf1 l2": (
        """\
loss = cross_entropy + 5e-4 * tf.add_n([tf.nn.l2_loss(v) for v in tf.trainable_variables()])
optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
    ),
    "tf slim": (
        """\
with slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(0.0005)):
    net = vgg(images)
optimizer = tf.train.MomentumOptimizer(learning_rate=0.001, momentum=0.9)
""",
        {"sgd.lr": 0.001, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
    ),
    "lasagne": (
        """\
updates = lasagne.updates.nesterov_momentum(loss, params, learning_rate=0.01, momentum=0.9)
l2 = lasagne.regularization.regularize_network_params(network, lasagne.regularization.l2) * 1e-4
""",
        {"sgd.lr": 0.01, "sgd.momentum": 0.9, "sgd.nesterov": True},
    ),
    "jax example optimizers": (
        """\
opt_init, opt_update, get_params = optimizers.momentum(step_size=0.001, mass=0.9)
num_epochs = 10
batch_size = 128
""",
        {"sgd.lr": 0.001, "sgd.momentum": 0.9, "train.epochs": 10, "data.batch_size": 128},
    ),
    "flax trainstate": (
        """\
def create_train_state(rng, config):
    tx = optax.sgd(config.learning_rate, config.momentum)
    return train_state.TrainState.create(apply_fn=cnn.apply, params=params, tx=tx)

config = ml_collections.ConfigDict()
config.learning_rate = 0.1
config.momentum = 0.9
config.batch_size = 128
config.num_epochs = 10
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "data.batch_size": 128, "train.epochs": 10},
    ),
    "flax learning rate fn": (
        """\
def create_learning_rate_fn(config, base_learning_rate, steps_per_epoch):
  warmup_fn = optax.linear_schedule(init_value=0., end_value=base_learning_rate, transition_steps=config.warmup_epochs * steps_per_epoch)
  cosine_epochs = max(config.num_epochs - config.warmup_epochs, 1)
  cosine_fn = optax.cosine_decay_schedule(init_value=base_learning_rate, decay_steps=cosine_epochs * steps_per_epoch)
  return optax.join_schedules(schedules=[warmup_fn, cosine_fn], boundaries=[config.warmup_epochs * steps_per_epoch])
def get_config():
  config = ml_collections.ConfigDict()
  config.learning_rate = 0.1
  config.warmup_epochs = 5.0
  config.momentum = 0.9
  config.batch_size = 128
  config.num_epochs = 100.0
  return config
""",
        {
            "sgd.lr.schedule": "warmup",
            "sgd.lr.duration": 5,
            "sgd.lr.unit": "epoch",
            "sgd.lr.then.schedule": "cosine",
            "sgd.lr.then.initial": 0.1,
            "sgd.lr.then.duration": 95,
            "sgd.momentum": 0.9,
            "data.batch_size": 128,
            "train.epochs": 100,
            "sgd.lr.start": 0.0,
        },
    ),
    "mxnet symbol": (
        """\
lr_sch = mx.lr_scheduler.FactorScheduler(step=max(int(epoch_size * 30), 1), factor=0.1)
optimizer = mx.optimizer.SGD(learning_rate=0.1, momentum=0.9, wd=0.0001, lr_scheduler=lr_sch, rescale_grad=1.0/256)
""",
        {
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.rate": 0.1,
            "sgd.lr.every": 30,
            "sgd.lr.unit": "epoch",
            "sgd.momentum": 0.9,
            "sgd.weight_decay": 0.0001,
        },
    ),
    "paddle fluid": (
        """\
boundaries = [step * e for e in [30, 60, 90]]
values = [0.1 * (0.1 ** i) for i in range(4)]
optimizer = fluid.optimizer.Momentum(
    learning_rate=fluid.layers.piecewise_decay(boundaries=boundaries, values=values),
    momentum=0.9,
    regularization=fluid.regularizer.L2Decay(1e-4))
""",
        {"sgd.lr.initial": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0001, "sgd.lr.schedule": "multistep"},
    ),
    "sklearn": (
        """\
clf = MLPClassifier(solver='sgd', learning_rate_init=0.1, momentum=0.9, max_iter=200, batch_size=32, alpha=1e-4, nesterovs_momentum=True)
""",
        {"sgd.lr": 0.1, "sgd.momentum": 0.9, "data.batch_size": 32, "sgd.nesterov": True, "train.epochs": 200},
    ),
}
"""What each states, all of it, worked out by hand."""


@pytest.mark.parametrize("name", CASES)
def test_what_is_said(name):
    """Each value that is written, followed to where it is used; nothing else is stated."""
    assert not differences(*CASES[name])
