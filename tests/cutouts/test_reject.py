import naive
import numpy as np
import pytest

from gridlens.cutouts._reject import field_warning, reject_reason

CENTRE = (29.5, 29.5)


def spoil(pixels, kind):
    """Return a copy of a valid cutout with one defect, and the words that the reason must contain.

    The words are empty if the copy is still valid.
    """
    p = pixels.copy()
    size = len(p)
    if kind == "NaN band":
        p[..., 1] = np.nan
        return p, "band r has no finite pixel"
    if kind == "inf band":
        p[..., 0] = np.inf
        return p, "band g has no finite pixel"
    if kind == "constant band":
        p[..., 2] = 7.0
        return p, "band i is constant"
    if kind == "mostly constant band":
        p[:, : size // 2 + 4, 0] = 0.0
        return p, "band g is constant"
    if kind == "less than half constant":
        p[:, : size // 2 - 4, 0] = 0.0
        return p, ""
    if kind == "constant but for bad pixels":
        p[..., 2] = 7.0
        p[::6, :, 2] = np.nan
        return p, "band i is constant"
    if kind == "20 % bad":
        p[: size // 5] = np.nan
        return p, ""
    if kind == "over 20 % bad":
        p[: size // 5] = np.nan
        p[-1, -1, 0] = np.inf
        return p, "20 % of the pixels are bad"
    if kind == "bad border":
        p[:3] = p[-3:] = np.nan
        p[:, :3, 0] = p[:, -3:, 2] = np.nan
        return p, "border"
    assert kind == "good"
    return p, ""


KINDS = [
    "good",
    "NaN band",
    "inf band",
    "constant band",
    "mostly constant band",
    "less than half constant",
    "constant but for bad pixels",
    "20 % bad",
    "over 20 % bad",
    "bad border",
]


@pytest.mark.parametrize("kind", KINDS)
def test_reason_is_given_exactly_where_the_slow_reference_refuses(cutout, kind):
    pixels, words = spoil(cutout, kind)
    reason = reject_reason(pixels, CENTRE, 0.3)
    if words:
        assert words in reason
        assert reason.endswith(".")
        with pytest.raises(ValueError, match=r"bad pixels|no finite pixel|sigma is 0"):
            naive.features(pixels, CENTRE, 0.3)
    else:
        assert reason == ""
        assert np.isfinite(naive.features(pixels, CENTRE, 0.3)).all()


@pytest.mark.parametrize(
    ("shape", "words"),
    [((20, 20, 3), "20 x 20 px"), ((47, 47, 3), "at least 48"), ((50, 60, 3), "60 x 50 px"), ((50, 50, 5), "5 bands")],
)
def test_wrong_size_is_named(rng, shape, words):
    assert words in reject_reason(rng.normal(size=shape), (5, 5), 0.3)


def test_48_px_are_enough(rng):
    assert reject_reason(rng.normal(size=(48, 48, 3)), (23.5, 23.5), 0.3) == ""


@pytest.mark.parametrize("scale", [0.0299, 2.01, -0.3, 0.0, np.nan, np.inf])
def test_pixel_scale_out_of_range(cutout, scale):
    assert "need 0.03 to 2" in reject_reason(cutout, CENTRE, scale)


@pytest.mark.parametrize("scale", [0.03, 2.0])
def test_pixel_scale_at_its_bounds(cutout, scale):
    assert reject_reason(cutout, CENTRE, scale) == ""


@pytest.mark.parametrize("bcg", [(-0.6, 30), (30, 59.5), (np.nan, 30), (30, np.inf), (1e9, 1e9)])
def test_bcg_outside(cutout, bcg):
    assert "outside the cutout" in reject_reason(cutout, bcg, 0.3)


@pytest.mark.parametrize("bcg", [(-0.5, 0), (59.49, 59.49)])
def test_bcg_on_the_outermost_pixel_is_inside(cutout, bcg):
    assert reject_reason(cutout, bcg, 0.3) == ""


def test_narrow_field_warns():
    assert "30.0 arcsec across" in field_warning(120, 0.25)
    assert field_warning(160, 0.25) == ""
