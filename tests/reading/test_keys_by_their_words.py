"""Keys, flags and programs that no table lists, understood by the words they are made of."""

import pytest

from reading.neighbours import differences, meant

ROWS = [
    (
        "python3 train_cls.py --opt SGD --lr_epochs 60 120 160 --lr_drop_ratio 0.2 --epochs 200 --lr 0.1 --mom 0.9 --wd 5e-4 -b 128",
        "schedule=multistep milestones=[60,120,160] factor=0.2 unit=epoch epochs=200 initial=0.1 momentum=0.9 decay=0.0005 batch=128",
    ),
    (
        "python run.py --cosine_lr --max_epochs 50 --base_lr 0.02 --sgd_momentum 0.9",
        "schedule=cosine epochs=50 initial=0.02 momentum=0.9",
    ),
    (
        "python train.py --lr-decay-milestones 30,60,80 --lr-decay-mult 0.1 --lr 0.1 --nb-epochs 90",
        "schedule=multistep milestones=[30,60,80] factor=0.1 unit=epoch initial=0.1 epochs=90",
    ),
    (
        "python train.py --epochs 100 --lr 0.01 --step_epoch 40 80 --gamma 0.1",
        "epochs=100 schedule=multistep milestones=[40,80] factor=0.1 unit=epoch initial=0.01",
    ),
    (
        "--model wrn --learning-rate 0.1 --decay-epochs-at 60,80 --decay-factor 0.2 --epochs 100 --weight-decay 5e-4 --momentum 0.9",
        "schedule=multistep initial=0.1 milestones=[60,80] factor=0.2 unit=epoch epochs=100 decay=0.0005 momentum=0.9",
    ),
    (
        "    --network resnet --num-layers 50 \\\n    --lr 0.4 \\\n    --lr-step-epochs 30,60,80 \\\n    --lr-factor 0.1 \\\n    --num-epochs 90 \\\n    --mom 0.9 --wd 0.0001 \\\n    --batch-size 1024",
        "schedule=multistep initial=0.4 milestones=[30,60,80] factor=0.1 unit=epoch epochs=90 momentum=0.9 decay=0.0001 batch=1024",
    ),
    (
        "N_EPOCHS=30\nTRAIN_BATCH_SIZE=64\nLEARNING_RATE=0.003\nWARMUP_STEPS=500\nSCHEDULER=cosine",
        "then.schedule=cosine then.initial=0.003 batch=64 epochs=30 schedule=warmup duration=500 unit=step",
    ),
    (
        "export EPOCHS=12 LR=0.02 BS=16 WD=1e-4\ntorchrun train.py --epochs $EPOCHS --lr $LR --bs $BS --wd $WD",
        "epochs=12 lr=0.02 batch=16 decay=0.0001",
    ),
    (
        "optimizer: SGD(lr=0.05, momentum=0.9, weight_decay=1e-4)\nscheduler: CosineAnnealingLR(T_max=90)\nepochs: 90",
        "schedule=cosine initial=0.05 momentum=0.9 decay=0.0001 epochs=90 duration=90 unit=epoch",
    ),
    (
        "training:\n  num_epochs: 60\n  batch_size: 32  # per step\n  optimizer:\n    name: SGD\n    learning_rate: 0.01\n    momentum: 0.9\n  lr_schedule:\n    type: step\n    step_size: 20\n    gamma: 0.5",
        "epochs=60 batch=32 schedule=exponential initial=0.01 momentum=0.9 every=20 rate=0.5 unit=epoch",
    ),
    (
        "learning_rate_policy: multistep\nlearning_rate: 0.01\nmultistep_milestones: [12, 18]\nmultistep_gamma: 0.2\nmax_epoch: 24",
        "schedule=multistep initial=0.01 milestones=[12,18] factor=0.2 epochs=24 unit=epoch",
    ),
    (
        "optimizer:\n  type: sgd\n  base_lr: 0.2\n  final_lr: 0.002\n  warmup_epochs: 10\n  schedule: cosine\nnum_epochs: 300\nglobal_batch_size: 2048",
        "then.schedule=cosine then.initial=0.2 then.final=0.002 epochs=300 batch=2048 schedule=warmup duration=10 unit=epoch",
    ),
    (
        "lr: 1e-2\nlr_scheduler: poly\npoly_power: 0.9\ntotal_iters: 80000\nwarmup_iters: 1500\nwarmup_factor: 0.1",
        "then.schedule=polynomial then.initial=0.01 then.power=0.9 steps=80000 schedule=warmup duration=1500 unit=step",
    ),
    (
        '{"lr": 0.1, "lr_sched": "cosine", "epochs_num": 200, "sgd_mom": 0.9, "wd": 0.0005, "bs": 128}',
        "schedule=cosine initial=0.1 epochs=200 momentum=0.9 decay=0.0005 batch=128",
    ),
    (
        "config = edict()\nconfig.optimizer = 'sgd'\nconfig.lr = 0.1\nconfig.momentum = 0.9\nconfig.num_epoch = 34\nconfig.decay_epoch = [20, 28, 32]\nconfig.batch_size = 128",
        "schedule=multistep initial=0.1 milestones=[20,28,32] unit=epoch momentum=0.9 epochs=34 batch=128",
    ),
    (
        "args.lr = 0.1\nargs.schedule = [60, 80]\nargs.gammas = [0.1, 0.1]\nargs.epochs = 100\nargs.decay = 5e-4",
        "schedule=multistep initial=0.1 milestones=[60,80] factor=0.1 unit=epoch epochs=100",
    ),
    (
        "lines = ['[net]', 'batch=64', 'subdivisions=16', 'momentum=0.9', 'decay=0.0005', 'learning_rate=0.001', 'max_batches=50200', 'policy=steps', 'steps=40000,45000', 'scales=.1,.1']\nopen('yolo.cfg','w').write('\\n'.join(lines))",
        "schedule=multistep initial=0.001 factor=0.1 milestones=[40000,45000] unit=step momentum=0.9 decay=0.0005 batch=64 steps=50200",
    ),
    (
        "cfg = '''\nbase_lr: 0.001\nlr_policy: \"poly\"\npower: 0.9\nmax_iter: 20000\nmomentum: 0.9\nweight_decay: 0.0005\n'''\nopen('s.prototxt','w').write(cfg)",
        "schedule=polynomial initial=0.001 power=0.9 steps=20000 momentum=0.9 decay=0.0005",
    ),
    (
        "library(keras)\nmodel %>% compile(\n  optimizer = optimizer_sgd(learning_rate = 0.01, momentum = 0.9, nesterov = TRUE),\n  loss = 'categorical_crossentropy')\nmodel %>% fit(x, y, epochs = 30, batch_size = 128, validation_split = 0.2)",
        "lr=0.01 momentum=0.9 nesterov=True epochs=30 batch=128",
    ),
    (
        "options = trainingOptions('sgdm', ...\n    'InitialLearnRate', 0.01, ...\n    'LearnRateSchedule', 'piecewise', ...\n    'LearnRateDropFactor', 0.2, ...\n    'LearnRateDropPeriod', 5, ...\n    'MaxEpochs', 20, ...\n    'MiniBatchSize', 64, ...\n    'L2Regularization', 0.0005, ...\n    'Momentum', 0.9);",
        "schedule=exponential initial=0.01 rate=0.2 every=5 unit=epoch epochs=20 batch=64 decay=0.0005 momentum=0.9",
    ),
    (
        "| flag | value |\n|---|---|\n| `--lr` | 0.1 |\n| `--momentum` | 0.9 |\n| `--wd` | 1e-4 |\n| `--epochs` | 90 |",
        "lr=0.1 momentum=0.9 decay=0.0001 epochs=90",
    ),
    (
        "| Parameter | Setting |\n| --- | --- |\n| lr | 0.01, divided by 10 at epochs 30 and 45 |\n| momentum | 0.9 |\n| batch size | 64 |\n| epochs | 60 |",
        "schedule=multistep initial=0.01 factor=0.1 milestones=[30,45] unit=epoch momentum=0.9 batch=64 epochs=60",
    ),
    (
        "sgd = SGD(lr=0.01, momentum=0.9)\nadam = Adam(1e-3)\nmodel.compile(optimizer=adam, loss='mse')\nmodel.fit(x, y, epochs=10, batch_size=8)",
        "lr=0.001 epochs=10 batch=8",
    ),
    (
        "sched = tf.keras.optimizers.schedules.PiecewiseConstantDecay(boundaries=[n1, n2], values=[lr0, lr0*0.1, lr0*0.01])\nopt = tf.keras.optimizers.SGD(sched, momentum=0.9)",
        "schedule=multistep factor=0.1 momentum=0.9",
    ),
    (
        "lr = base_lr * 0.1 ** (epoch // 30)\nfor g in optimizer.param_groups:\n    g['lr'] = lr",
        "schedule=exponential rate=0.1 every=30 unit=epoch",
    ),
    (
        "optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum)\nscheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)",
        "schedule=exponential rate=0.1 every=7",
    ),
    (
        "CUDA_VISIBLE_DEVICES=0 python train.py --dataset cifar100 --model wrn_40_2 --epochs 240 --init_lr 0.05 --lr_decay_epochs 150,180,210 --lr_decay_rate 0.1 --batch_size 64 --momentum 0.9 --weight_decay 5e-4",
        "schedule=multistep initial=0.05 milestones=[150,180,210] factor=0.1 unit=epoch epochs=240 batch=64 momentum=0.9 decay=0.0005",
    ),
    (
        "python main.py -lr 0.01 -bs 32 -ep 50 -mom 0.9 -wd 0.0001",
        "lr=0.01 batch=32 epochs=50 momentum=0.9 decay=0.0001",
    ),
    (
        "nohup python -u train.py --optim SGD --lr 2e-2 --sched step --step-size 15 --lr-gamma 0.2 --n-epochs 45 --bs 8 > log.txt 2>&1 &",
        "schedule=exponential initial=0.02 every=15 rate=0.2 unit=epoch epochs=45 batch=8",
    ),
    (
        "python train.py --total-epochs 90 --base-batch-size 256 --lr-schedule multistep --lr-steps 30 60 80 --lr 0.1 --no-nesterov",
        "schedule=multistep initial=0.1 milestones=[30,60,80] unit=epoch epochs=90",
    ),
    ("caffe train --solver=solver.prototxt\n# solver: base_lr 0.01, step 20000, gamma 0.1", ""),
    (
        "python train.py \\\n  --lr-scheduler poly --lr 0.007 --workers 4 --epochs 50 --batch-size 16 --gpu-ids 0,1,2,3 --checkname deeplab --eval-interval 1 --dataset pascal",
        "schedule=polynomial initial=0.007 epochs=50 batch=16",
    ),
    (
        "python train.py --lr 1e-1 --ngpus 8 --batchsize 1024 --maxiter 450000 --lrdecaysteps 150000 300000 --lrdecayfactor 0.1",
        "schedule=multistep initial=0.1 batch=1024 steps=450000 milestones=[150000,300000] factor=0.1 unit=step",
    ),
    (
        "SOLVER:\n  BASE_LR: 0.02\n  WEIGHT_DECAY: 0.0001\n  STEPS: (60000, 80000)\n  MAX_ITER: 90000\n  IMS_PER_BATCH: 16\n  WARMUP_ITERS: 500",
        "then.schedule=multistep then.initial=0.02 then.milestones=[60000,80000] then.unit=step decay=0.0001 steps=90000 batch=16 schedule=warmup duration=500 unit=step",
    ),
    (
        "train:\n  lr: 1.0e-2\n  lr_decay:\n    type: multi_step\n    milestones: [20, 30]\n    factor: 0.1\n  max_epoch: 40\n  optim:\n    name: SGD\n    kwargs:\n      momentum: 0.9\n      weight_decay: 5.0e-4\n      nesterov: True\n  batch: 32",
        "schedule=multistep initial=0.01 milestones=[20,30] factor=0.1 unit=epoch epochs=40 momentum=0.9 decay=0.0005 nesterov=True batch=32",
    ),
    (
        "lr_schedule:\n  - [0, 0.1]\n  - [80, 0.01]\n  - [120, 0.001]\nepochs: 160\nmomentum: 0.9",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[80,120] unit=epoch epochs=160 momentum=0.9",
    ),
    (
        'net: "train_val.prototxt"\nbase_lr: 0.001\nlr_policy: "multistep"\ngamma: 0.1\nstepvalue: 50000\nstepvalue: 75000\nmax_iter: 100000\nmomentum: 0.9\nweight_decay: 0.0005\niter_size: 2',
        "schedule=multistep initial=0.001 factor=0.1 milestones=[50000,75000] unit=step steps=100000 momentum=0.9 decay=0.0005",
    ),
    (
        "[net]\nbatch=64\nsubdivisions=8\nmomentum=0.9\ndecay=0.0005\nlearning_rate=0.0013\nburn_in=1000\nmax_batches=6000\npolicy=steps\nsteps=4800,5400\nscales=.1,.1",
        "then.schedule=multistep then.initial=0.0013 then.factor=0.1 then.milestones=[4800,5400] then.unit=step momentum=0.9 decay=0.0005 batch=64 steps=6000 schedule=warmup duration=1000 unit=step",
    ),
    (
        "lr = 0.1\nlr_milestones = 100, 150\nlr_gamma = 0.1\nmomentum = 0.9\nepochs = 200 ; total\nweight_decay = 0.0005",
        "schedule=multistep initial=0.1 milestones=[100,150] factor=0.1 unit=epoch epochs=200 momentum=0.9 decay=0.0005",
    ),
    (
        "# @package _global_\ntrainer:\n  max_epochs: 90\nmodel:\n  optimizer:\n    _target_: torch.optim.SGD\n    lr: 0.1\n    momentum: 0.9\n  scheduler:\n    _target_: torch.optim.lr_scheduler.StepLR\n    step_size: 30\n    gamma: 0.1",
        "schedule=exponential initial=0.1 every=30 rate=0.1 unit=epoch momentum=0.9 epochs=90",
    ),
    (
        "Hyperparameters: `lr=0.1`, `momentum=0.9`, `weight_decay=5e-4`, `epochs=200`, `batch_size=128`.",
        "lr=0.1 momentum=0.9 decay=0.0005 epochs=200 batch=128",
    ),
    (
        "- `lr`: 0.05\n- `batch_size`: 32\n- `num_epochs`: 25\n- `optimizer`: SGD with momentum 0.9",
        "lr=0.05 batch=32 epochs=25 momentum=0.9",
    ),
    (
        "trainer = gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': 0.1, 'wd': 5e-4, 'momentum': 0.9})\nfor epoch in range(10):\n    if epoch == 7:\n        trainer.set_learning_rate(0.01)",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[7] unit=epoch decay=0.0005 momentum=0.9 epochs=10",
    ),
    (
        "lr = tf.train.piecewise_constant(global_step, [40000, 60000], [0.1, 0.01, 0.001])\nopt = tf.train.MomentumOptimizer(lr, 0.9, use_nesterov=True)",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[40000,60000] unit=step momentum=0.9 nesterov=True",
    ),
    (
        "warmup = LinearLR(opt, start_factor=0.01, total_iters=5)\ncos = CosineAnnealingLR(opt, T_max=95)\nsched = SequentialLR(opt, [warmup, cos], milestones=[5])\nopt = SGD(m.parameters(), lr=0.5, momentum=0.9, weight_decay=2e-5)",
        "then.schedule=cosine then.initial=0.5 then.duration=95 momentum=0.9 decay=2e-05 schedule=warmup duration=5",
    ),
    (
        "opt = torch.optim.SGD(model.parameters(), lr=1e-2)\nsched = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, mode='min', factor=0.5, patience=3)",
        "lr=0.01 plateau.factor=0.5 plateau.patience=3",
    ),
    (
        "scheduler = get_cosine_schedule_with_warmup(optimizer, num_warmup_steps=500, num_training_steps=10000)\noptimizer = SGD(model.parameters(), lr=3e-2, momentum=0.9)",
        "then.schedule=cosine then.initial=0.03 momentum=0.9 schedule=warmup duration=500 unit=step",
    ),
    ("# lr = 0.5 was unstable\nopt = torch.optim.SGD(net.parameters(), lr=0.05)  # tried 0.1 too", "lr=0.05"),
    (
        "num_epochs = 25\nexp_lr_scheduler = lr_scheduler.StepLR(optimizer_ft, step_size=7, gamma=0.1)\noptimizer_ft = optim.SGD(model_ft.parameters(), lr=0.001, momentum=0.9)\nmodel_ft = train_model(model_ft, criterion, optimizer_ft, exp_lr_scheduler, num_epochs=25)",
        "schedule=exponential initial=0.001 every=7 rate=0.1 momentum=0.9 epochs=25 unit=epoch",
    ),
    (
        "const optimizer = tf.train.momentum(0.05, 0.9);\nawait model.fit(xs, ys, {batchSize: 32, epochs: 15});",
        "lr=0.05 momentum=0.9 batch=32 epochs=15",
    ),
]


@pytest.mark.parametrize(("text", "words"), ROWS)
def test_keys_say_just_these_fields(text, words):
    """It states just these fields."""
    assert differences(text, meant(words)) == []
