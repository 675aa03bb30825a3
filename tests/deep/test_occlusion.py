"""Tests of occlusion maps, with a sum of pixels in place of a network."""

import numpy as np
from gridlens_deep._occlusion import occlusion_maps

from gridlens import CutoutSet


def test_a_hidden_square_removes_its_contribution():
    pixels = np.zeros((3, 64, 60, 3), dtype=np.float32)
    pixels[0, 9, 10] = 1.0
    pixels[1, 63, 59] = -2.0
    pixels[2] = np.nan
    cutouts = CutoutSet(pixels)
    seen = []

    def log_odds(some):
        seen.append(len(some))
        total = np.nansum(some.pixels, axis=(1, 2, 3)).astype(np.float64)
        total[np.isnan(some.pixels).all(axis=(1, 2, 3))] = np.nan
        return total

    maps = occlusion_maps(cutouts, log_odds)
    assert maps.shape == (3, 64, 60)
    assert seen == [3, 64, 64]
    expected = np.zeros((64, 60))
    expected[8:16, 8:15] = 3.0
    np.testing.assert_array_equal(maps[0], expected)
    assert maps[1][-8:, -7:].max() == -6.0
    assert (maps[1] != 0).sum() == 8 * (60 - 52)
    assert np.isnan(maps[2]).all()
    # The cutouts are not modified.
    np.testing.assert_array_equal(cutouts.pixels, pixels)
