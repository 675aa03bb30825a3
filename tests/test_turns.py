"""Tests of the eight orientations of an image: the same order for pixels and for features."""

import numpy as np

from gridlens._turns import N_TURNS, turned


def test_turns_are_a_flip_of_x_and_quarter_turns():
    image = np.arange(20).reshape(4, 5)
    np.testing.assert_array_equal(turned(image, 0), image)
    np.testing.assert_array_equal(turned(image, 1), np.rot90(image))
    np.testing.assert_array_equal(turned(image, 4), image[:, ::-1])
    np.testing.assert_array_equal(turned(image, 7), np.rot90(image[:, ::-1], 3))
    bands = np.dstack([image, -image])
    np.testing.assert_array_equal(turned(bands, 6)[:, :, 1], -turned(image, 6))


def test_turns_are_distinct_and_invertible():
    image = np.arange(20).reshape(4, 5)
    assert len({(turned(image, version).shape, turned(image, version).tobytes()) for version in range(N_TURNS)}) == 8
    for version in range(N_TURNS):
        back = {1: 3, 3: 1}.get(version, version)
        np.testing.assert_array_equal(turned(turned(image, version), back), image)
