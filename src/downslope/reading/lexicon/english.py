"""The English words that the reader knows, by kind and key. Data only: what they do is the grammar's.

A phrase's words may be joined by a space, a hyphen or an underscore; a plural s needs no entry of its own.
"""

ENGLISH = {
    "concept": {
        "lr": "lrate|learn rate|initial rate|starting rate|learning rate|learning rates|lr|step size|stepsize|base lr|learningrate|eta|η|learning rates per mb|learningratespermb|"
        "learningratespersample",
        "momentum": "momentum|momentum coefficient|momentum term|momentum parameter|momentum value|momentum factor|"
        "momentum constant|momentumpermb|heavy ball|classical momentum|m|mom|μ|momentum rate|mu",
        "nesterov": "nesterov|nag|nesterov accelerated gradient|nesterov's accelerated gradient|accelerated gradient|"
        "nesterov's|nesterov's method|nesterov's accelerated gradient method|nesterov acceleration|use nesterov",
        "weight_decay": "wdecay|weights are decayed by|weights were decayed by|weights decayed by|decay the weights by|"
        "weight decay|wd|weightdecay|weight decay factor|weight decay rate|weight decay coefficient|"
        "weight decay parameter|weight decay strength|decay of the weights|weight decaying|decoupled weight decay|λ|lambda|"
        "weight attenuation|weight attenuation coefficient|weight decay term|weight decay constant|weight decay hyperparameter",
        "l2": "l2|l2 penalty|l2 regularization|l2 regularisation|l2 regularizer|l2 weight decay|l2 penalty multiplier|"
        "l2 norm penalty|l2 norm regularization|l2 norm regularizer|l2 regularization coefficient|weight regularization|l2 loss|ridge penalty|weight penalty|"
        "l2 weight regularization|ℓ2|ℓ2 regularization|ℓ2 penalty|squared l2 norm",
        "batch": "batch size|bach size|bacth size|bath size|batch szie|batch zise|minibatches|mini batches|batchsize|mini batch size|minibatch size|minibatch|mini batch|batch|bs|total batch size|"
        "batches of size|minibatches of size|mini batches of size|batches held|batches hold|batches contain|batches have|global batch size|effective batch size|effective mini batch size|effective minibatch size|total minibatch size|total mini batch size|global minibatch size|overall batch size|effective batch|imgs per batch|batch sizes|examples per batch",
        "clip": "clip|clipped|clipping|gradient clipping|gradient norm clipping|clip norm|norm constraint|rescale|"
        "renormalize|renormalise|gradient norm threshold|clipping threshold|max grad norm|clipnorm|rescaled|"
        "norm clipping|max norm of the gradient|hard constraint on the norm|rescaling|gradient clip|gradient clip norm|"
        "maximum gradient norm|max gradient norm",
        "dampening": "dampening|damping",
        "trust": "trust coefficient|trust ratio coefficient|trust coeff|lars coefficient|lars trust coefficient",
        "agc": "adaptive gradient clipping|agc|adaptive clipping|adaptive gradient clip|adaptive gradient clipping factor|agc clip factor|clip factor",
        "nu": "nu|ν|immediate discount factor|immediate discount",
        "ema": "exponential moving average|exponential moving constant|exponential moving|moving constant|moving average|ema|polyak averaging|moving averages|polyak average|"
        "averaged exponentially|exponentially averaged|exponential averaging|exponential moving averaging|moving averaging|"
        "weight averaging|running average|averaging of the weights|exponential moving averages",
        "eps": "epsilon|eps|ε",
        "beta1": "beta1|β1|first momentum|first momentum coefficient|first momentum parameter|first momentum term",
        "beta2": "beta2|β2|second momentum|second momentum coefficient|second momentum parameter|second momentum term",
        "betas": "betas",
        "rho": "rho|ρ",
        "power": "power|exponent|decay power|power term|decay exponent",
        "gamma": "gamma|γ",
        "patience": "patience",
        "warmup": "warmup|warm up|warms|warming up|warmed up|warms up|warmed|warm it up|warm the learning rate|warm the learning rate up|warmup period|warm up period|warmup phase|ramp up|"
        "ramped up|gradual warmup|linear warmup|warmup steps|warmup epochs|warmup iterations|warmup step|warmup epoch|warmup iters|warmup iter|ramping up|ramps up|"
        "ramped|linear warm up|burn in|ramp|ramps|warmup length|learning rate warmup",
        "lr_decay": "learning rate decay|lr decay|decay factor|decay rate|annealing factor|annealing rate|"
        "learning rate decay factor|learning rate decay rate|lr decay rate|lr decay factor|learning rate drop|"
        "exponential decay rate|decay coefficient|reduction factor|rate of decay|drop factor",
        "lr_every": "lr period|epochs drop|epoch drop|decay steps|num epochs per decay|decay period|decay interval|decay every",
        "epochs_total": "number of epochs|total epoch|maximum epoch|max epochs|maximum epochs|num epochs|total epochs|maximum number of epochs|"
        "total number of epochs|training epochs|number of training epochs|epoch number|max epoch|"
        "total number of training epochs",
        "steps_total": "max batches|number of iterations|max iterations|maximum iterations|num steps|total steps|max iter|max steps|"
        "iteration number|maximum number of iterations|total number of iterations|total iterations|training steps|"
        "number of training steps|number of steps|number of updates|training iterations|maximum iteration|"
        "total number of steps|total number of training steps|number of training iterations|total number of updates|"
        "maximum iteration number|maximum training iteration|maximum training step",
        "other": "dropout|dropout rate|dropout probability|drop path|droppath|label smoothing|temperature|"
        "stochastic depth|drop probability|keep probability|batch norm momentum|batch normalization momentum|"
        "bn momentum|batch norm decay|batchnorm momentum|bn decay|batch norm epsilon|standard deviation|std|variance|"
        "crop size|resolution|image size|input size|weight initialization|top 1|top 5|"
        "bleu|threshold of|depth|width|growth rate|embedding|hidden size|vocabulary|beam size|scale factor|scaling factor|scaling coefficient|"
        "aspect ratio|iou|random seed|seed|sigma|gaussian|uniform|drop rate|cardinality|momentum encoder|"
        "momentum batch normalization|moving average decay for batch|probability|hidden units|number of layers|kernel size|"
        "stride|padding|test error|training error|loss weight|dropout of|queue|"
        "negative slope|slope|margin|interval for evaluation|"
        "discount factor|discount rate|focal loss|confidence threshold|loss coefficient|mixup alpha|cutmix alpha|poly power",
        "teacher": "target critic|target actor|target networks|target model|target network|teacher|teacher network|key encoder|target encoder|mean teacher|momentum teacher",
    },
    "reference": {
        "reference": "figure|table|section|equation|eq|fig|sec|appendix|version|figs|eqs|chapter|algorithm|alg"
    },
    "optimizer": {
        "sgd": "sgd|stochastic gradient descent|momentum sgd|msgd|sgdm|minibatch gradient descent|"
        "mini batch gradient descent|gradient descent|momentumoptimizer|stochastic gradient descent method|vanilla sgd|"
        "plain sgd|momentum optimizer|gradientdescentoptimizer|heavy ball method",
        "sgdw": "sgdw",
        "qhm": "qhm|quasi hyperbolic momentum|quasihyperbolic momentum|quasi hyperbolic momentum sgd",
        "rmsprop": "rmsprop|rmspropoptimizer|rmspropop timizer|rms prop",
        "adam": "adam|adamoptimizer|adam sgd|adam updates|adam gradient descent|adam stochastic gradient descent",
        "adamw": "adamw",
        "nadam": "nadam",
        "radam": "radam",
        "lars": "lars",
        "larc": "larc|layer wise adaptive rate clipping|layerwise adaptive rate clipping",
        "lamb": "lamb",
        "lion": "lion",
        "adagrad": "adagrad",
        "adadelta": "adadelta",
        "adafactor": "adafactor",
        "adamax": "adamax",
        "asgd": "asgd|nt asgd|averaged sgd",
        "lbfgs": "l bfgs|lbfgs",
        "muon": "muon",
        "shampoo": "shampoo",
    },
    "schedule": {
        "cosine": "cosine|cosine anneal|cosine annealing|cosine decay|cosine schedule|cosine learning rate|cosine learning rate decay|"
        "half cosine|cosine learning rate schedule|cosine decay schedule|cosine function|half period cosine|"
        "cosine decay learning rate schedule|cosine lr|cosine annealing schedule|cosine curve|cosine shape|"
        "cosine learning rate decay schedule|cosinelr|coslr|cosineannealinglr|cosineannealing|cosine lr schedule|cosine decay learning rate",
        "exponential": "exponential decay|exponential|exponentially|exponential schedule|exponential rate|"
        "exponential learning rate decay|exponential rate of|exponentially decaying|exponentially decayed",
        "linear": "linear decay|linearly|linear|linear schedule|linear decay schedule|linear learning rate decay|"
        "linear learning rate schedule|linear annealing|linearly decaying|linear decay learning rate|straight line|"
        "linear decay learning rate policy",
        "polynomial": "polynomially|polylr|polynomiallr|poly|polynomial|polynomial decay|poly policy|poly learning rate policy|poly schedule|"
        "polynomial learning rate|poly learning rate|polynomial learning rate decay|polynomial schedule",
        "multistep": "lr steps|learning rate steps|multisteplr|steplr|step decay|step schedule|step policy|multistep|multi step|stepwise|step wise|piecewise constant|"
        "piecewise constant schedule|step learning rate decay|stepwise learning rate decay|step wise learning rate decay|multi step learning rate decay|step learning rate|staircase|step wise decay|step learning rate schedule",
        "constant": "constant|fixed|kept constant|held constant|kept fixed",
        "inverse": "inverse time decay|inverse time|1 t decay|inverse decay|inv policy",
        "inverse_sqrt": "inverse square root|inverse sqrt|noam",
        "onecycle": "onecyclelr|one cycle|the one cycle|onecycle|1cycle|super convergence|one cycle policy",
        "cyclic": "sgdr|cyclical learning rate|cyclic learning rate|clr|warm restarts|cosine annealing with warm restarts|"
        "cyclical|triangular",
        "piecewise": "piecewise linear|lr piecewise|piecewise",
    },
    "verb": {
        "divide": "divide|divided|dividing|divides",
        "multiply": "multiply|multiplied|multiplying|multiplies|scale|scaled|scaling|scales",
        "reduce": "reduce|reduced|reducing|reduces|decrease|decreased|decreasing|decreases|drop|dropped|dropping|drops|"
        "lower|lowered|lowering|lowers|scale down|scaled down|scales down|scaling down|decayed|decaying|decays|anneal|annealed|annealing|anneals|shrink|shrunk|"
        "reduction|cut|cuts|decimated|lr drop|stepped down|falls|decline|declines|declined|brought down|goes down|fell|slash|slashed|trim|trimmed|taper|tapers|tapered|diminish|diminishes|diminished|went down|stepping down|ramped down|ramps down|ramping down|ramp down",
        "increase": "increase|increased|increases|increasing|raise|raised|grows|grow|grown|growing|rises|rise|risen|climbs|climb|"
        "doubled|doubling",
        "halve": "halve|halved|halving|halves|cut in half",
        "decimate": "decimate",
        "pretrain": "pretrain|pre train|pretrained|pre trained",
        "train": "train|trained|trains|run for|runs for|fine tune|fine tuned|train them for|"
        "optimize for|optimized for|finetune|finetuned|fine tuning|"
        "training lasts|lasts|training takes|run",
    },
    "others": {
        "authors": "et al|the authors|original authors",
        "contrast": "in contrast|by contrast|in comparison|by comparison|for comparison",
        "source": "the baseline|the baselines|baseline models|the original implementation|the original paper|their paper|prior work|previous work|previous works|prior works",
    },
    "end": {
        "end": "terminate|terminates|terminated|terminating|stop|stops|stopped|stopping|end at|ends at|ended at|ends after|ended after|"
        "training ends|end training|is complete|is completed|completes|ended|finish|finished|finishes|concludes|halt|halted",
        "early": "early stopping|early stop|stops early|stopped early|stop early|early stopped|terminated early",
    },
    "is": {
        "is": "is|was|are|were|of|equal to|equals|set to|is set to|was set to|set as|be|being|initialized to|"
        "initialised to|initialized at|initialised at|initialized with|initialized as|initialised as|"
        "initialised with|set at|fixed at|fixed to|chosen as|starts at|start at|starting at|starts with|start with|"
        "started with|starting with|starts from|start from|starting from|begins at|begin at|began with|begin with|"
        "begins with|beginning with|are set to|value of|is initialized to|defaults to|contain|contains|containing|"
        "consists of|consist of|consisting of|kept at|held at|we start with|set the|equal|started at|"
        "exceeds|exceed|exceeded|goes above|is above|exceeding|greater than|larger than|above|at most|at a value of|begins from|set equal to|"
        "set|peaks at|peaking at|initially set to|values of|sized|uses|using|with a value of|use|started from"
    },
    "mod": {
        "initial": "initial|initial value|initially|starting|start|starts|starting value|begin|begins|began|started|initialized|"
        "initialised|start off",
        "base": "base|baseline|reference",
        "peak": "peak|maximum|max|maximal|highest",
        "final": "final|minimum|min|floor|lower bound|lower limit|finally|end|ends|ending|eventual|eventually|lowest",
        "total": "total|totally|in total|altogether|overall|total budget|budget|up to|maximum of|complete",
    },
    "by": {
        "by": "by|by a factor of|by factor of|by a factor|by a multiplicative factor of|by multiplying by",
        "factor": "factor|factor of|a factor of|rate of|rate|using a rate of|ratio of|multiplicative factor of",
    },
    "magnitude": {"10": "order of magnitude|orders of magnitude|tenfold|ten fold|10 fold"},
    "to": {
        "to": "to|down to|until it reaches|until it reached|until it is|until it was|until reaching a value of|to reach|until it falls below|until it is below|reaching|to a value of|"
        "until reaching|to a minimum of|to a floor of|to a minimum value of|until it becomes|to a final value of|falls below|changed to|changes to|change to|"
        "change it to|becomes|become|switched to|switches to|switch to|switch it to|change the learning rate to"
    },
    "from": {"from": "from"},
    "of_it": {
        "of_it": "of its|of the|of the previous|of the initial|of its value|of its initial value|of the original|"
        "of its previous value|of its current value|of the current|of its original value|of the initial value|"
        "of the previous value|of the original value|the previous value"
    },
    "at": {
        "in": "in|in the",
        "at": "at|at the|on the|once at|@|and again at|again at|both at|at both|at the beginning of|at the beginning of the|at the start of|at the start of the|milestone|with milestone|at milestone|milestone of|milestone at|reaches|"
        "every time training reaches|when training reaches|once training reaches",
    },
    "after": {"after": "after|following|after each of the|after each of|after another|past"},
    "each": {
        "every": "every|each|per|after each|after every|at every|at each|at the end of each|at the end of every|"
        "once every|once per|at intervals of|at an interval of|with an interval of|in intervals of|each of|for every|for each|for another every|after every other|at the beginning of each"
    },
    "other": {"other": "other"},
    "for": {
        "for": "for|over|during|within|in the course of|across|throughout|lasting|for a total of|for about|over the course of|"
        "for up to|for around|for approximately|for at most|over a period of|for only|of which|duration|length|"
        "for a duration of|for a maximum of|lasts for|lasted|lasted for|lasting for|which lasts|that lasts",
        "first": "first|for the first|in the first|over the first|during the first|the beginning|at the beginning|for the beginning|"
        "for the initial|in the initial|within the first",
        "next": "next|for the next|then|the remaining|remaining|for the remaining|another|last|for the last|afterwards|thereafter|after that|from then on|after which|"
        "and then|over the remaining|the rest|for another|for the following|over the following|during the following|in the following|for the subsequent|"
        "over the subsequent|during the subsequent|during the remaining|in the remaining|during the next|in the next|over the next|over the final|"
        "in the final|for the final|during the final|the last|the next|additional|subsequent",
        "until": "until|till|up until",
    },
    "when": {
        "plateau": "no performance gains|no performance gain|no gains|no gain|no performance improvement|without gains|without performance gains|"
        "not lead to a new minimum|not lead to a new best|not reach a new minimum|not reach a new best|no new minimum|no new best|"
        "plateau|plateaus|plateaued|plateauing|plateaued out|stops improving|stopped improving|stop improving|"
        "does not improve|did not improve|no longer improves|no improvement|stagnates|stagnated|saturates|saturated|"
        "stops decreasing|stopped decreasing|stops increasing|not improve|not improved|no longer decreases|"
        "fails to improve|stop decreasing|levels off|stopped dropping|ceases to improve|doesn't improve|"
        "didn't improve|not decreased|not decrease|stalls|stall|flattens|has not improved|failed to improve|"
        "stopped increasing|stops to improve|reduce on plateau|reduceonplateau|reducelronplateau|reduce lr on plateau|upon plateau|plateau schedule|bottoms out|"
        "stopped changing|increases on the validation set|no progress|without progress|without any progress|no decrease|without improvement|without any improvement|"
        "without an improvement|no significant improvement|no further improvement|without further improvement|not fallen|not dropped|"
        "not gone down|not go down|doesn't go down|stops going down|not get better|not getting better|"
        "stops falling|stops dropping|ceases to decrease|not drop|not fall|not increased|not increase|not reduced",
        "metric_loss": "loss|perplexity|cross entropy|validation loss|nll|objective|cost|log likelihood",
        "metric_accuracy": "accuracy|error|validation error|validation accuracy|error rate|validation error rate|map|"
        "validation set accuracy|bleu score|performance|val accuracy|development accuracy|validation score|dev score|val score|"
        "development score|validation metric|monitored metric|validation f1|dev f1|f1 score",
    },
    "unit": {
        "epoch": "cycles through the training set|cycles through the data|epoch|epochs|epoches|rounds of training|training rounds|pass|passes over the data|passes through the data|passes|ep",
        "step": "iteration|iterations|step|steps|update|updates|iter|iters|gradient steps|sgd steps|parameter updates|"
        "batch iterations|batch updates|minibatch iterations|minibatch updates|mini batch iterations|mini batch updates|"
        "weight updates|weight update steps|update steps|gradient updates|sgd updates|optimization steps|steps of training|"
        "sgd iterations|optimizer steps|gradient descent steps|optimisation steps",
        "batches": "batches",
        "example": "example|examples|image|images|sample|samples|sentence|sentences|sequence|sequences|instances|"
        "training examples|clips|videos|frames|patches|cases|pairs|training samples|utterances|data points|tokens|"
        "training cases|training images|rois",
        "times": "times|time",
        "ignored": "gpu|gpus|device|devices|layer|layers|machine|machines|worker|workers|hours|hour|days|day|weeks|minutes|seconds|"
        "pixels|px|classes|categories|parameters|units|filters|channels|blocks|seeds|runs|crops|"
        "nodes|tpus|cores|million parameters|gb|ms|hidden|dimensions|dimensional|bits|models|networks|"
        "replicas|tpu cores|neurons|feature maps|heads|fold|folds|words|m parameters|tpu|cpus|chips|"
        "residual blocks|stages|trials|random seeds|views|augmentations",
    },
    "no": {
        "no": "no|without|not use|don't use|do not use|not using|not used|did not use|not|disable|disabled|no additional|"
        "without any|without using|neither|nor|never|turn off|turned off|very little or no|little or no|omit|"
        "omitted|no explicit|excluding|exclude|except|does not use|never use|is not|are not|off|"
        "none|not applied to|not apply|not applied on|is not applied to|do not apply|not decay|non",
        "instead": "instead of|rather than|unlike|compared to|compared with|than|in contrast to|as opposed to|versus|vs|"
        "outperforms|better than",
    },
    "target": {
        "bias": "bias|biases|bias terms|bias parameters",
        "norm": "batch norm|batch normalization|bn|batchnorm|normalization|normalization layers|normalisation|"
        "batch normalization layers|batch norm coefficients|layer norm|layernorm|norm parameters|scale and shift|"
        "bn γ,β|γ,β|γ/β|gamma/beta|gamma,beta|normalization parameters|batch norm parameters|bn parameters|bn layers|γ and β|gamma and beta|"
        "batch norm layers|group norm|norm layers|batch normalization parameters|bn coefficients|affine parameters|"
        "normalisation layers|normalisation parameters|β|batchnorm layers|batchnorm parameters",
        "depthwise": "depthwise|depthwise filters|depthwise convolutions|depth wise|depthwise layers|depth wise filters",
        "head": "head|detection head|classification head|prediction head|linear head|projection head",
        "classifier": "classifier|classifier layer|final classifier layer|classifier layers|final classifier|classifiers",
        "fc": "fc layer|fc layers|fully connected layer|fully connected layers|last fc layer|final fully connected layer|"
        "last fully connected layer",
        "backbone": "pretrained backbone|pre trained backbone|backbone|backbones|backbone network|backbone layers|backbone parameters",
        "encoder": "encoder|encoder layers",
        "decoder": "decoder|decoder layers",
        "last": "last layer|for the last layer|for the last layers|for last layer|for the last linear layer|final layer|output layer|classification layer|new layer|new layers|newly added layers|"
        "randomly initialized layers|last classification layer|final classification layer",
        "pretrained": "pretrained layers|pre trained layers|feature extractor|feature extraction layers|pretrained network",
        "embedding": "position embeddings|word embeddings|embedding layers|token embeddings|embedding layer|embedding table",
    },
    "and": {"and": "and|&|or|respectively|as well as|plus|both"},
    "with": {"with": "with|having"},
    "noise": {
        "respectively": "resp|correspondingly",
        "noise": "the|a|an|we|it|this|that|which|all|our|as|also|most|only|its|then again|single use|one of|"
        "schedule|strategy|policy|rates|each other|linear layer|linear layers|"
        "linear classifier|linear probing|linear probe|linear probes|linear model|linear regression|linear classification|linear evaluation|linear scaling rule|linear scaling|step function|"
        "batch normalization after|one can|the one|no one|momentum update|train set|"
        "training set|training data|training time|validation set|test set|from scratch|batch mode|cost function|"
        "loss function|performance on|linear activation|rectified linear|linear unit|linear units|map reduce|"
        "video clip|frame clip|audio clip|each clip|per clip|clip length|nonlinear|scale jittering|random scale|scale augmentation|run time|cross entropy loss|multi scale|drop in|"
        "batch of experiments|constant factor|error signal|log softmax|reduce overfitting|"
        "to reduce|reduces overfitting|exponential linear|exponential linear unit|scaled linearly|scale linearly|"
        "linearly scale|linearly scales|linearly scaling|"
        "linearly scaled|scales linearly|linearly with the batch size|scaled with|large scale|scale of|"
        "data augmentation|softmax with|end to end|state of the art|step by step|at the same time|at test time|"
        "training error of|without restart|without restarts|adam style|weight decay and momentum of|each time|"
        "for evaluation|at inference|in parallel|l2 norm|global l2 norm|global norm|in all experiments|for all experiments",
    },
}
