"""Tests of `Measured`: rows are selected, joined and stripped without loss."""

import numpy as np
import pytest

from gridlens import CutoutSet
from gridlens.cutouts import CutoutFlag, ReadFailure
from gridlens.errors import CutoutError
from gridlens.features import GridPatchExtractor, Measured, measure
from gridlens.features._contract import METADATA_NAMES
from gridlens.features._measured import keep_metadata


@pytest.fixture(scope="module")
def measured():
    pixels = np.random.default_rng(0).normal(size=(4, 64, 64, 3)).astype(np.float32)
    pixels[2, 20:40, 20:40, 0] = 65535.0
    values = (0.9, 24.0, 0.4, 40.0, 44.0, 800.0, 14.5, 10.0, 5.0)
    metadata = {name: np.full(4, value) for name, value in zip(METADATA_NAMES, values, strict=True)}
    return measure(CutoutSet(pixels, pixel_scale=1.0, ids=list("abcd"), metadata=metadata))


@pytest.mark.parametrize("rows", [slice(1, 3), [1, 2], np.array([False, True, True, False]), (np.array([1, 2]), ...)])
def test_rows_are_selected_with_their_cutouts(measured, rows):
    part = measured[rows]
    assert part.ids.tolist() == ["b", "c"] == part.cutouts.ids.tolist()
    assert part.shape == (2, 315)
    np.testing.assert_array_equal(part.features, measured.features[1:3])


def test_positions_are_selected_with_their_rows(measured):
    assert measured.radec.tolist() == [[10.0, 5.0]] * 4
    np.testing.assert_array_equal(measured.bcg_xy, measured.cutouts.bcg_xy)
    np.testing.assert_array_equal(measured[2:].arc_xy, measured.arc_xy[2:])
    failed = Measured.of_failures([ReadFailure("a", "a.npz", "is no image")])
    joined = Measured.concatenate([failed, measured])
    assert joined.arc_xy.shape == (5, 9, 2) and joined.arc_xy.dtype == np.float32
    assert np.isnan(joined.arc_xy[0]).all() and np.isnan(joined.sky_axes).all()


def test_an_integer_selects_one_row(measured):
    assert measured[-1].ids.tolist() == ["d"]


def test_joined_parts_equal_the_whole(measured):
    again = Measured.concatenate([measured[:1], measured[1:]])
    np.testing.assert_array_equal(again.features, measured.features)
    np.testing.assert_array_equal(again.cutouts.pixels, measured.cutouts.pixels)
    assert len(Measured.concatenate([])) == 0
    assert Measured.concatenate([measured[:1], measured[1:].without_cutouts()]).cutouts is None


def test_cutouts_of_two_sizes_are_not_joined(measured):
    other = measure(CutoutSet(np.random.default_rng(0).normal(size=(1, 50, 50, 3)), pixel_scale=1.0))
    with pytest.raises(CutoutError):
        Measured.concatenate([measured, other])


def test_quality_and_rejection_rules_are_combined(measured):
    """The extractor agrees with the table of scores: a saturated cutout is rejected, and keeps its features."""
    assert measured.rejected.tolist() == [False, False, True, False]
    assert measured.flags[2] == CutoutFlag.SATURATED
    assert "saturated" in measured.messages[2]
    assert np.isfinite(measured.features[2]).any()
    again = GridPatchExtractor(metadata="all").extract(measured.cutouts)
    np.testing.assert_array_equal(again.rejected, measured.rejected)


def test_failures_are_rejected_rows():
    failed = Measured.of_failures([ReadFailure("a", "a.fits", "It is empty.")])
    assert failed.rejected.tolist() == [True]
    assert np.isnan(failed.features).all()
    assert np.isnan(failed.valid_fraction).all()
    assert failed.flags.tolist() == [CutoutFlag.UNREADABLE]


def test_metadata_are_hidden_once(measured):
    seen = measured.with_metadata("survey").features[:, -9:]
    assert np.isnan(seen).any(axis=0).tolist() == [
        name not in ("seeing", "depth", "redshift") for name in METADATA_NAMES
    ]
    assert np.isfinite(measured.features[:, -9:]).all()
    hidden = keep_metadata(measured.features, "image")
    assert keep_metadata(hidden, "image") is hidden
    assert keep_metadata(measured.features, "all") is measured.features
