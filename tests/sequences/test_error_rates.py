import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequence_runs import edits

from downslope.training.sequences.error_rates import count_errors, cut_lengths, rates_of
from draws import draws

SEQUENCE = st.lists(st.integers(3, 6), min_size=1, max_size=6).map(tuple)


def error_rates(answers, references):
    """Return the rates of the errors of these answers."""
    return rates_of(count_errors(answers, references))


def test_rates_by_hand():
    """Two of five symbols wrong in one of two sequences; an empty answer leaves everything out."""
    assert error_rates([(3, 4, 4), (5, 5)], [[(3, 4, 5)], [(5, 5)]]) == (1 / 5, 1 / 2)
    assert error_rates([()], [[(3, 4)]]) == (1.0, 1.0)
    assert error_rates([(3, 3, 3)], [[(4,)]]) == (3.0, 1.0)


def test_the_nearest_right_answer_counts():
    """A word said in its second way is right, and its symbols are those of that way."""
    assert error_rates([(4, 5)], [[(3, 3, 3), (4, 5)]]) == (0.0, 0.0)
    assert error_rates([(4, 5, 6)], [[(3, 3, 3), (4, 5)]]) == (1 / 2, 1.0)


@settings(max_examples=draws(50))
@given(rows=st.lists(st.tuples(SEQUENCE, SEQUENCE), min_size=1, max_size=5))
def test_rates_are_those_of_the_recurrence(rows):
    """With one right answer each: edits by the textbook's recurrence over symbols, and the share of sequences."""
    answers, right = zip(*rows, strict=True)
    wrong = [edits(a, b) for a, b in rows]
    assert error_rates(answers, [[one] for one in right]) == pytest.approx(
        (sum(wrong) / sum(map(len, right)), sum(map(bool, wrong)) / len(rows))
    )


@settings(max_examples=draws(100))
@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=40),
    boundary=st.integers(1, 200),
    most=st.integers(3, 20),
)
def test_lengths_are_cut_into_few_stretches(sizes, boundary, most):
    """Every length is in exactly one stretch, none is empty or crosses the boundary, and they are not too many."""
    spans = cut_lengths(sizes, boundary, most)
    assert len(spans) <= most
    for low, high in spans:
        assert low <= high
        assert {low, high} <= set(sizes)
        assert not low <= boundary < high
    for size in sizes:
        assert sum(low <= size <= high for low, high in spans) == 1
    if len(set(sizes)) <= most:
        assert spans == [(size, size) for size in sorted(set(sizes))]
