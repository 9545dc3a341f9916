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
        "LR=0.1\nEPOCHS=200\nMILESTONES=(100 150)\nGAMMA=0.1\nMOMENTUM=0.9",
        "schedule=multistep initial=0.1 epochs=200 milestones=[100,150] factor=0.1 unit=epoch momentum=0.9",
    ),
    (
        "N_EPOCHS=30\nTRAIN_BATCH_SIZE=64\nLEARNING_RATE=0.003\nWARMUP_STEPS=500\nSCHEDULER=cosine",
        "then.schedule=cosine then.initial=0.003 batch=64 epochs=30 schedule=warmup duration=500 unit=step",
    ),
    (
        "train:\n  optimizer: sgd(momentum=0.9, nesterov=true)\n  lr: 0.1\n  weight_decay: 5e-4 (not on biases)\n  epochs: 200\n  batch: 128",
        "momentum=0.9 nesterov=True lr=0.1 decay=0.0005 epochs=200 batch=128",
    ),
    (
        "optimizer: SGD(lr=0.05, momentum=0.9, weight_decay=1e-4)\nscheduler: CosineAnnealingLR(T_max=90)\nepochs: 90",
        "schedule=cosine initial=0.05 momentum=0.9 decay=0.0001 epochs=90 duration=90 unit=epoch",
    ),
    (
        "TRAIN:\n  BATCH_SIZE_PER_GPU: 4\n  GPUS: 8\n  LR: 0.01\n  LR_STEP: [170, 200]\n  LR_FACTOR: 0.1\n  END_EPOCH: 210\n  OPTIMIZER: sgd\n  MOMENTUM: 0.9\n  WD: 0.0001\n  NESTEROV: true",
        "schedule=multistep initial=0.01 milestones=[170,200] factor=0.1 epochs=210 momentum=0.9 decay=0.0001 nesterov=True unit=epoch",
    ),
    (
        "learning_rate_policy: multistep\nlearning_rate: 0.01\nmultistep_milestones: [12, 18]\nmultistep_gamma: 0.2\nmax_epoch: 24",
        "schedule=multistep initial=0.01 milestones=[12,18] factor=0.2 epochs=24 unit=epoch",
    ),
    (
        "solver:\n  max_iterations: 30000\n  lr_decay_iterations: [20000, 26000]\n  lr_decay_rate: 0.1\n  initial_learning_rate: 0.005\n  weight_decay: 0.0005\n  batch_size: 4",
        "steps=30000 schedule=multistep milestones=[20000,26000] factor=0.1 unit=step initial=0.005 decay=0.0005 batch=4",
    ),
    (
        "lr: 1e-2\nlr_scheduler: poly\npoly_power: 0.9\ntotal_iters: 80000\nwarmup_iters: 1500\nwarmup_factor: 0.1",
        "then.schedule=polynomial then.initial=0.01 then.power=0.9 steps=80000 schedule=warmup duration=1500 unit=step",
    ),
    (
        '{"optimizer": {"type": "SGD", "args": {"lr": 0.01, "weight_decay": 0.0001, "momentum": 0.9, "nesterov": true}}, "lr_scheduler": {"type": "StepLR", "args": {"step_size": 30, "gamma": 0.1}}, "trainer": {"epochs": 100}}',
        "schedule=exponential initial=0.01 rate=0.1 every=30 unit=epoch momentum=0.9 decay=0.0001 nesterov=True epochs=100",
    ),
    (
        "config = edict()\nconfig.optimizer = 'sgd'\nconfig.lr = 0.1\nconfig.momentum = 0.9\nconfig.num_epoch = 34\nconfig.decay_epoch = [20, 28, 32]\nconfig.batch_size = 128",
        "schedule=multistep initial=0.1 milestones=[20,28,32] unit=epoch momentum=0.9 epochs=34 batch=128",
    ),
    (
        "with open('solver.prototxt', 'w') as f:\n    f.write('base_lr: 0.01\\n')\n    f.write('lr_policy: \"step\"\\n')\n    f.write('gamma: 0.1\\n')\n    f.write('stepsize: 10000\\n')\n    f.write('max_iter: 45000\\n')\n    f.write('momentum: 0.9\\n')\n    f.write('weight_decay: 0.0005\\n')",
        "schedule=exponential initial=0.01 rate=0.1 every=10000 unit=step steps=45000 momentum=0.9 decay=0.0005",
    ),
    (
        "lines = ['[net]', 'batch=64', 'subdivisions=16', 'momentum=0.9', 'decay=0.0005', 'learning_rate=0.001', 'max_batches=50200', 'policy=steps', 'steps=40000,45000', 'scales=.1,.1']\nopen('yolo.cfg','w').write('\\n'.join(lines))",
        "schedule=multistep initial=0.001 factor=0.1 milestones=[40000,45000] unit=step momentum=0.9 decay=0.0005 batch=64 steps=50200",
    ),
    ("print('lr: 0.1', file=f)\nprint('momentum: 0.9', file=f)\nprint('epochs: 90', file=f)", ""),
    (
        "library(keras)\nmodel %>% compile(\n  optimizer = optimizer_sgd(learning_rate = 0.01, momentum = 0.9, nesterov = TRUE),\n  loss = 'categorical_crossentropy')\nmodel %>% fit(x, y, epochs = 30, batch_size = 128, validation_split = 0.2)",
        "lr=0.01 momentum=0.9 nesterov=True epochs=30 batch=128",
    ),
    (
        "learning_rate <- 0.1\nmomentum <- 0.9\nepochs <- 25\nbatch_size <- 32\nopt <- optim_sgd(model$parameters, lr = learning_rate, momentum = momentum)",
        "lr=0.1 momentum=0.9 epochs=25 batch=32",
    ),
    (
        "| flag | value |\n|---|---|\n| `--lr` | 0.1 |\n| `--momentum` | 0.9 |\n| `--wd` | 1e-4 |\n| `--epochs` | 90 |",
        "lr=0.1 momentum=0.9 decay=0.0001 epochs=90",
    ),
    (
        "Args: --lr=0.1 --lr_steps=30,60 --epochs=90 --train_bs=256 --eval_bs=512",
        "schedule=multistep initial=0.1 milestones=[30,60] unit=epoch epochs=90 batch=256",
    ),
    (
        "sgd = SGD(lr=0.01, momentum=0.9)\nadam = Adam(1e-3)\nmodel.compile(optimizer=adam, loss='mse')\nmodel.fit(x, y, epochs=10, batch_size=8)",
        "lr=0.001 epochs=10 batch=8",
    ),
    (
        "scheduler = MultiStepLR(optimizer, milestones=[int(0.5*args.epochs), int(0.75*args.epochs)], gamma=0.1)\noptimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)",
        "schedule=multistep factor=0.1 initial=0.1 momentum=0.9 decay=0.0005",
    ),
    ("lr = base_lr * 0.1 ** (epoch // 30)\nfor g in optimizer.param_groups:\n    g['lr'] = lr", ""),
    (
        "python tools/train.py configs/x.py --cfg-options optimizer.lr=0.005 data.samples_per_gpu=4 runner.max_epochs=24",
        "lr=0.005 epochs=24",
    ),
    (
        "CUDA_VISIBLE_DEVICES=0 python train.py --dataset cifar100 --model wrn_40_2 --epochs 240 --init_lr 0.05 --lr_decay_epochs 150,180,210 --lr_decay_rate 0.1 --batch_size 64 --momentum 0.9 --weight_decay 5e-4",
        "schedule=multistep initial=0.05 milestones=[150,180,210] factor=0.1 unit=epoch epochs=240 batch=64 momentum=0.9 decay=0.0005",
    ),
    ("./darknet detector train cfg/voc.data cfg/yolo.cfg darknet19.conv.23", ""),
    (
        "nohup python -u train.py --optim SGD --lr 2e-2 --sched step --step-size 15 --lr-gamma 0.2 --n-epochs 45 --bs 8 > log.txt 2>&1 &",
        "schedule=exponential initial=0.02 every=15 rate=0.2 unit=epoch epochs=45 batch=8",
    ),
    (
        "th main.lua -LR 0.1 -batchSize 128 -nEpochs 164 -weightDecay 1e-4 -momentum 0.9",
        "lr=0.1 batch=128 epochs=164 decay=0.0001 momentum=0.9",
    ),
    ("caffe train --solver=solver.prototxt\n# solver: base_lr 0.01, step 20000, gamma 0.1", ""),
    (
        "python cifar.py -a resnet --depth 110 --epochs 164 --schedule 81 122 --gamma 0.1 --wd 1e-4 --checkpoint checkpoints/cifar10/resnet-110",
        "schedule=multistep milestones=[81,122] factor=0.1 unit=epoch epochs=164 decay=0.0001",
    ),
    (
        "python train.py --lr 1e-1 --ngpus 8 --batchsize 1024 --maxiter 450000 --lrdecaysteps 150000 300000 --lrdecayfactor 0.1",
        "schedule=multistep initial=0.1 batch=1024 steps=450000 milestones=[150000,300000] factor=0.1 unit=step",
    ),
    (
        "optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001)\noptimizer_config = dict(grad_clip=dict(max_norm=35, norm_type=2))\nlr_config = dict(policy='step', warmup='linear', warmup_iters=500, warmup_ratio=0.001, step=[8, 11])\nrunner = dict(type='EpochBasedRunner', max_epochs=12)\ndata = dict(samples_per_gpu=2, workers_per_gpu=2)",
        "then.schedule=multistep then.initial=0.01 then.milestones=[8,11] then.unit=epoch momentum=0.9 decay=0.0001 clip=35 epochs=12 schedule=warmup duration=500 unit=step",
    ),
    (
        "train:\n  lr: 1.0e-2\n  lr_decay:\n    type: multi_step\n    milestones: [20, 30]\n    factor: 0.1\n  max_epoch: 40\n  optim:\n    name: SGD\n    kwargs:\n      momentum: 0.9\n      weight_decay: 5.0e-4\n      nesterov: True\n  batch: 32",
        "schedule=multistep initial=0.01 milestones=[20,30] factor=0.1 unit=epoch epochs=40 momentum=0.9 decay=0.0005 nesterov=True batch=32",
    ),
    (
        '{\n  "learning_rate": 0.05,\n  "learning_rate_decay_epochs": [50, 75],\n  "learning_rate_decay_factor": 0.1,\n  "num_epochs": 100,\n  "batch_size": 64,\n  "momentum": 0.9\n}',
        "schedule=multistep initial=0.05 milestones=[50,75] factor=0.1 unit=epoch epochs=100 batch=64 momentum=0.9",
    ),
    (
        'net: "train_val.prototxt"\nbase_lr: 0.001\nlr_policy: "multistep"\ngamma: 0.1\nstepvalue: 50000\nstepvalue: 75000\nmax_iter: 100000\nmomentum: 0.9\nweight_decay: 0.0005\niter_size: 2',
        "schedule=multistep initial=0.001 factor=0.1 milestones=[50000,75000] unit=step steps=100000 momentum=0.9 decay=0.0005",
    ),
    (
        "Optimizer:\n  type: Momentum\n  lr: !Piecewise {boundaries: [10, 20], values: [0.1, 0.01, 0.001]}\nepoch: 30",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[10,20] epochs=30",
    ),
    (
        "lr = 0.1\nlr_milestones = 100, 150\nlr_gamma = 0.1\nmomentum = 0.9\nepochs = 200 ; total\nweight_decay = 0.0005",
        "schedule=multistep initial=0.1 milestones=[100,150] factor=0.1 unit=epoch epochs=200 momentum=0.9 decay=0.0005",
    ),
    ("| lr | bs | epochs | wd |\n|---|---|---|---|\n| 0.1 | 256 | 90 | 1e-4 |", ""),
    (
        "Hyperparameters: `lr=0.1`, `momentum=0.9`, `weight_decay=5e-4`, `epochs=200`, `batch_size=128`.",
        "lr=0.1 momentum=0.9 decay=0.0005 epochs=200 batch=128",
    ),
    (
        "optimizer = optim.SGD(model.parameters(), args.lr, momentum=0.9, weight_decay=1e-4)\ndef adjust_learning_rate(optimizer, epoch):\n    lr = 0.1 * (0.1 ** (epoch // 30))\n    for param_group in optimizer.param_groups:\n        param_group['lr'] = lr\nfor epoch in range(90):\n    adjust_learning_rate(optimizer, epoch)\n    train(epoch)",
        "schedule=exponential initial=0.1 rate=0.1 every=30 unit=epoch momentum=0.9 decay=0.0001 epochs=90",
    ),
    (
        "trainer = gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': 0.1, 'wd': 5e-4, 'momentum': 0.9})\nfor epoch in range(10):\n    if epoch == 7:\n        trainer.set_learning_rate(0.01)",
        "schedule=multistep initial=0.1 factor=0.1 milestones=[7] unit=epoch decay=0.0005 momentum=0.9 epochs=10",
    ),
    (
        "class Net(pl.LightningModule):\n    def configure_optimizers(self):\n        opt = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)\n        sch = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.1, total_steps=self.trainer.estimated_stepping_batches)\n        return [opt], [{'scheduler': sch, 'interval': 'step'}]\ntrainer = pl.Trainer(max_epochs=30)",
        "schedule=onecycle peak=0.1 momentum=0.9 decay=0.0005 epochs=30",
    ),
    (
        "warmup = LinearLR(opt, start_factor=0.01, total_iters=5)\ncos = CosineAnnealingLR(opt, T_max=95)\nsched = SequentialLR(opt, [warmup, cos], milestones=[5])\nopt = SGD(m.parameters(), lr=0.5, momentum=0.9, weight_decay=2e-5)",
        "then.schedule=cosine then.initial=0.5 then.duration=95 momentum=0.9 decay=2e-05 schedule=warmup duration=5",
    ),
    (
        "solver.base_lr = 0.01\nsolver.lr_policy = 'step'\nsolver.stepsize = 20000\nsolver.gamma = 0.1\nsolver.momentum = 0.9\nsolver.weight_decay = 5e-4\nsolver.max_iter = 60000\nsolver.type = 'SGD'",
        "schedule=exponential initial=0.01 every=20000 rate=0.1 unit=step momentum=0.9 decay=0.0005 steps=60000",
    ),
    (
        "scheduler = get_cosine_schedule_with_warmup(optimizer, num_warmup_steps=500, num_training_steps=10000)\noptimizer = SGD(model.parameters(), lr=3e-2, momentum=0.9)",
        "then.schedule=cosine then.initial=0.03 momentum=0.9 schedule=warmup duration=500 unit=step",
    ),
    (
        "d_opt = Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))\ng_opt = Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999))",
        "beta1=0.5 beta2=0.999 lr=0.0002",
    ),
    (
        "num_epochs = 25\nexp_lr_scheduler = lr_scheduler.StepLR(optimizer_ft, step_size=7, gamma=0.1)\noptimizer_ft = optim.SGD(model_ft.parameters(), lr=0.001, momentum=0.9)\nmodel_ft = train_model(model_ft, criterion, optimizer_ft, exp_lr_scheduler, num_epochs=25)",
        "schedule=exponential initial=0.001 every=7 rate=0.1 momentum=0.9 epochs=25 unit=epoch",
    ),
]


@pytest.mark.parametrize(("text", "words"), ROWS)
def test_keys_say_just_these_fields(text, words):
    """It states just these fields."""
    assert differences(text, meant(words)) == []
