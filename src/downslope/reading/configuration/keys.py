"""What the keys of configurations mean: one table for all systems, and one of each system's own. Data only.

Keys stand without what joins their words; `a.b` is b somewhere right under a. The longest that fits decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


GENERIC: dict[str, str] = {
    "lr": "lr0 eta0 lrrate initialrate lr.initial learningrate.initial lr.init lr.base learningrate.base η "
    "cosinebaselr learningratespermb",
    "scaled_lr": "blr",
    "lr_batch": "lrbasesize autoscalelr.basebatchsize",
    "final": "endingrate endvalue",
    "final_fraction": "minlrratio endfactor minlrrate lrminratio finallrratio",
    "momentum": "momentumpermb trainparam.mc",
    "weight_decay": "regularizer.coeff regularizer.factor regularizerparams.scale l2regularizer.weight wtdecay "
    "weightpenalty",
    "batch": "arraybatchsize imsperbatch mbsize batchesize tbatchsize nbatch sizeofbatch",
    "device_batch": "samplespergpu imspergpu imgspergpu imagespergpu microbatchsize localbatchsize "
    "trainmicrobatchsizepergpu traindataloader.batchsize videospergpu devicebatchsize",
    "devices": "numgpus ngpus nprocpernode ngpu gpunum numdevices worldsize numgpu gpucount nproc trainer.devices "
    "trainer.gpus",
    "accumulate": "accumgradbatches accumulategradbatches itersize updatefreq",
    "epochs": "epochs epochsiters trainepochs trainingepochs endepoch trainer.maxepochs",
    "epochs_flag": "epoch",
    "steps": "totalsteps iterations trainsteps totaliters trainingsteps iters trainiters trainiter maxbatches "
    "trainer.maxsteps trainingiterations",
    "nesterov": "isnesterov",
    "dampening": "dampening optimizerdampening",
    "trust": "trustcoefficient trustcoeff larstrustcoefficient larscoefficient larscoeff larstrustcoeff",
    "nu": "nu qhmnu optimizernu",
    "clip": "clip globalclipnorm gradientclipval gradclip.maxnorm clipgrad.maxnorm gradclip.clipnorm clipl2norm "
    "gradnorm trainer.gradnorm gradientthreshold",
    "clip_of_type": "clipgradients.clipvalue",
    "ema": "emadecay modelemadecay movingaveragedecay emarate weightemadecay ema.decay modelema.decay "
    "emamodel.decay emaparams.decay emaconfig.decay emakwargs.decay exponentialmovingaverage.decay useema.decay "
    "weightema.decay emaalpha",
    "smoothing": "smoothing labelsmootheps labelsmoothepsilon",
    "precision": "amp fp16 useamp usefp16 mixedprecision halfprecision nativeamp fp16.enabled amp.enabled "
    "amp.useamp enableamp precision bf16 usebf16 bf16.enabled useautocast autocast",
    "mixup": "mixup mixupalpha",
    "cutmix": "cutmix cutmixalpha",
    "erase": "randomerase reprob randomerasing randomerasingprob randomeraseprob",
    "optimizer": "solvertype optimizingmethod solvername whichoptimizer",
    "policy": "schedule lrdecaystyle scheduletype lrdecay scheduler.decay learningratescheduler.decay "
    "lrscheduler.decay lradjust lradj learningpolicy decaytype whichscheduler",
    "gamma": "gamma lrdecay learningratedecay lrshrink stepgamma learningratescheduler.factor scheduler.factor "
    "lrscheduler.factor lrdrop.factor droprate.lr stepdecay decaylrto lrshift",
    "scales": "scales lrs relativelrs decayrates multipliers",
    "values": "values lrvalues learningrates lrdecayvalues lrlist lrlevels learningratelevels learningratevalues "
    "piecewisevalues steplrs lrstepvalues",
    "times": "stepsize decaylrat sched.epochs scheduler.epochs lrscheduler.epochs step steps schedule boundaries "
    "decaymilestones decaysteps lrdecaysteps lrstepsepochs stepepochs epochstep lrdrop lrdecay lrstepepochs "
    "lrdecayat decayat steplist schedule.step epochlist",
    "milestones": "stepvalue multisteps lrdrops decaymilestones lrstepvalues lrmultisteps",
    "every": "stepsize numepochsperdecay epochstep lrdrop lrconfig.step scheduler.step lrscheduler.step "
    "lrdecaysteps decaysteps learningratedecaysteps learningratedecayepochs",
    "every_flag": "step",
    "duration": "tmax totaliters cosinesteps lrdecaysteps totalsteps decaysteps schedulertmax tinitial "
    "maxdecaysteps lrscheduler.maxepochs lrschedulertmax totalnumupdate",
    "power": "polyexp lrpolyexp",
    "warmup": "warmup warmuplength warmupperiod lrwarmup warmupduration warmupt linearwarmup warmuplen twarmup "
    "warmuptime",
    "warmup_epochs": "warmup.epochs warmup.epoch warmup.numepochs",
    "warmup_steps": "burnin warmupbatches numwarmup warmup.steps warmup.iter warmup.iters warmup.iterations warmup.numsteps",
    "warmup_start": "warmuplr startwarmup startwarmuplr warmuplearningrate warmupminlr warmup.startlr warmup.initlr warmup.lr "
    "warmup.startlearningrate warmup.minlr warmup.initiallr",
    "warmup_end": "warmupendlr warmupendlearningrate warmuptolr warmuplrend warmupfinallr lrwarmupend warmupmaxlr "
    "endwarmuplr",
    "warmup_factor": "warmupfactor lrwarmupdecay warmupstartfactor startfactor warmupdecay warmupmultiplierstart "
    "lrwarmupfactor warmup.factor warmup.startfactor",
    "warmup_ratio": "warmupratio warmupproportion warmupfraction warmuppct warmuppercent warmupfrac "
    "lrschedulerwarmupratio lrwarmupfraction warmup.ratio warmup.fraction",
    "warmup_method": "warmupmethod lrwarmupmethod warmupmode warmuptype warmuppolicy warmupstrategy warmupstyle "
    "warmup.type warmup.method warmup.mode warmup.name warmup.policy",
    "beta1": "beta1 adambeta1 optimizerbeta1",
    "beta2": "beta2 adambeta2 optimizerbeta2",
    "betas": "betas adambetas optbetas",
    "eps": "adamepsilon opteps optimizer.eps optimizer.epsilon adameps",
    "rho": "rmspropdecay optimizer.alpha optimizer.rho",
    "patience": "scheduler.patience learningratescheduler.patience lrscheduler.patience lrpatience patiencelr "
    "lrschedulerpatience schedulerpatience plateaupatience",
    "by_epoch": "byepoch",
    "staircase": "staircase",
    "pct_start": "pctstart",
    "div_factor": "divfactor",
    "final_div_factor": "finaldivfactor",
    "no_bias_and_norm_decay": "nowd nobiasdecay nobiasbnwd nobndecay nobiasbndecay nonormdecay nowdbn nowdbias "
    "onedimparamnoweightdecay nobnwd biasbnnodecay nodecaybnfilterbias filterbiasandbn skipbnbiasdecay "
    "noweightdecaybn",
    "no_decay_names": "noweightdecayname noweightdecaynames noweightdecay skipweightdecay noweightdecaylist "
    "nodecaykeys nodecay excludefromweightdecay weightdecayexclude skipkeywords noweightdecaykeys",
    "norm_decay": "normweightdecay bnweightdecay weightdecaynorm bn.weightdecay bnwd wdbn",
    "bias_decay": "biasweightdecay weightdecaybias wdbias",
    "norm_decay_mult": "normdecaymult bndecaymult",
    "bias_decay_mult": "biasdecaymult",
    "bias_lr_mult": "biaslrmult biaslrfactor biasfactor",
    "backbone_lr_mult": "backbonelrmult backbonelrratio backbonelrfactor backbonemultiplier",
    "head_lr_mult": "headlrmult headlrfactor headlrratio lrheadmult classifierlrmult headlrmultiplier",
    "backbone_lr": "backbonelr lrbackbone lrencoder encoderlr",
    "head_lr": "headlr lrhead classifierlr lrclassifier fclr lrfc lrdecoder decoderlr",
    "bare_decay": "decay",
    "strength": "regularizationstrength",
}
"""A concept -> the keys that mean it anywhere."""

LEVELS = _words(
    "lrschedule schedule lrsteps learningrateschedule lrscheduler lrdecay lrmap lrlevels learningrates lrs lr "
    "learningrate"
)
"""Keys whose pairs, or whose numbers with their values, are times and the rates from then on."""

ROW_TIMES = _words("epoch step iter iteration at from start startepoch fromepoch beginepoch startstep")
ROW_LENGTHS = _words("epochs iters iterations steps numepochs numsteps numiters duration length")
ROW_RATES = _words("lr learningrate rate baselr")
"""Keys of the rows of a list: when a rate begins, how long it is kept, and the rate."""

NAMING = frozenset(["type", "name", "target", "classpath", "class", "cls", "kind", "classname", "method"])
"""Keys that name what their table is."""

OPTIMIZING = _words(
    "optimizer optim opt optimizers solver optimizerconfig optimizerparams optimizercfg optimizerargs optimconf  optimizerbuilder sgd"
)
"""Tables about an optimizer."""

SCHEDULING = _words(
    "lrscheduler scheduler lrconfig lrpolicy lrschedule sched paramscheduler schedulers schedule lrschedulers paramschedulers "
    "lrpolicyparams schedulerparams learningrate lr learningratescheduler schedulerconfig lrsched schedulercfg decay "
    "lrschedulerconfig lrupdater lrschedulerparams learningrateschedule schedulerargs schedulerconf"
)
"""Tables about a schedule of the learning rate."""

BEFORE = _words("student train training model net network main default my sgd optim optimizer opt solver hparams")
"""First words of keys that say whose they are: the trained model's, its optimizer's."""

PASSED_OVER = _words(
    "initargs params kwargs args arguments hparams hyperparameters hyperparams hyp cfg config conf parameters optimargs optkwargs optimizerkwargs optimizerargs optargs schedulerkwargs schedargs optimparams lrargs lrkwargs optimkwargs value"
)
"""Tables that only hold arguments of the one around them."""

FOREIGN = _words(
    "ema teacher discriminator disc critic netd aug augment augmentation augmentations transform transforms pipeline "
    "preprocess preprocessing anchor anchors bn batchnorm norm normalization loss losses criterion dropout val valid validation "
    "test eval evaluation inference infer mixup cutmix swa moco memory checkpoint logger logging log callbacks callback hooks "
    "hook prune pruning quantization distillation distill randaugment autoaugment crop sampler visualizer vis profiler "
    "byol simsiam dino simclr early stopping deploy finder export postprocess nms tracker swag lookahead"
)
"""Words of keys whose tables are about something else than the training of the model."""

STRUCTURE = _words(
    "model backbone neck head heads encoder decoder network net arch architecture layer layers module modules block blocks data "
    "dataset datasets feature extractor bottleneck fpn rpn roi bbox mask convolutional yolo maxpool "
    "conv attention transformer embedding tokenizer generator unet resnet vit lstm rnn"
)
"""Words of keys whose tables are about a model or data: in them only an optimizer's own table counts, and of data the batch."""

SHORT_FLAGS: dict[str, str] = {
    "-b": "batch", "--b": "batch", "-bs": "batch", "-bsz": "batch", "-lr": "lr", "-wd": "weight_decay", "-e": "epochs", "-ep": "epochs",
    "-np": "devices", "-epochs": "epochs", "-mom": "momentum", "-m": "momentum", "-l": "lr",
}  # fmt: skip
"""Flags of one dash."""

POLICIES = (
    ("plateau", "plateau"), ("onecycle", "onecycle"), ("1cycle", "onecycle"), ("warmrestart", "cyclic"), ("cyclic", "cyclic"),
    ("sgdr", "cyclic"), ("warmupdecay", "linear"), ("invsqrt", ""), ("inversesqrt", ""), ("multistep", "multistep"), ("piecewise", "multistep"),
    ("manualstep", "multistep"), ("steps", "multistep"), ("milestone", "multistep"), ("cos", "cosine"), ("poly", "polynomial"),
    ("exp", "exponential"), ("inv", "inverse"), ("step", "step"), ("linear", "linear"), ("const", "constant"),
    ("fixed", "constant"), ("none", "constant"), ("identity", "constant"), ("warmup", "constant"),
)  # fmt: skip
"""What a policy's name has in it -> our schedule; "" for one that recipes have no word for. The first decides."""

_ALONE = "adamax nadam nadamw radam lion adafactor sgdp adamp rprop lbfgs asgd yogi adan shampoo muon"
_ALIASES = {
    "sgd": "sgd momentum momentumsgd correctedmomentumsgd nesterovag nag momentumoptimizer gradientdescentoptimizer "
    "gradientdescent sgdoptimizer fusedsgd nesterovmomentum buildsgd polyoptimizer nesterov msgd sgdm nesterovsgd "
    "fusedmomentum sam decentralizedsgd sgdnesterov stochasticgradientdescent sgdmomentum momentumoptimizervalue descent nesterovs qhm gradientdescentmomentum",
    "adam": "adam adamoptimizer fusedadam sparseadam adam8bit amsgrad",
    "sgdw": "sgdw decoupledsgdw",
    "adamw": "adamw decoupledadamw adamweightdecay adamwoptimizer adamw8bit adamwtorch",
    "rmsprop": "rmsprop rmsproptf rmspropoptimizer rmspropoptimizerv2",
    "adagrad": "adagrad adagradoptimizer",
    "adadelta": "adadelta adadeltaoptimizer",
    "lars": "lars larsoptimizer larsmomentum",
    "lamb": "lamb lamboptimizer fusedlamb",
    "adabelief": "adabelief adambelief",
    "novograd": "novograd fusednovograd",
    "ftrl": "ftrl ftrloptimizer",
}
OPTIMIZERS = {name: ours for ours, names in _ALIASES.items() for name in names.split()}
OPTIMIZERS |= {name: name for name in _ALONE.split()}
"""An optimizer's name, squeezed -> ours."""


@dataclass(frozen=True)
class System:
    """How one system's configurations are to be understood.

    Attributes:
        name: Of the system.
        signs: Sets of keys, parted by "|", all of one of which must stand in a configuration, or words of the command
            ("$fairseq-train").
        rows: Its own keys, by concept; "" for those that mean nothing here.
        unit: Of times that do not say theirs: "step", "epoch" or "".
        defaults: What is relied on where nothing is written, by concept.
        restart: Whether a schedule begins only after the warmup.
        per_device: Whether its batch size is one device's.
        framework: Whose rule it uses: "caffe" has lr inside the velocity.
    """

    name: str
    signs: str
    rows: dict[str, str] = field(default_factory=dict[str, str])
    unit: str = ""
    defaults: dict[str, Any] = field(default_factory=dict[str, Any])
    restart: bool = True
    per_device: bool = False
    framework: str = ""


SYSTEMS: tuple[System, ...] = (
    System("detectron", "solver.lrpolicy solver.maxiter",
        {"times": "solver.steps", "device_batch": "train.imsperbatch", "": "train.scales"}, unit="step",
        defaults={"gamma": 0.1, "momentum": 0.9}, restart=False),
    System("slowfast", "solver.baselr solver.maxepoch | optim.baselr optim.maxepoch | solver.lrpolicy solver.baselr "
        "| optim.lrpolicy optim.baselr",
        {"times": "solver.steps optim.steps", "gamma": "optim.lrmult", "scales": "solver.lrs", "final": "optim.minlr",
        "batch": "train.batchsize"}, unit="epoch", defaults={"nesterov": True}, restart=False),
    System("detectron2", "solver.baselr",
        {"times": "solver.steps", "warmup_steps": "solver.warmupiters", "batch": "solver.imsperbatch"}, unit="step",
        defaults={"gamma": 0.1, "momentum": 0.9}, restart=False),
    System("caffe", "lrpolicy baselr | solvermode baselr | baselr maxiter snapshot | baselr stepsize | testiter "
        "baselr | baselr iterssize",
        {"optimizer": "type", "milestones": "stepvalue", "every": "stepsize", "rho": "rmsdecay", "beta2": "momentum2",
        "eps": "delta"}, unit="step", restart=False, framework="caffe"),
    System("darknet", "maxbatches | burnin | subdivisions batch | policy learningrate scales",
        {"weight_decay": "decay", "steps": "maxbatches", "batch": "batch", "warmup_steps": "burnin",
        "milestones": "steps", "every": "step", "gamma": "scale gamma", "": "subdivisions sgdrcycle sgdrmult"},
        unit="step", restart=False, framework="darknet"),
    System("openmmlab", "lrconfig.policy | optimwrapper.optimizer.type | optimwrapper.optimizer.lr | "
        "paramscheduler.type | optimizer.paramwisecfg | optimizer.type lrconfig.step | traincfg.maxepochs | "
        "runner.maxepochs optimizer.type | paramwisecfg",
        {"warmup_factor": "lrconfig.warmupratio", "warmup_steps": "lrconfig.warmupiters",
        "warmup_method": "lrconfig.warmup", "warmup_by_epoch": "lrconfig.warmupbyepoch",
        "epochs": "runner.maxepochs totalepochs traincfg.maxepochs maxepochs",
        "steps": "runner.maxiters traincfg.maxiters totaliters", "batch": "",
        "device_batch": "samplespergpu traindataloader.batchsize imgspergpu videospergpu data.samplespergpu",
        "": "valinterval interval"}, unit="epoch", defaults={"gamma": 0.1, "power": 1.0}, restart=False,
        per_device=True),
    System("paddledetection", "learningrate.baselr | optimizerbuilder.optimizer.type | "
        "optimizerbuilder.optimizer.momentum",
        {"epochs": "epoch", "device_batch": "trainreader.batchsize", "steps": "maxiters"}, unit="epoch",
        defaults={"gamma": 0.1}, restart=False, per_device=True),
    System("paddleclas", "optimizer.lr.name | optimizer.lr.learningrate | optimizer.lr.values | "
        "learningrate.params.lr",
        {"epochs": "global.epochs epochs", "times": "lr.decayepochs lr.boundaries",
        "device_batch": "train.sampler.batchsize train.batchsize",
        "policy": "optimizer.lr.name learningrate.function", "optimizer": "optimizer.name optimizer.function"},
        unit="epoch", defaults={"warmup_start": 0.0}, per_device=True),
    System("paddleseg", "iters lrscheduler.type | iters lrscheduler.learningrate | lrscheduler.learningrate "
        "optimizer.type | lrscheduler.endlr",
        {"steps": "iters", "duration": "decaysteps"}, unit="step", per_device=True),
    System("yolo", "lr0 lrf | lr0 warmupepochs | lr0 warmupbiaslr",
        {"final_fraction": "lrf", "policy": "", "batch": "batch batchsize",
        "": "warmupmomentum warmupbiaslr patience"}, unit="epoch", defaults={"nesterov": True}, restart=False),
    System("fairseq", "$fairseq-train | $fairseq-hydra-train | maxupdate lr | lrshrink lr | optimization.lr | "
        "warmupupdates | maxtokens lr | criterion arch task",
        {"": "minlr minlossscale", "times": "", "clip": "clipnorm"}, unit="epoch", defaults={"power": 1.0}),
    System("gluoncv", "lrmode numgpus | lrmode lr | lrdecayepoch numgpus | rectrain",
        {"milestones": "lrdecayepoch lrdecayepochs", "gamma": "lrdecay", "every": "lrdecayperiod",
        "warmup_epochs": "warmupepochs lrwarmupepochs", "warmup_steps": "warmupiters", "warmup_start": "warmuplr"},
        unit="epoch", defaults={"gamma": 0.1}, per_device=True, framework="mxnet"),
    System("gluoncv on torch", "train.lrmilestone | train.lrpolicy train.wdecay",
        {"gamma": "train.step", "device_batch": "train.batchsize", "devices": "gpuworldsize",
        "": "ddpconfig.worldsize"}, unit="epoch", defaults={"gamma": 0.1}, per_device=True),
    System("mindspore", "datasetsinkmode | multistepdecaymilestones | epochsize lrmax | epochsize lrinit | "
        "epochsize lrend | epochsize lrdecaymode | epochsize lossscale | epochsize keepcheckpointmax | "
        "epochsize savecheckpoint | epochsize savecheckpointepochs",
        {"epochs": "epochsize", "lr": "lrmax", "warmup_start": "lrinit"}, unit="epoch"),
    System("torchvision", "lrstepsize lrgamma | lrwarmupepochs | lrwarmupdecay | normweightdecay | lrwarmupmethod | "
        "lrstepsize epochs lr",
        unit="epoch", defaults={"gamma": 0.1, "momentum": 0.9}, per_device=True),
    System("timm", "sched opt | sched decayepochs | sched warmuplr | cooldownepochs | modelema sched | sched epochs "
        "lr",
        {"every": "decayepochs", "milestones": "decaymilestones", "gamma": "decayrate"}, unit="epoch", restart=False,
        per_device=True),
    System("transformers", "perdevicetrainbatchsize | numtrainepochs | lrschedulertype learningrate | savestrategy "
        "learningrate",
        {"fraction": "warmupratio", "policy": "lrschedulertype", "": "lrschedulerkwargs"}, unit="step",
        per_device=True),
    System("tensorflow", "trainconfig.batchsize | momentumoptimizer.momentumoptimizervalue | "
        "manualsteplearningrate.initiallearningrate | cosinedecaylearningrate.learningratebase | "
        "trainconfig.numsteps",
        {"lr": "constantlearningrate.learningrate initiallearningrate learningratebase",
        "": "secondstagebatchsize firststageminibatchsize schedule.learningrate schedule.step",
        "momentum": "momentumoptimizervalue", "every": "exponentialdecaylearningrate.decaysteps",
        "gamma": "exponentialdecaylearningrate.decayfactor", "duration": "cosinedecaylearningrate.totalsteps",
        "steps": "trainconfig.numsteps", "rho": "rmspropoptimizer.decay", "eps": "rmspropoptimizer.epsilon"},
        unit="step", framework="tensorflow"),
    System("openseq2seq", "lrpolicyparams.learningrate | optimizerparams.momentum",
        {"device_batch": "batchsizepergpu", "duration": "lrpolicyparams.decaysteps"}, per_device=True),
    System("classyvision", "paramschedulers.lr.name | paramschedulers.lr.values | optimizer.paramschedulers.lr",
        {"lr": "lr.startvalue lr.value schedulers.startvalue", "final": "lr.endvalue schedulers.endvalue"},
        unit="epoch"),
    System("composer", "maxduration | twarmup | alphaf",
        {"length": "maxduration", "batch": "trainbatchsize globaltrainbatchsize", "final_fraction": "alphaf"}),
    System("keras", "learningrate.classname | config.learningrate classname",
        {"final_fraction": "learningrate.alpha"}, unit="step"),
    System("matlab", "initiallearnrate | learnratedropfactor | learnrateschedule | minibatchsize maxepochs",
        {"weight_decay": "l2regularization"}, unit="epoch"),
    System("lightning", "trainer.maxepochs | trainer.maxsteps | optimizer.classpath",
        {"patience": "lrscheduler.patience"}, unit="epoch"),
)  # fmt: skip
"""The first whose sign is there decides."""

ANY = System("", "")
"""What is said where no system can be told."""
