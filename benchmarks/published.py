"""Which recipes are held against which published figures.

Each figure has its source and what is not alike. Our own are measured by `results.py`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number that a run ends with.

    Attributes:
        key: Its name in what `results.py` measures.
        name: What to call it.
        percent: Whether it is a fraction, shown in per cent.
        digits: Digits after the point.
        published: What others published, in the unit shown; None for nothing.
    """

    key: str
    name: str
    percent: bool = True
    digits: int = 2
    published: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One recipe.

    Attributes:
        recipe: The name of its file in recipes/, without the suffix.
        figures: What is quoted of it.
        seeds: Seeds that it is trained with by the command line.
        threads: Threads of each run.
        peer: Keyword arguments of scikit-learn's MLPClassifier, which is run beside; None for no such run.
        many: With a peer, how many seeds from 0 on either of them is trained with besides, within one process.
    """

    recipe: str
    figures: tuple[Figure, ...]
    seeds: tuple[int, ...] = (0,)
    threads: int = 1
    peer: dict[str, float | bool] | None = None
    many: int = 0


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Recipes for one problem.

    Attributes:
        title: A heading.
        source: Where the published figures are from.
        caveat: What to know before comparing.
        rows: The recipes.
    """

    title: str
    source: str
    caveat: str
    rows: tuple[Row, ...]


def _accuracy(published: float, digits: int = 1) -> Figure:
    return Figure(key="accuracy", name="held-out accuracy, %", digits=digits, published=published)


def _digits(name: str, score: float, loss: float, **peer: float | bool) -> Row:
    return Row(
        recipe=f"digits-as-sklearn-{name}",
        figures=(
            Figure(key="accuracy", name="training score, %", published=score * 100),
            Figure(key="epoch_loss", name="training loss", percent=False, digits=4, published=loss),
        ),
        seeds=(0, 1, 2),
        peer=peer,
        many=200,  # of means of five seeds, or of twenty, the difference would be chance
    )


def _quadratic(recipe: str, published: float) -> Row:
    return Row(
        recipe=recipe,
        figures=(
            Figure(key="start_loss", name="loss at the start", percent=False, digits=4, published=353.4468),
            Figure(key="loss", name="loss after 700 steps", percent=False, digits=3, published=published),
        ),
        seeds=(0, 1, 2, 3, 4),
    )


PROBLEMS = (
    Problem(
        title="MNIST-1D",
        source="the table of the [data set's own page](https://github.com/greydanus/mnist1d), "
        "after Greydanus & Kobak, ICML 2024",
        caveat="The data are those of the paper: its generator, its seed, its split. The models are not: the paper's "
        "MLP has a connection around its second layer, its convolutional network 25 channels and no normalisation, its "
        "GRU 6 units in each direction; they were trained by Adam. Our settings were chosen by "
        "looking at the held-out examples, so that these accuracies are a little better than on examples never seen.",
        rows=(
            Row(recipe="mnist1d-logistic", figures=(_accuracy(32),), seeds=(0, 1, 2)),
            Row(recipe="mnist1d-mlp", figures=(_accuracy(68),), seeds=(0, 1, 2)),
            Row(recipe="mnist1d-convnet", figures=(_accuracy(94),), seeds=(0, 1, 2)),
            Row(recipe="mnist1d-gru", figures=(_accuracy(91),), seeds=(0, 1, 2)),
        ),
    ),
    Problem(
        title="DeepOBS's noisy quadratic",
        source="Schneider, Balles & Hennig, DeepOBS, ICLR 2019: the baselines of `quadratic_deep`",
        caveat="The problem is the same to the last digit; the order of the points is not, and DeepOBS leaves out the "
        "rest of an epoch above whole batches where our last batch is smaller. The published loss is that of one run, "
        "and the noise of its last steps is as large as the differences here.",
        rows=(_quadratic("quadratic-deep", 87.518), _quadratic("quadratic-deep-momentum", 87.025)),
    ),
    Problem(
        title="scikit-learn's comparison on the digits",
        source="scikit-learn's example [Compare Stochastic learning strategies for MLPClassifier]"
        "(https://scikit-learn.org/stable/auto_examples/neural_networks/plot_mlp_training_curves.html)",
        caveat="Data, network, distribution of the first weights, and settings are the same, the random numbers are "
        "not. Score and loss are those of the training set, as there; the loss is the mean over the last epoch's "
        "batches as they were trained on. scikit-learn was run here beside; with its seed 0 it prints the published "
        "figures. Ours were trained within one process by what the command line calls; the first three seeds by the "
        "command line too, to the same bits. Given scikit-learn's own first weights and orders of the examples, our "
        "training ends with its score exactly and, in float64, with its loss to 3e-8, but for the penalty, which its "
        "loss counts and ours does not (0.00004; with momentum 0.00008, with Nesterov's 0.00007): "
        "`tests/training/test_as_scikit_learn.py`. What else lies between the columns is chance: from seed to seed the "
        "score has a standard deviation of about 0.3 % (0.2 % with Nesterov's momentum), so that the means of five "
        "seeds on either side differ with one of 0.2 % (0.1 %).",
        rows=(
            _digits("sgd", 0.956, 0.2438, momentum=0.0),
            _digits("momentum", 0.9928, 0.0413, momentum=0.9, nesterovs_momentum=False),
            _digits("nesterov", 0.9939, 0.0429, momentum=0.9, nesterovs_momentum=True),
        ),
    ),
    Problem(
        title="Graphemes to phonemes",
        source="Yao & Zweig, Interspeech 2015 (encoder and decoder of two layers of 500, no attention: 7.63 and 28.6); "
        "Toshniwal & Livescu, SLT 2016 (global attention: 5.04 and 21.7, the column's figures)",
        caveat="The papers use their own split of CMUdict, with 12,000 words to test on, which the dictionary of today "
        "does not have: the figures are near one another, not comparable. Greedy search unless the recipe says "
        "otherwise; a word with several pronunciations counts as right with any of them.",
        rows=(
            Row(
                recipe="g2p",
                figures=(
                    Figure(key="phoneme_error_rate", name="phoneme error rate, %", published=5.04),
                    Figure(key="word_error_rate", name="word error rate, %", digits=1, published=21.7),
                ),
            ),
        ),
    ),
)

ROWS = {row.recipe: row for problem in PROBLEMS for row in problem.rows}
