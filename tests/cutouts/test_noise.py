"""Tests of the noise in the bands of a cutout."""

import numpy as np
import pytest

from gridlens.cutouts import band_noise


def test_noise_is_measured_despite_light_and_bad_pixels():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :200]
    light = 1e2 * np.exp(-np.hypot(x - 100, y - 100) / 5)[:, :, None]
    pixels = (rng.normal(scale=[1.0, 2.0, 4.0], size=(200, 200, 3)) + light).astype(np.float32)
    np.testing.assert_allclose(band_noise(pixels), [1.0, 2.0, 4.0], rtol=0.05)
    pixels[:80, :, 1] = np.nan
    np.testing.assert_allclose(band_noise(pixels), [1.0, 2.0, 4.0], rtol=0.08)


def test_noise_is_the_scaled_median_of_the_differences_of_neighbours():
    pixels = np.zeros((1, 4, 3), dtype=np.float32)
    pixels[0, :, 0] = [0.0, 1.0, 3.0, 6.0]  # differences of 1, 2 and 3
    pixels[0, :, 1] = [0.0, 1.0, 1.0, 1.0]
    pixels[0, :, 2] = [5.0, 4.0, np.nan, 9.0]  # two of the three pairs hold a bad pixel and are left out in each band
    assert band_noise(pixels) == pytest.approx(1.4826 / np.sqrt(2) * np.array([1.0, 1.0, 1.0]))
    # A single band uses all of its valid pairs.
    assert band_noise(pixels[:, :, :1]) == pytest.approx([1.4826 / np.sqrt(2) * 2.0])


def test_noise_without_neighbouring_pixels_is_0():
    np.testing.assert_array_equal(band_noise(np.zeros((3, 1, 3), dtype=np.float32)), 0.0)
    np.testing.assert_array_equal(band_noise(np.full((8, 8, 3), np.nan, dtype=np.float32)), 0.0)
