import itertools

import pytest
import torch
from small_models import INPUTS, TARGETS, small
from torch.nn import functional

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data
from downslope.training.models import build_model
from downslope.training.models.seq2seq import Seq2SeqOptions
from downslope.training.sequences.search import search_greedily, search_with_beam
from downslope.training.sequences.symbols import END, START, pad

KINDS = [
    {"cell": cell, "attention": attention, "bidirectional": both, "layers": layers}
    for (cell, attention, both, layers) in itertools.product(
        ("lstm", "gru"), ("general", "dot", "none"), (True, False), (1, 2)
    )
]
WORDS = [(3, 4, 5, 6, 7, 3), (5,), (4, 4, 7)]
ANSWERS = [(3, 4), (5, 6, 3, 4), (6,)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_padding_changes_nothing(kind):
    """Each example of a padded batch gets the logits that it gets alone, at every place that is no padding."""
    model = small(**kind)
    together = model(pad(WORDS), pad(ANSWERS, end=True))
    for row, (word, answer) in enumerate(zip(WORDS, ANSWERS, strict=True)):
        alone = model(pad([word]), pad([answer], end=True))
        torch.testing.assert_close(together[row, : len(answer) + 1], alone[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_one_call_is_many_steps(kind):
    """Decoding all places at once gives what decoding them one by one gives, the state carried along."""
    model = small(**kind)
    encoded = model.encode(pad(WORDS))
    shown = torch.randint(3, TARGETS, (3, 5))
    whole, _, attention = model.decode(shown, encoded, encoded.state)
    state, places = encoded.state, []
    for place in range(5):
        logits, state, _ = model.decode(shown[:, place : place + 1], encoded, state)
        places.append(logits)
    torch.testing.assert_close(whole, torch.cat(places, 1), rtol=0, atol=1e-13)
    if attention is not None:
        torch.testing.assert_close(attention.sum(-1), torch.ones(3, 5, dtype=torch.float64))
        assert (attention[1, :, 1:] == 0).all(), "attention goes to padding"


def test_attention_is_luong_s_by_hand():
    """Scores, context and output of one place, worked out with plain sums from equations 5 to 8 of the paper."""
    model = small()
    encoded = model.encode(pad(WORDS))
    embedded = model.target_embedding(torch.full((3, 1), START))
    hidden = model.decoder(embedded, encoded.state)[0][:, 0]
    logits, _, weights = model.decode(torch.full((3, 1), START), encoded, encoded.state)
    for row, word in enumerate(WORDS):
        memory = encoded.memory[row, : len(word)]
        scores = torch.stack([m @ (model.score.weight @ hidden[row]) for m in memory])
        expected = scores.exp() / scores.exp().sum()
        torch.testing.assert_close(weights[row, 0, : len(word)], expected)
        context = (expected[:, None] * memory).sum(0)
        combined = torch.tanh(model.combine.weight @ torch.cat([context, hidden[row]]))
        torch.testing.assert_close(logits[row, 0], model.logits(combined))


def test_without_teacher_forcing_the_model_is_shown_its_own_answers():
    """At 0 each place is shown the symbol found most probable before it; at 1 the true one; between, some of each."""
    model = small()
    inputs, targets = pad(WORDS), pad(ANSWERS, end=True)
    free = model(inputs, targets, 0.0)
    own = torch.cat([torch.full((3, 1), START), free.argmax(-1)[:, :-1]], 1)
    encoded = model.encode(inputs)
    torch.testing.assert_close(free, model.decode(own, encoded, encoded.state)[0], rtol=0, atol=1e-13)
    torch.manual_seed(0)
    half = model(inputs, targets, 0.5)
    torch.manual_seed(0)
    assert torch.equal(half, model(inputs, targets, 0.5))
    assert not torch.equal(half, free)
    assert not torch.equal(half, model(inputs, targets, 1.0))


def every_sequence(model, word):
    """Return the log-probability of every sequence of at most 3 symbols that ends, the best first."""
    found = []
    for length in range(4):
        for numbers in itertools.product(range(3, TARGETS), repeat=length):
            targets = pad([numbers], end=True)
            logits = model(pad([word]), targets)
            found.append((-functional.cross_entropy(logits[0], targets[0], reduction="sum").item(), numbers))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_beam_finds_what_trying_everything_finds(seed):
    """The best of all short sequences by mean log-probability is the beam's first, with its very probability."""
    model = small(seed)
    with torch.no_grad():
        model.logits.bias[END] += 3  # short answers, so that all can be tried
    best = max(every_sequence(model, WORDS[0]), key=lambda pair: pair[0] / (len(pair[1]) + 1))
    found = search_with_beam(model, pad([WORDS[0]]), 100)[0]
    if len(found.numbers) <= 3:
        assert found.numbers == best[1]
        assert found.log_probability == pytest.approx(best[0], abs=1e-10)
    else:
        assert found.score >= best[0] / (len(best[1]) + 1)
    assert found.attention.shape == (len(found.numbers) + 1, len(WORDS[0]))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_beam_of_one_is_greedy(kind):
    """Alone, among others, or with a beam that keeps one hypothesis: the same is written, where it ends by itself."""
    model = small(**kind)
    together = search_greedily(model, pad(WORDS))
    for word, greedy in zip(WORDS, together, strict=True):
        alone = search_greedily(model, pad([word]))[0]
        assert (alone.numbers, alone.ended) == (greedy.numbers, greedy.ended)
        assert alone.log_probability == pytest.approx(greedy.log_probability, rel=1e-12)
        if alone.ended:
            first = search_with_beam(model, pad([word]), 1)[0]
            assert first.ended
            assert first.score >= alone.score - 1e-12


def test_neither_padding_nor_start_is_ever_written():
    """However probable a model finds them, both searches leave them out."""
    model = small()
    with torch.no_grad():
        model.logits.bias[:END] = 1e3
    for found in (*search_greedily(model, pad(WORDS)), *search_with_beam(model, pad([WORDS[0]]), 3)):
        assert all(number > END for number in found.numbers)


def test_a_search_that_never_ends_gives_up_and_says_so():
    """A model that never writes END stops at twice the input's length and ten."""
    model = small()
    with torch.no_grad():
        model.logits.bias[END] = -torch.inf
    for found in (*search_greedily(model, pad([WORDS[0]])), *search_with_beam(model, pad([WORDS[0]]), 3)):
        assert not found.ended
        assert len(found.numbers) == 22
    together = search_greedily(model, pad(WORDS))
    assert [(len(found.numbers), found.ended) for found in together] == [(22, False), (12, False), (16, False)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "`hidden` must be >= 1; got 0"),
        ({"hidden": 5}, "`hidden` must be even"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\)"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    """Each names the option, what is allowed and what was got."""
    with pytest.raises(DownslopeError, match=message):
        Seq2SeqOptions(**options)


RECIPE = """
[data]
name = "{data}"
batch_size = 16
{extra}
[model]
name = "{model}"
options = {options}
[sgd]
lr = 0.1
[train]
epochs = 1
{train}
"""


def recipe(data="rearranged", model="seq2seq", options="{}", extra="options = { examples = 100 }", train=""):
    """Return a recipe for sequences."""
    return parse_recipe(RECIPE.format(data=data, model=model, options=options, extra=extra, train=train))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "digits", "extra": ""}, "needs data whose inputs and targets are sequences"),
        ({"options": "{ hiden = 3 }"}, "unknown key `hiden`. Did you mean `hidden`?"),
        ({"options": '{ cell = "rnn" }'}, "`cell` must be"),
        ({"extra": 'options = { order = "backwards" }'}, "`order` must be"),
        ({"extra": "options = { longest = 2 }"}, "`longest` at least `shortest`|at least `shortest`"),
        ({"extra": "options = { symbols = 27 }"}, "`symbols` must be from 2 to 26; got 27"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, message):
    """Data without sequences, options that do not exist or are out of range: each says what is wrong."""
    asked = recipe(**changes)

    def build():
        build_model(asked, load_data(asked))

    with pytest.raises(DownslopeError, match=message):
        build()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "mlp"}, 'need model.name = "seq2seq"|floating-point inputs'),
        ({"train": 'loss = "mse"'}, "cross_entropy"),
        ({"data": "digits", "model": "mlp", "extra": "", "train": "teacher_forcing = 0.5"}, "teacher_forcing is for"),
        ({"train": "early_stop = { patience = 2, metric = 'word_error_rate' }"}, "gives `symbol_error_rate`"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused(changes, message):
    """Another model or loss, teacher forcing without a decoder, a metric that these data do not have."""
    from downslope.training.run.task import build_task

    with pytest.raises(DownslopeError, match=message):
        build_task(recipe(**changes))


def test_labels_are_smoothed_in_training_alone():
    """By torch's own loss of the symbols that are no padding."""
    from downslope.training.run.task import build_task

    task = build_task(recipe(train="label_smoothing = 0.2"))
    inputs, targets = task.objective.prepare(*task.dataset.take(torch.arange(16)))
    model = task.state.model.eval()
    places, symbols = model(inputs, targets, 1.0)[targets != 0], targets[targets != 0]
    for step, smoothing in ((0, 0.2), (None, 0.0)):
        found = task.objective.answer(model, inputs, targets, step=step).loss
        wanted = functional.cross_entropy(places, symbols, label_smoothing=smoothing)
        assert found.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_an_input_longer_than_any_is_encoded_too():
    """No length is built in."""
    model = small()
    assert model(torch.randint(3, INPUTS, (2, 50)), torch.randint(3, TARGETS, (2, 40))).shape == (2, 40, TARGETS)
