"""Codes of 8 bits: blocks worked out by hand, and what holds of every block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downslope.core.blocks import BLOCK, LARGEST, NOT_FINITE, UNIT, blocks_of, decode, encode


def test_a_block_worked_out_by_hand() -> None:
    """Of 2, the largest, 127; of 1/2 127 sqrt(1/4) = 63.5, to even 64; of 2/127^2 1, and of a quarter of it 0.5, to 0.

    And back: (64/127)^2 of 2 is 0.50791..., 127 is 2 exactly.
    """
    codes, scales = encode(np.array([2.0, 0.5, -2.0 / 127**2, 2.0 / 127**2 / 4.1, 0.0, -0.0], np.float32))
    assert scales.tolist() == [2.0]
    assert codes.tolist() == [127, 64, -1, 0, 0, 0]
    back = decode(codes, scales)
    assert back[0] == 2.0
    np.testing.assert_allclose(back[1:3], [2 * (64 / 127) ** 2, -2 / 127**2], rtol=2e-7)
    assert back[3:].tolist() == [0.0] * 3


def test_blocks_are_256_and_the_last_is_short() -> None:
    """600 elements have three blocks; each has its own largest, wherever in the tensor it lies."""
    values = np.zeros((3, 200), np.float32)
    values.reshape(-1)[[0, 255, 256, 511, 512, 599]] = [1, 4, -9, 0.09, 1, -25]
    codes, scales = encode(values)
    assert scales.tolist() == [4.0, 9.0, 25.0]
    flat = codes.reshape(-1)
    assert flat[[0, 255]].tolist() == [64, 127]  # sqrt(1/4) = 63.5/127, to even
    assert flat[[256, 511]].tolist() == [-127, 13]  # sqrt(1/100) = 12.7/127
    assert flat[[512, 599]].tolist() == [25, -127]  # sqrt(1/25) = 25.4/127
    assert codes.shape == (3, 200)
    assert [blocks_of(n) for n in (0, 1, 256, 257)] == [0, 1, 1, 2]


def test_what_is_not_finite_shows_itself_and_nothing_else_is_lost() -> None:
    """inf and NaN come back as NaN; their neighbours as they would without them, by the largest that is finite."""
    values = np.array([3.0, np.inf, -3.0, np.nan, 0.0], np.float32)
    codes, scales = encode(values)
    assert codes.tolist() == [127, NOT_FINITE, -127, NOT_FINITE, 0]
    assert scales.tolist() == [-3.0]
    np.testing.assert_array_equal(decode(codes, scales), [3.0, np.nan, -3.0, np.nan, 0.0])
    codes, scales = encode(np.array([-np.inf, 0.0], np.float32))
    assert np.signbit(scales[0])
    np.testing.assert_array_equal(decode(codes, scales), [np.nan, 0.0])


def test_nothing_has_no_codes() -> None:
    """Zeros have the scale 0, and no elements no scale."""
    codes, scales = encode(np.zeros(300, np.float32))
    assert not codes.any()
    assert scales.tolist() == [0.0, 0.0]
    codes, scales = encode(np.zeros((0, 3), np.float32))
    assert codes.shape == (0, 3)
    assert scales.shape == (0,)
    assert decode(codes, scales).shape == (0, 3)


def test_the_largest_code_is_one_exactly() -> None:
    """So that the largest of a block comes back as it was, and encoding twice is encoding once."""
    assert np.float32(LARGEST * LARGEST) * np.float32(UNIT) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=BLOCK + 20),
)
def test_every_block_keeps_its_largest_and_bounds_its_error(numbers: list[float]) -> None:
    """Half the distance of two codes at most, (c + 1/2) / 127^2 of the largest; what was decoded is kept as it is."""
    values = np.array(numbers, np.float32)
    codes, scales = encode(values)
    back = decode(codes, scales)
    largest = np.repeat(scales, BLOCK)[: len(values)].astype(np.float64)
    distance = (np.abs(codes.astype(np.float64)) + 0.5001) / 127**2 * largest + 2.0**-149
    assert (np.abs(back.astype(np.float64) - values) <= distance).all()
    for start in range(0, len(values), BLOCK):
        own = np.abs(values[start : start + BLOCK]).max()
        assert scales[start // BLOCK] == own
        assert np.abs(back[start : start + BLOCK]).max() == own
    if largest.min() > 2.0**-100 or largest.max() == 0:
        again, scales_again = encode(back)
        assert np.array_equal(again, codes)
        assert np.array_equal(scales_again, scales)


@pytest.mark.parametrize("code", range(-127, 128))
def test_every_code_comes_back(code: int) -> None:
    """Beside a largest of any size, each code is decoded and encoded to itself."""
    codes = np.array([127, code], np.int8)
    for scale in (1.0, 3.3e-30, 1.7e38):
        values = decode(codes, np.array([scale], np.float32))
        assert encode(values)[0].tolist() == [127, code]
