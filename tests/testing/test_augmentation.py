"""The contract check catches what it is there for, each fault by its own name and by that alone."""

import re

import numpy as np
import pytest
from scipy.ndimage import affine_transform, gaussian_filter

from gridlens.cutouts import CutoutSet
from gridlens.testing import check_augmentation

RULES = {
    "colours": "Band ratios changed",
    "sizes": "Sizes in arcsec changed",
    "scale": "The pixel scale changed",
    "bcg": "The BCG was lost",
    "clipped": "Negative sky was clipped",
    "sky": "The sky level moved",
    "filled": "Bad pixels were filled",
    "spread": "Bad pixels spread",
    "in place": "The input was changed in place",
}


def like(cutouts, pixels=None, **changed):
    return CutoutSet(
        cutouts.pixels if pixels is None else pixels,
        **{"bcg_xy": cutouts.bcg_xy, "pixel_scale": cutouts.pixel_scale, "ids": cutouts.ids, **changed},
    )


def nothing(cutouts, rng):
    return cutouts


def flip(cutouts, rng):
    width = cutouts.pixels.shape[2]
    return like(cutouts, cutouts.pixels[:, :, ::-1], bcg_xy=np.abs([width - 1, 0] - cutouts.bcg_xy))


def roll(cutouts, rng):
    return like(cutouts, np.roll(cutouts.pixels, 3, axis=1), bcg_xy=cutouts.bcg_xy + np.array([0, 3]))


def colour_jitter(cutouts, rng):
    return like(cutouts, cutouts.pixels * rng.uniform(0.97, 1.03, 3))


def gamma(cutouts, rng):
    return like(cutouts, np.sign(cutouts.pixels) * np.abs(cutouts.pixels) ** 0.9)


def zoom(cutouts, rng, factor=1.05):
    pixels = np.empty_like(cutouts.pixels)
    for k, (x, y) in enumerate(cutouts.bcg_xy):
        matrix, offset = np.diag([1 / factor, 1 / factor, 1]), [y - y / factor, x - x / factor, 0]
        image = np.nan_to_num(cutouts.pixels[k], nan=-0.003)
        pixels[k] = affine_transform(image, matrix, offset, order=1, mode="nearest")
    pixels[np.isnan(cutouts.pixels)] = np.nan
    return like(cutouts, pixels)


def finer(cutouts, rng):
    return like(cutouts, pixel_scale=cutouts.pixel_scale * 0.9)


def finer_with_its_zoom(cutouts, rng):
    return like(zoom(cutouts, rng, 1 / 0.9), pixel_scale=cutouts.pixel_scale * 0.9)


def clip(cutouts, rng):
    return like(cutouts, np.where(cutouts.pixels < 0.0, 0.0, cutouts.pixels))


def stretch(cutouts, rng):
    low, high = (f(cutouts.pixels, axis=(1, 2, 3), keepdims=True) for f in (np.nanmin, np.nanmax))
    return like(cutouts, (cutouts.pixels - low) / (high - low))


def offset(cutouts, rng):
    return like(cutouts, cutouts.pixels + 0.003)


def careless_flip(cutouts, rng):
    return like(cutouts, cutouts.pixels[:, :, ::-1])


def flip_by_width(cutouts, rng):
    """Off by the one pixel between the number of columns and the last of them."""
    return like(cutouts, cutouts.pixels[:, :, ::-1], bcg_xy=np.abs([cutouts.pixels.shape[2], 0] - cutouts.bcg_xy))


def flip_of_one_band(cutouts, rng):
    pixels = cutouts.pixels.copy()
    pixels[:, :, :, 2] = pixels[:, :, ::-1, 2]
    return like(cutouts, pixels)


def fill(cutouts, rng):
    return like(cutouts, np.where(np.isnan(cutouts.pixels), -0.003, cutouts.pixels))


def careless_blur(cutouts, rng):
    pixels = cutouts.pixels.copy()
    pixels[:, 60:] = gaussian_filter(pixels[:, 60:], (0, 0.5, 0.5, 0))
    pixels[2:4, 2:5, 75:78] = gaussian_filter(pixels[2:4, 2:5, 75:78], (0, 0.5, 0.5, 0))
    return like(cutouts, pixels)


def in_place(cutouts, rng):
    cutouts.pixels *= 2.0
    return like(cutouts, cutouts.pixels)


def broken(message):
    return {name for name, rule in RULES.items() if rule in message}


@pytest.mark.parametrize("harmless", [nothing, flip, roll])
def test_the_harmless_pass(harmless):
    check_augmentation(harmless, n_times=2)


@pytest.mark.parametrize(
    ("harmful", "rules"),
    [
        (colour_jitter, {"colours"}),
        (zoom, {"sizes"}),
        (finer, {"scale", "sizes"}),
        (finer_with_its_zoom, {"scale"}),
        (clip, {"clipped"}),
        (stretch, {"sky"}),
        (offset, {"sky"}),
        (careless_flip, {"bcg"}),
        (flip_by_width, {"bcg"}),
        (flip_of_one_band, {"bcg"}),
        (fill, {"filled"}),
        (careless_blur, {"spread"}),
        (in_place, {"in place"}),
    ],
)
def test_each_fault_is_caught_by_its_own_name(harmful, rules):
    with pytest.raises(AssertionError, match=r"^The augmentation is not safe to train on\.\n") as caught:
        check_augmentation(harmful, n_times=3)
    assert broken(str(caught.value)) == rules


def test_a_stretch_that_is_not_linear_changes_colours():
    with pytest.raises(AssertionError, match="Band ratios changed"):
        check_augmentation(gamma, n_times=1)


def test_what_happens_now_and_then_is_caught():
    def rarely(cutouts, rng):
        return colour_jitter(cutouts, rng) if rng.random() < 0.2 else cutouts

    with pytest.raises(AssertionError, match="Band ratios changed") as caught:
        check_augmentation(rarely)
    times = int(re.search(r"\((\d+) times", str(caught.value)).group(1))
    assert 6 <= times <= 60


def test_the_message_says_what_was_seen():
    with pytest.raises(AssertionError) as caught:
        check_augmentation(lambda cutouts, rng: like(cutouts, cutouts.pixels * [2.0, 1.0, 1.0]), n_times=1)
    assert "(6 times; first cutout 0, g / r from 0.3 to 0.6)" in str(caught.value)
    with pytest.raises(AssertionError, match=r"bcg_xy is \(52\.0, 44\.0\) and its light in [gri] at \(43\.0, 44\.0\)"):
        check_augmentation(careless_flip, n_times=1)
    with pytest.raises(AssertionError, match=r"an arc at 10\.0\d arcsec from the BCG came to 10\.5"):
        check_augmentation(zoom, n_times=1)


def test_a_result_that_cannot_be_measured_is_told_first():
    def pixels_alone(cutouts, rng):
        return cutouts.pixels

    with pytest.raises(AssertionError, match=r"must return a CutoutSet\. Got ndarray instead"):
        check_augmentation(pixels_alone)
    with pytest.raises(AssertionError, match="in their order, since labels hang on it"):
        check_augmentation(lambda cutouts, rng: cutouts[::-1])
    with pytest.raises(AssertionError, match="Got the ids of none for scene-0"):
        check_augmentation(lambda cutouts, rng: cutouts[:0])
    with pytest.raises(AssertionError, match="must keep the size of square cutouts"):
        check_augmentation(lambda cutouts, rng: like(cutouts, cutouts.pixels[:, 4:-4, 4:-4]))


@pytest.mark.filterwarnings("error")
def test_pixels_of_nothing_break_the_rules_and_not_the_check():
    for value in (np.nan, np.inf, 0.0):
        with pytest.raises(AssertionError, match="not safe to train on"):
            check_augmentation(lambda cutouts, rng, v=value: like(cutouts, np.full_like(cutouts.pixels, v)), n_times=1)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None])
def test_n_times_is_a_number_of_calls(wrong):
    with pytest.raises(ValueError, match="'n_times' parameter must be"):
        check_augmentation(nothing, n_times=wrong)
