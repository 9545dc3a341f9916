"""Common wordings in English: every combination of the words in a statement's slots, drawn by test_grids_of_wordings.py."""

from reading.grid import Grid

LASTS = (
    "We train for|Training runs for|The model is trained for|Training lasts|We run|Training takes|"
    "We perform|We train the network for a total of|The network was updated for|"
    "Training was stopped after|Training is terminated after|Training ends after|"
    "Optimization is run for|All models are trained for|Models are trained up to|We stop after|"
    "The maximum number of iterations is|We optimize the network for|Training proceeds for|"
    "The total training length is|The training schedule consists of|We fit the model over|"
    "Our training spans|Training is completed in|Training continues for|Pre-training is conducted for"
)
"""How a length is told, before its number."""

ENGLISH = {
    "the rate is": Grid(
        form="We train with SGD and momentum 0.9. {which} {rate} {is_} {num}.",
        slots={
            "which": "The initial|The base|The starting|The|Our|The default|The global|The overall|An initial",
            "rate": (
                r"learning rate|learning-rate|step size|LR|lr|learning rate (LR)|learning rate $\eta$|"
                "SGD learning rate|learning rate value|learning rate hyperparameter"
            ),
            "is_": (
                "is|was|is set to|was set at|is set as|is fixed at|was fixed to|equals|is equal to|is chosen as|"
                "was chosen to be|is initialized to|is initialised with|is initialized at|is kept at|"
                "was kept constant at|is held constant at|is held at|remains at|starts at|starts from|starts with|"
                "begins at|is taken to be|is selected as|is defined as|is specified as|is configured to be|of|"
                "was tuned to|is maintained at|is assigned|takes the value|is constant,|stays at|is a constant|"
                "has been set to|we use is|used is|used was|has a value of|is always"
            ),
            "num": r"0.02|2e-2|$2\times10^{-2}$|2×10⁻²|2 × 10^{-2}|2E-2|$0.02$|2 \cdot 10^{-2}|2*10^-2|0.020",
        },
        wanted={"sgd.momentum": 0.9, "sgd.lr": 0.02},
        apart=[
            (
                "An initial",
                "used is|starts at|remains at",
            ),
        ],
    ),
    "a rate of": Grid(
        form="We train with SGD and momentum 0.9. {we} {rate} {of} {num}{tail}.",
        slots={
            "we": (
                "We use|We set|We adopt|We employ|We start with|Training uses|Training starts with|We begin with|"
                "We fix|We choose|We keep|We train the model with|All networks are trained using|The optimizer has|"
                "We take|We apply|The network is trained at|We opted for|Starting from|With|We initialize|"
                "Starting with|We rely on|We selected|The models were optimized with|We found it best to use"
            ),
            "rate": (
                "a learning rate|an initial learning rate|a fixed learning rate|a constant learning rate|"
                "a base learning rate|a starting learning rate|a learning-rate|a step size|a small learning rate|"
                "an LR|a default learning rate"
            ),
            "of": "of|equal to|=|set to|with value|fixed at|value of",
            "num": r"0.02|2e-2|$2\times10^{-2}$|0.02",
            "tail": (
                "| throughout training| for all experiments| for all layers| unless otherwise stated|"
                " in all our runs| without any decay"
            ),
        },
        wanted={"sgd.momentum": 0.9, "sgd.lr": 0.02},
    ),
    "set the rate to": Grid(
        form="We train with SGD and momentum 0.9. {we} {rate} {of} {num}.",
        slots={
            "we": (
                "We set|We fix|We initialize|We initialise|We choose|We keep|We hold|One can set|Set|We have set|"
                "We always set|We then set|We simply fix"
            ),
            "rate": (
                "the learning rate|the initial learning rate|the lr|the base learning rate|our learning rate|"
                "the step size|the learning rate η|the learning rate of the optimizer|the learning rate parameter|"
                "the global learning rate"
            ),
            "of": (
                "to|as|at|to be|to be equal to|constant at|equal to|fixed at|to a constant|to a fixed value of|"
                "to a value of|to the value"
            ),
            "num": "0.02|2e-2",
        },
        wanted={"sgd.momentum": 0.9, "sgd.lr": 0.02},
        apart=[
            (
                "We choose",
                "to|constant at",
            ),
            (
                "We keep|We hold",
                "to",
            ),
        ],
    ),
    "lr = 0.02": Grid(
        form="{opt}{sep}{rate}{is_}{num}{rest}",
        slots={
            "opt": "SGD|SGD optimizer|Optimizer: SGD|optimizer=SGD|SGD (Nesterov)|vanilla SGD",
            "sep": ", | with |; | (| / |: ",
            "rate": "lr|LR|learning rate|learning_rate|base_lr|init lr|initial LR|η|lr0|start lr|step size",
            "is_": "=| = |: | | of |≈| := | -> | @ ",
            "num": "0.02|2e-2|.02|2E-02",
            "rest": "|, batch size 64|; momentum 0.9| and 64 images per batch",
        },
        wanted={"sgd.lr": 0.02},
        says=[
            ({"data.batch_size": 64}, ", batch size 64| and 64 images per batch"),
            ({"sgd.momentum": 0.9}, "; momentum 0.9"),
            ({"sgd.nesterov": True}, "SGD (Nesterov)"),
        ],
    ),
    "two parts": Grid(
        form="We train with SGD and momentum 0.9. {rates}.",
        slots={
            "rates": (
                "The learning rate is 0.01 for {b} and 0.1 for {h}|"
                "We use a learning rate of 0.01 for {b} and 0.1 for {h}|"
                "We set the learning rate of {b} to 0.01 and that of {h} to 0.1|"
                "The learning rate of {b} is 0.01, and that of {h} is 0.1|"
                "The learning rates of {b} and {h} are 0.01 and 0.1, respectively|"
                "The learning rate is 0.01; for {h} it is 10 times larger|"
                "The learning rate is 0.01, and {h} uses a 10x larger learning rate|"
                "The learning rate is 0.01, with a ten times higher learning rate for {h}|"
                "The base learning rate is 0.01. The learning rate of {h} is multiplied by 10|"
                "The learning rate is 0.01 for {b}, while {h} is trained with 0.1|"
                "{h} is trained with a learning rate of 0.1 and {b} with a learning rate of 0.01|"
                "Learning rates are 0.01 ({b}) and 0.1 ({h})|"
                "The initial learning rate is set to 0.01 for {b} and 0.1 for {h}|"
                "We train {b} with a learning rate of 0.01 and {h} with a learning rate of 0.1|"
                "For {b} we use a learning rate of 0.01, and for {h} 0.1|"
                "The learning rate is 0.01, except for {h}, where it is 0.1|"
                "Learning rates of 0.01 and 0.1 are used for {b} and {h}, respectively|"
                "The learning rate is set as 0.01 and 0.1 for {b} and {h}, respectively|"
                "The learning rate was 0.01 and it was 10 times larger for {h}"
            ),
            "b": "the backbone|the pretrained backbone|the encoder|the feature extractor",
            "h": "the classifier|the head|the decoder|the classification head",
        },
        wanted={"sgd.momentum": 0.9, "rates": [0.01, 0.1]},
    ),
    "two levels": Grid(
        form="We train with SGD and momentum 0.9. {a}.",
        slots={
            "a": (
                "The {lr} is 0.1 for the first 30 epochs and 0.01 for the remaining 20|"
                "The {lr} is 0.1 for the first 30 epochs and 0.01 for the last 20 epochs|"
                "We use a {lr} of 0.1 for the first 30 epochs and 0.01 for the remaining 20 epochs|"
                "The {lr} is set to 0.1 for the first 30 epochs, then 0.01 for the next 20 epochs|"
                "The {lr} is 0.1 in the first 30 epochs and 0.01 in the following 20 epochs|"
                "We train with a {lr} of 0.1 for 30 epochs, followed by 20 epochs with 0.01|"
                "We train for 30 epochs with a {lr} of 0.1 and for another 20 epochs with a {lr} of 0.01|"
                "We train for 30 epochs at a {lr} of 0.1, then 20 epochs at 0.01|"
                "The {lr} is 0.1 during the first 30 epochs and 0.01 during the remaining 20|"
                "For the first 30 epochs the {lr} is 0.1, and for the remaining 20 epochs it is 0.01|"
                "In the first 30 epochs, the {lr} is 0.1; in the last 20 epochs, it is 0.01|"
                "The {lr} is 0.1 for 30 epochs and 0.01 for 20 epochs|"
                "The {lr} starts at 0.1 for the first 30 epochs and is lowered to 0.01 for the remaining 20|"
                "The {lr} was 0.1 for the first 30 epochs, and then decreased to 0.01 for another 20 epochs|"
                "Training takes 50 epochs with a {lr} of 0.1, lowered to 0.01 after 30 epochs|"
                "The {lr} is 0.1 and is reduced to 0.01 after 30 epochs; training ends after 50 epochs|"
                "The {lr} is initially 0.1, and drops to 0.01 at epoch 30 of 50|"
                "The {lr} is kept at 0.1 for 30 epochs, then dropped to 0.01 for 20 more epochs|"
                "The {lr} is 0.1 for the first 30 epochs, after which it is 0.01 for 20 epochs|"
                "A {lr} of 0.1 was used for the first 30 epochs, and 0.01 for the final 20 epochs|"
                "The {lr} equals 0.1 until epoch 30, and 0.01 until epoch 50|"
                "The {lr} is 0.1 for epochs 1-30 and 0.01 for epochs 31-50|"
                "The {lr} is 0.1 up to epoch 30 and 0.01 from then on; we train for 50 epochs"
            ),
            "lr": "learning rate|lr|step size|LR|initial learning rate",
        },
        wanted={
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [30],
            "train.epochs": 50,
        },
    ),
    "three levels": Grid(
        form="We train with SGD and momentum 0.9. {a}.",
        slots={
            "a": (
                "The {lr} is 0.1, then lowered to 0.01 after 30 epochs and to 0.001 after 45|"
                "The {lr} starts at 0.1 and is reduced to 0.01 at epoch 30 and to 0.001 at epoch 45|"
                "The {lr} is 0.1 for the first 30 epochs, 0.01 for the next 15 epochs and 0.001 for the rest|"
                "The {lr} is 0.1 for 30 epochs, 0.01 for 15 epochs and 0.001 for 15 epochs|"
                "We start with a {lr} of 0.1, change it to 0.01 at epoch 30, and to 0.001 at epoch 45|"
                "We use a {lr} of 0.1 for the first 30 epochs, 0.01 until epoch 45, and 0.001 thereafter|"
                "The {lr} is 0.1 at first, becomes 0.01 at epoch 30, and 0.001 at epoch 45|"
                "The {lr} is 0.1 for epochs 0-30, 0.01 for epochs 30-45 and 0.001 after that|"
                "We use {lr} 0.1 for 30 epochs, then 0.01 for 15 more epochs, and finally 0.001 for 15 epochs|"
                "The {lr} is 0.1 initially and is set to 0.01 and 0.001 at epochs 30 and 45|"
                "The {lr} is set to 0.01 at epoch 30 and to 0.001 at epoch 45, starting from 0.1|"
                "The {lr} is lowered from 0.1 to 0.01 at epoch 30 and to 0.001 at epoch 45|"
                "The {lr} is 0.1; it is changed to 0.01 after epoch 30 and 0.001 after epoch 45"
            ),
            "lr": "learning rate|lr|step size|LR",
        },
        wanted={
            "sgd.lr.schedule": "multistep",
            "sgd.lr.initial": 0.1,
            "sgd.lr.factor": 0.1,
            "sgd.lr.milestones": [30, 45],
        },
        may=["train.epochs"],
    ),
    "poly": Grid(
        form="We train with SGD and momentum 0.9. {a} {b}.",
        slots={
            "a": (
                "The initial learning rate is 0.1 and|We start with a learning rate of 0.1 and|"
                "The learning rate is 0.1;|With a base learning rate of 0.1,"
            ),
            "b": (
                "we use the poly learning rate policy with power 0.9|"
                "it follows the poly policy with a power of 0.9|"
                "the “poly” learning rate policy (power = 0.9) is used|it is decayed polynomially with power 0.9|"
                "polynomial decay with power 0.9 is applied|"
                "it decays according to a polynomial schedule of power 0.9|we adopt poly decay (power 0.9)|"
                r"it is multiplied by $(1-\frac{iter}{max\_iter})^{0.9}$|"
                "it is annealed following the poly strategy with exponent 0.9|"
                "a polynomial learning rate decay with an exponent of 0.9 is employed|"
                "we employ a 'poly' schedule where the power is 0.9|"
                "a poly learning rate scheduler with power set to 0.9 is used|"
                "the learning rate is scheduled by polynomial annealing with power 0.9|"
                "it is scaled by (1 - t/T)^{0.9}|polynomial learning rate decay is used with a power term of 0.9|"
                "it decays polynomially with a decay power of 0.9|the poly rule with 0.9 power is adopted"
            ),
        },
        wanted={"sgd.momentum": 0.9, "sgd.lr.schedule": "polynomial", "sgd.lr.initial": 0.1, "sgd.lr.power": 0.9},
        may=["sgd.lr.final"],
    ),
    "linear": Grid(
        form="We train with SGD and momentum 0.9. {a} {b}{c}.",
        slots={
            "a": (
                "The initial learning rate is 0.1 and|We start with a learning rate of 0.1, which|"
                "The learning rate of 0.1"
            ),
            "b": (
                "is linearly decayed to zero|decays linearly to 0|is decayed linearly to 0|"
                "is annealed linearly to zero|decreases linearly to 0|is linearly annealed down to 0|"
                "is linearly reduced to zero|drops linearly to zero|falls linearly to 0|is linearly decreased to 0|"
                "is reduced to zero linearly|is decayed to zero with a linear schedule|goes linearly to zero|"
                "linearly decays to 0|linearly decreases to zero|is lowered linearly to 0|"
                "is scheduled to decay linearly to zero|is decayed to 0 linearly|is ramped down linearly to zero|"
                "follows a linear decay to zero|is decayed following a linear schedule ending at 0"
            ),
            "c": (
                "| over the course of training| over training| by the end of training| at the end of training|"
                " throughout training"
            ),
        },
        wanted={"sgd.momentum": 0.9, "sgd.lr.schedule": "linear", "sgd.lr.initial": 0.1, "sgd.lr.final": 0.0},
    ),
    "inverse": Grid(
        form="We train with SGD and momentum 0.9. {a} {b}.",
        slots={
            "a": "The initial learning rate is 0.1 and|We use a learning rate of 0.1, and",
            "b": (
                "it is decayed as 0.1 / (1 + 0.001 t), where t is the step|"
                "inverse time decay with gamma 0.001 per step is used|"
                "the learning rate at iteration t is 0.1/(1+0.001t)|it follows lr = 0.1 / (1 + 0.001 * iter)|"
                "the inv policy with gamma 0.001 and power 1 is used|"
                r"it is decayed according to $\eta_t = 0.1/(1+0.001t)$ at step t"
            ),
        },
        wanted={"sgd.momentum": 0.9, "sgd.lr.schedule": "inverse", "sgd.lr.initial": 0.1, "sgd.lr.gamma": 0.001},
        may=["sgd.lr.power"],
    ),
    "onecycle": Grid(
        form="{z}{a}{b}{c}.",
        slots={
            "z": "We train with SGD for 30 epochs ",
            "a": (
                "using the one-cycle policy|with the 1cycle learning rate policy|"
                "and a OneCycle learning rate schedule|with a one cycle learning rate scheduler|with OneCycleLR|"
                "under the 1-cycle schedule|and the one-cycle learning rate schedule of Smith"
            ),
            "b": (
                " with a maximum learning rate of 0.4| with max lr 0.4| (max_lr = 0.4)|"
                " with peak learning rate 0.4|, where the maximum learning rate is 0.4| peaking at 0.4|"
                " with a maximum of 0.4| with a max learning rate of 0.4| and a peak learning rate of 0.4|"
                ", max lr = 0.4| whose maximal learning rate is set to 0.4| up to 0.4| with the upper bound 0.4"
            ),
            "c": "| and pct_start = 0.3",
        },
        wanted={"train.epochs": 30, "sgd.lr.schedule": "onecycle", "sgd.lr.peak": 0.4},
        says=[
            ({"sgd.lr.pct_start": 0.3}, " and pct_start = 0.3"),
        ],
        may=["sgd.lr.duration", "sgd.lr.pct_start"],
    ),
    "hold then linear": Grid(
        form="We train with SGD and momentum 0.9. {a}{b}.",
        slots={
            "a": (
                "The learning rate is 0.1 for the first 30 epochs|"
                "The learning rate is kept at 0.1 for the first 30 epochs|"
                "The learning rate is constant at 0.1 for 30 epochs|"
                "We keep the learning rate fixed at 0.1 for the first 30 epochs|"
                "We use a constant learning rate of 0.1 for 30 epochs|"
                "The learning rate of 0.1 is held constant for the first 30 epochs|"
                "The learning rate is 0.1 and remains constant during the first 30 epochs|"
                "For the first 30 epochs the learning rate is 0.1"
            ),
            "b": (
                " and is then linearly decayed to zero over the next 20 epochs|"
                ", then decays linearly to 0 over the remaining 20 epochs|"
                " and linearly decays to 0 over the following 20 epochs|"
                ", followed by linear decay to zero over 20 epochs|"
                " and then linearly annealed to 0 in the last 20 epochs|"
                ", and then linearly decreases to zero during the next 20 epochs|"
                "; it is linearly reduced to zero in the remaining 20 epochs|"
                ", after which it is linearly decayed to 0 for another 20 epochs|"
                " and linearly decayed to zero for the next 20 epochs|"
                ", followed by a linear decay to zero over the final 20 epochs"
            ),
        },
        wanted={
            "sgd.momentum": 0.9,
            "sgd.lr.schedule": "sequence",
            "sgd.lr.schedules": [0.1, {"schedule": "linear", "initial": 0.1, "final": 0.0, "duration": 20}],
            "sgd.lr.boundaries": [30],
        },
        may=["train.epochs"],
    ),
    "devices": Grid(
        form="We use SGD with a learning rate of 0.1 {a}.",
        slots={
            "a": (
                "and a batch size of 32 per GPU on 8 GPUs|with 32 images per GPU on 8 GPUs|"
                "on 8 GPUs with a batch size of 32 each|on 8 GPUs with 32 images per GPU|"
                "with a per-GPU batch size of 32 and 8 GPUs|with a batch size of 32 on each of 8 GPUs|"
                "with a total batch size of 256 on 8 GPUs (32 per GPU)|on 8 GPUs (32 images per GPU)|"
                "with a total batch size of 256 on 8 GPUs|and a global batch size of 256 across 8 GPUs|"
                "using 8 GPUs, each with a batch of 32 images|using 8 GPUs, with 32 samples on each GPU|"
                "with a mini-batch of 256 images distributed over 8 GPUs|"
                "with a batch size of 256 split across 8 GPUs|"
                "with 8 GPUs and 32 images per GPU, giving a total batch size of 256|"
                "on 8 V100 GPUs with a batch size of 32 per device|on eight GPUs with 32 samples per GPU|"
                "with batches of 256 images (32 images × 8 GPUs)|with a local batch size of 32 on 8 GPUs|"
                "with an effective batch size of 256 (8 GPUs x 32)|and batch size 8×32|"
                "with 8 GPUs; each GPU processes 32 images per iteration|"
                "on 8 GPUs, with each GPU holding 32 images|with an overall batch size of 256, i.e. 32 per GPU|"
                "using 8 workers with 32 examples per worker|with a batch size of 32 per GPU (256 in total)|"
                "on 8 GPUs with 2 GPUs per node and a total batch size of 256"
            ),
        },
        wanted={"sgd.lr": 0.1, "data.batch_size": 256},
    ),
    "accumulation": Grid(
        form="We use SGD with a learning rate of 0.1 and a batch size of 16. {a}.",
        slots={
            "a": (
                "Gradients are accumulated over 4 steps|We accumulate gradients over 4 iterations|"
                "Gradient accumulation of 4 steps is used|We use gradient accumulation with 4 steps|"
                "Gradients are accumulated for 4 mini-batches before each update|"
                "The number of gradient accumulation steps is 4|gradient_accumulation_steps = 4|"
                "We accumulate the gradients of 4 batches|Gradient accumulation (4 steps) is used|"
                "We accumulate gradients 4 times|The gradient accumulation factor is 4|"
                "With gradient accumulation over four mini-batches|We apply gradient accumulation every 4 batches|"
                "Gradients are accumulated across 4 steps|"
                "Weights are updated every 4 batches by accumulating gradients|"
                "We use 4 gradient accumulation steps|4-step gradient accumulation is employed|"
                "Gradient accumulation is set to 4"
            ),
        },
        wanted={"sgd.lr": 0.1, "data.batch_size": 16, "train.accumulate": 4},
    ),
    "momentum and decay": Grid(
        form="{o}{a}{t}.",
        slots={
            "o": "SGD with a learning rate of 0.1 is used. |We optimize with SGD (lr 0.1). ",
            "a": (
                "The momentum and weight decay are set to 0.9 and 5e-4, respectively|"
                "Momentum and weight decay are 0.9 and 0.0005|We set momentum and weight decay to 0.9 and 5e-4|"
                "The values of momentum and weight decay are 0.9 and 5e-4, respectively|"
                "0.9 and 5e-4 are used as momentum and weight decay|"
                "A momentum of 0.9 and weight decay of 5e-4 are used|"
                "Weight decay and momentum are set to 5e-4 and 0.9, respectively|"
                "The weight decay is 5e-4 and the momentum 0.9|Momentum is set to 0.9, weight decay to 5e-4|"
                "We use 0.9 momentum and 5e-4 weight decay|We use 0.9 for momentum and 5e-4 for weight decay|"
                "The momentum (weight decay) is set to 0.9 (5e-4)|"
                "The momentum parameter is 0.9 and the weight decay parameter is 5e-4|"
                "momentum/weight decay are 0.9/5e-4|The momentum was 0.9, and 5e-4 was the weight decay|"
                "The weight decay is fixed to 5e-4 with a momentum of 0.9|with momentum = 0.9 and wd = 5e-4|"
                "We choose a momentum of 0.9 together with an L2 penalty of 5e-4|"
                "The L2 regularization strength is 5e-4, and momentum is 0.9|"
                "Both momentum (0.9) and weight decay (5e-4) are applied|The momentum, weight decay are 0.9, 5e-4|"
                "Weight decay with coefficient 5e-4 and momentum with coefficient 0.9 are used|"
                "Momentum 0.9 is used along with a weight decay of 0.05%|"
                "We regularize with L2 weight decay of 5e-4 and accelerate with momentum 0.9|"
                "The momentum coefficient and the weight decay rate were 0.9 and 5e-4"
            ),
            "t": (
                "|. Dropout is 0.5|. We apply dropout with p = 0.5 before the last layer|"
                ", and dropout is set to 0.5|, with a dropout rate of 0.5|. The dropout probability is 0.3|"
                ". Label smoothing of 0.1 is used"
            ),
        },
        wanted={"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
        says=[
            ({"train.label_smoothing": 0.1}, ". Label smoothing of 0.1 is used"),
        ],
    ),
    "three respectively": Grid(
        form="We use SGD. {a}.",
        slots={
            "a": (
                "The learning rate, momentum and weight decay are set to 0.1, 0.9 and 5e-4, respectively|"
                "The learning rate, momentum, and weight decay are 0.1, 0.9, and 5e-4|"
                "The initial learning rate, momentum and weight decay are 0.1, 0.9 and 0.0005 respectively|"
                "We set the learning rate, momentum and weight decay to 0.1, 0.9 and 5e-4|"
                "The momentum, weight decay and learning rate are respectively set to 0.9, 5e-4 and 0.1|"
                "Learning rate, momentum and weight decay were respectively 0.1, 0.9 and 5e-4|"
                "The hyperparameters (learning rate, momentum, weight decay) are (0.1, 0.9, 5e-4)|"
                "Learning rate / momentum / weight decay: 0.1 / 0.9 / 5e-4|"
                "0.1, 0.9 and 5e-4 are used for the learning rate, momentum and weight decay|"
                "The learning rate is 0.1, momentum is 0.9, weight decay is 5e-4|"
                "We use a learning rate, momentum and weight decay of 0.1, 0.9 and 5e-4|"
                "The learning rate, the momentum and the weight decay equal 0.1, 0.9 and 5e-4, respectively"
            ),
        },
        wanted={"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.weight_decay": 0.0005},
    ),
    "nesterov": Grid(
        form="{a}, and the learning rate is 0.1.",
        slots={
            "a": (
                "We use SGD with Nesterov momentum of 0.9|We use Nesterov SGD with momentum 0.9|"
                "SGD with Nesterov accelerated gradient and momentum 0.9 is used|"
                "We use SGD with momentum 0.9 and Nesterov acceleration|"
                "We train by Nesterov's accelerated gradient with momentum 0.9|"
                "We use SGD with a Nesterov momentum set to 0.9|We use SGD (momentum = 0.9, nesterov = True)|"
                "The optimizer is SGD with momentum 0.9 (Nesterov)|We use SGD with Nesterov's momentum (0.9)|"
                "We use NAG with momentum 0.9|We use SGD with 0.9 Nesterov momentum|"
                "We use stochastic gradient descent with Nesterov momentum 0.9|"
                "Our optimizer is SGD with momentum 0.9 in the Nesterov form|"
                "We use SGD with momentum 0.9, with Nesterov enabled|We use SGD with momentum 0.9 using Nesterov|"
                "We use SGD with a momentum of 0.9 and Nesterov turned on|"
                "We use mini-batch SGD with Nesterov momentum (μ = 0.9)|"
                "We use SGD with Nesterov-type momentum of 0.9|"
                "We use SGD with Nesterov updates and a momentum of 0.9|"
                "The optimizer is Nesterov momentum SGD with a momentum coefficient of 0.9"
            ),
        },
        wanted={"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.nesterov": True},
    ),
    "dampening": Grid(
        form="We use SGD with learning rate 0.1, {a}.",
        slots={
            "a": (
                "momentum 0.9 and dampening 0.2|momentum 0.9 and a dampening of 0.2|"
                "a momentum of 0.9 with dampening set to 0.2|momentum 0.9, dampening = 0.2|"
                "a momentum of 0.9 and a dampening factor of 0.2|"
                "momentum and dampening of 0.9 and 0.2, respectively|momentum 0.9 with 0.2 dampening|"
                "momentum of 0.9 (dampening 0.2)|momentum coefficient 0.9, dampening coefficient 0.2"
            ),
        },
        wanted={"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.dampening": 0.2},
    ),
    "largest norm": Grid(
        form="We use SGD with a learning rate of 0.1. {a}{b}.",
        slots={
            "a": (
                "Gradients are clipped to a maximum norm of 5|Gradients are clipped at a norm of 5|"
                "Gradient clipping with a threshold of 5 is used|We clip gradients to norm 5|"
                "We clip the gradient norm to 5|We clip the gradient norm at 5|The gradient norm is clipped to 5|"
                "The norm of the gradient is clipped to 5|Gradient norms are clipped at 5|"
                "We apply gradient clipping at 5|Gradient clipping is set to 5|"
                "Gradients are clipped with max norm 5|We use gradient clipping with a max norm of 5|"
                "Gradient clipping of 5|Gradients are rescaled if their norm exceeds 5|"
                "Gradients are scaled down whenever their norm exceeds 5|"
                "We clip gradients when their norm exceeds 5|The global gradient norm is limited to 5|"
                "The maximum gradient norm is 5|max_grad_norm = 5|Gradient norm clipping of 5 is applied|"
                "Gradient clipping (norm 5)|The gradient's L2 norm is clipped to 5|"
                "Gradients are clipped so that their norm is at most 5|"
                "The gradients are normalized to a norm of at most 5|"
                "The gradient is clipped by global norm with threshold 5|"
                "We constrain the norm of the gradients to be at most 5|"
                "We clip gradients by norm with a value of 5|The gradient clipping threshold is 5|"
                "A gradient clipping norm of 5 is used|Global norm gradient clipping with 5|"
                "We rescale the gradient to have norm 5 whenever its norm exceeds 5|"
                "A hard constraint on the gradient norm of 5 is enforced|"
                "Gradient L2-norm is constrained to be no more than 5"
            ),
            "b": "|, and dropout of 0.5 is used|. Weights are initialized uniformly in [-0.1, 0.1]",
        },
        wanted={"sgd.lr": 0.1, "train.clip_norm": 5},
    ),
    "clipped by value": Grid(
        form="We use SGD with a learning rate of 0.1. {a}.",
        slots={
            "a": (
                "Gradients are clipped to [-5, 5]|Gradient values are clipped to the range [-5, 5]|"
                "We clip gradients by value at 5|Each gradient component is clipped to ±5|"
                "Gradients are clipped element-wise to 5|We use gradient value clipping with 5|"
                "Gradients are clipped elementwise between -5 and 5"
            ),
        },
        wanted={"sgd.lr": 0.1},
    ),
    "label smoothing": Grid(
        form="We use SGD with a learning rate of 0.1. {a}.",
        slots={
            "a": (
                "Label smoothing of 0.2 is used|We use label smoothing with ε = 0.2|We apply label smoothing (0.2)|"
                "Label smoothing is set to 0.2|The label smoothing factor is 0.2|"
                "We use a label smoothing of 0.2 and dropout of 0.5|"
                "Label-smoothing with a coefficient of 0.2 is applied|Labels are smoothed by 0.2|"
                "Labels are smoothed with a factor of 0.2|Cross-entropy with label smoothing 0.2 is the loss|"
                "We smooth the labels with ε = 0.2|Label smoothing regularization with parameter 0.2|"
                "We use 0.2 label smoothing|Label smoothing with a smoothing parameter of 0.2 is used|"
                "Label smoothing is applied with a value of 0.2|smoothing labels with weight 0.2|"
                "The label-smoothing parameter is chosen as 0.2"
            ),
        },
        wanted={"sgd.lr": 0.1, "train.label_smoothing": 0.2},
    ),
    "average": Grid(
        form="We use SGD with a learning rate of 0.1 and momentum 0.9. {a}.",
        slots={
            "a": (
                "We keep an exponential moving average of the weights with decay 0.999|"
                "An EMA of the model weights with a decay of 0.999 is used|"
                "EMA with decay 0.999 is applied to the weights|We use EMA (decay 0.999)|"
                "An exponential moving average of model parameters is maintained with a decay rate of 0.999|"
                "We maintain an exponential moving average with a rate of 0.999|The EMA decay is 0.999|"
                "The EMA decay rate is set to 0.999|"
                "We evaluate an exponential moving average (0.999) of the weights|Model EMA of 0.999 is used|"
                "We use exponential moving averaging of weights with decay factor 0.999|"
                "Weights are averaged by EMA with momentum 0.999|"
                "The parameters are averaged exponentially with decay 0.999|EMA: 0.999|"
                "We use weight EMA with coefficient 0.999|An EMA of weights is kept (decay = 0.999)"
            ),
        },
        wanted={"sgd.lr": 0.1, "sgd.momentum": 0.9, "train.ema": 0.999},
    ),
    "decay per epoch, by a verb": Grid(
        form="We train with SGD and momentum 0.9. {a} {b}.",
        slots={
            "a": (
                "The learning rate of 0.1 is|The initial learning rate is 0.1 and is|"
                "The learning rate starts at 0.1 and is"
            ),
            "b": (
                "decayed by 0.95 per epoch|multiplied by 0.95 after each epoch|multiplied by 0.95 every epoch|"
                "decayed exponentially with a rate of 0.95 per epoch|exponentially decayed by 0.95 every epoch|"
                "decayed with a decay rate of 0.95 per epoch|decayed by a factor of 0.95 each epoch|"
                "reduced by 5% every epoch|annealed by 0.95 at each epoch|decayed by 0.95 at the end of each epoch|"
                "decayed by 0.95x per epoch|decreased by a factor of 0.95 after every epoch|"
                "decayed at a rate of 0.95 per epoch|subject to an exponential decay of 0.95 per epoch|"
                "scaled by 0.95 after every epoch|decayed exponentially by 0.95 every epoch|"
                "lowered by 5% per epoch|decayed using ExponentialLR with gamma = 0.95 per epoch|"
                "decayed by 0.95 once per epoch|decayed by a multiplicative factor of 0.95 per epoch"
            ),
        },
        wanted={
            "sgd.momentum": 0.9,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.rate": 0.95,
            "sgd.lr.every": 1,
            "sgd.lr.unit": "epoch",
        },
    ),
    "decay per epoch, by a noun": Grid(
        form="We train with SGD and momentum 0.9. {a} {b}.",
        slots={
            "a": "The learning rate is 0.1,",
            "b": (
                "and an exponential decay rate of 0.95 per epoch|"
                "and an exponential decay with factor 0.95 per epoch|with exponential decay (0.95 per epoch)|"
                "with a decay of 0.95 per epoch|with a decay factor of 0.95 every epoch|"
                "and a learning rate decay of 0.95 per epoch|which is multiplied by 0.95 per epoch|"
                "which decays by 0.95 every epoch|which decays exponentially with a decay rate of 0.95 per epoch|"
                "and decay it by 0.95 every epoch"
            ),
        },
        wanted={
            "sgd.momentum": 0.9,
            "sgd.lr.schedule": "exponential",
            "sgd.lr.initial": 0.1,
            "sgd.lr.rate": 0.95,
            "sgd.lr.every": 1,
            "sgd.lr.unit": "epoch",
        },
    ),
    "length in steps": Grid(
        form="We use SGD with a learning rate of 0.1{c}. {a} {n} {u}{d}.",
        slots={
            "c": "| and a batch size of 64",
            "a": LASTS,
            "n": r"90k|90,000|90K|90000|9 × 10^4|$9\times10^4$|0.5M",
            "u": (
                "iterations|steps|updates|training steps|gradient steps|iters|parameter updates|optimizer steps|"
                "mini-batches|gradient updates|SGD steps|weight updates|SGD iterations"
            ),
            "d": "| in total| on one GPU|, which takes 12 hours",
        },
        wanted={"sgd.lr": 0.1},
        says=[
            ({"data.batch_size": 64}, " and a batch size of 64"),
            ({"train.steps": 90000}, r"90k|90,000|90K|90000|9 × 10^4|$9\times10^4$"),
            ({"train.steps": 500000}, "0.5M"),
        ],
    ),
    "length in epochs": Grid(
        form="We use SGD with a learning rate of 0.1{c}. {a} {n} {u}{d}.",
        slots={
            "c": "| and a batch size of 64",
            "a": LASTS,
            "n": "90|ninety",
            "u": "epochs|training epochs|full epochs|epochs in total",
            "d": "| on one GPU|, which takes 12 hours",
        },
        wanted={"sgd.lr": 0.1, "train.epochs": 90},
        says=[
            ({"data.batch_size": 64}, " and a batch size of 64"),
        ],
    ),
    "a period": Grid(
        drawn=25,
        form="SGD, learning rate 0.2. {a}{b}",
        slots={
            "a": "The learning rate is |The learning rate was |Learning rate |LR is |The step size is |It is ",
            "b": (
                "decayed by 0.3 every 10 epochs|multiplied by 0.3 every 10 epochs|reduced to 30% every 10 epochs|"
                "dropped by a factor of 0.3 after every 10 epochs|scaled by 0.3 every ten epochs|"
                "decreased every 10 epochs by a factor of 0.3|lowered every 10 epochs by multiplying it by 0.3|"
                "adjusted every 10 epochs with a decay factor of 0.3|updated every 10 epochs with gamma = 0.3|"
                "shrunk by 0.3x every 10 epochs|cut to 0.3 of its value every 10 epochs|"
                "decayed at a rate of 0.3 every 10 epochs|step-decayed every 10 epochs (factor 0.3)|"
                "decayed stepwise by 0.3 with a step size of 10 epochs|multiplied with 0.3 once every 10 epochs|"
                "decayed by 0.3 at intervals of 10 epochs|decayed by 0.3 for every 10 epochs"
            ),
        },
        wanted={"sgd.lr.every": 10, "sgd.lr.rate": 0.3, "sgd.lr.initial": 0.2},
        may=["sgd.lr.schedule"],
    ),
    "an end": Grid(
        drawn=25,
        form="SGD, learning rate 0.2. {a}{b}",
        slots={
            "a": (
                "We use a cosine learning rate schedule|The learning rate follows a cosine decay|"
                "Cosine annealing is used|A cosine annealing scheduler is applied|With cosine decay"
            ),
            "b": (
                " to 0.0001| with a minimum learning rate of 0.0001| down to a final learning rate of 0.0001|"
                ", gradually reducing the learning rate to 0.0001|, decaying to 0.0001 at the end of training|"
                ", reaching 0.0001 at the end|, ending at 0.0001| (min lr 0.0001)| with eta_min = 0.0001|"
                ", lowering the rate back to 0.0001| whose floor is 0.0001|, with 0.0001 as the minimum|"
                " until it reaches 0.0001|, which decreases the learning rate to 0.0001|, annealing it to 0.0001|"
                ", with an end learning rate of 0.0001|, which brings the rate down to 0.0001"
            ),
        },
        wanted={"sgd.lr.schedule": "cosine", "sgd.lr.final": 0.0001, "sgd.lr.initial": 0.2},
    ),
    "a rise": Grid(
        drawn=25,
        form="SGD, learning rate 0.2. {a}{b}",
        slots={
            "a": (
                "We use linear warmup|We warm up the learning rate|The learning rate is warmed up|"
                "We employ a warm-up phase|A warmup is applied|The learning rate is linearly increased|"
                "We gradually increase the learning rate"
            ),
            "b": (
                " for the first 5 epochs.| over the first 5 epochs.| during the first five epochs.|"
                " in the first 5 epochs.| for 5 epochs.| over 5 epochs.| within the initial 5 epochs.|"
                " across the first 5 epochs.| throughout the first 5 epochs.|"
                " at the start of training for 5 epochs."
            ),
        },
        wanted={"sgd.lr.schedule": "warmup", "sgd.lr.duration": 5, "sgd.lr.unit": "epoch"},
        may=["sgd.lr.then", "sgd.lr.then.final", "sgd.lr.then.initial", "sgd.lr.then.schedule"],
    ),
    "a wait": Grid(
        drawn=25,
        form="SGD, learning rate 0.2. {a}{b}{c}",
        slots={
            "a": "The learning rate is halved |We halve the learning rate |The learning rate is multiplied by 0.5 ",
            "b": (
                "if the validation loss does not improve for 5 epochs|after 5 epochs without improvement|"
                "when the validation loss has not decreased for 5 epochs|on plateau with patience 5|"
                "following five consecutive epochs with no performance gains|"
                "when no improvement was seen for 5 epochs|"
                "if the validation error fails to decrease for 5 epochs in a row|"
                "if the dev loss did not drop within 5 epochs|once the validation loss has stagnated for 5 epochs|"
                "upon a plateau of the validation loss lasting 5 epochs|"
                "whenever the validation loss stops improving for 5 epochs"
            ),
            "c": ".|, and training is stopped after 20 epochs without improvement.",
        },
        wanted={"train.plateau.factor": 0.5, "train.plateau.patience": 5},
        may=["sgd.lr", "train.plateau.metric"],
    ),
}
