import numpy as np
import pandas as pd
import pytest

from gridlens import CutoutSet
from gridlens.cutouts import METADATA_NAMES
from gridlens.errors import CutoutError, GridlensError


@pytest.fixture
def five(rng):
    return CutoutSet(
        rng.normal(size=(5, 50, 50, 3)),
        pixel_scale=[0.2, 0.3, 0.4, 0.5, 0.6],
        bcg_xy=np.arange(10).reshape(5, 2),
        ids=list("abcde"),
        metadata={"redshift": [0.1, 0.2, np.nan, 0.4, 0.5], "ra": np.arange(5)},
        paths=[f"{name}.npy" for name in "abcde"],
    )


def test_defaults():
    cutouts = CutoutSet(np.zeros((2, 50, 60, 3)))
    assert cutouts.pixels.dtype == np.float32
    assert cutouts.pixels.flags.c_contiguous
    np.testing.assert_array_equal(cutouts.bcg_xy, [[29.5, 24.5], [29.5, 24.5]])
    np.testing.assert_array_equal(cutouts.pixel_scale, [0.5, 0.5])
    assert cutouts.ids.tolist() == ["0", "1"]
    assert cutouts.paths.tolist() == ["", ""]
    assert tuple(cutouts.metadata.columns) == METADATA_NAMES
    assert cutouts.metadata.dtypes.eq(np.float64).all()
    assert cutouts.metadata.isna().all(axis=None)


def test_float32_pixels_are_not_copied_and_others_become_c_ordered(rng):
    pixels = rng.normal(size=(2, 3, 50, 50)).astype(np.float32)
    assert CutoutSet(np.zeros((1, 4, 4, 3), np.float32)).pixels.flags.c_contiguous
    moved = np.moveaxis(pixels, 1, -1)
    assert CutoutSet(moved).pixels.flags.c_contiguous
    straight = np.ascontiguousarray(moved)
    assert np.shares_memory(CutoutSet(straight).pixels, straight)


def test_big_endian_and_huge_values_become_native_float32_and_inf():
    pixels = np.full((1, 48, 48, 3), 2.5, dtype=">f8")
    pixels[0, 0, 0, 0] = 1e300
    cutouts = CutoutSet(pixels)
    assert cutouts.pixels.dtype.isnative
    assert np.isinf(cutouts.pixels[0, 0, 0, 0])
    assert cutouts.pixels[0, 1, 1, 1] == 2.5


def test_empty_set():
    cutouts = CutoutSet(np.empty((0, 48, 48, 3)))
    assert len(cutouts) == 0
    assert repr(cutouts) == "CutoutSet(0 cutouts of 48 x 48 px; metadata: none)"
    assert len(CutoutSet.concatenate([cutouts, cutouts])) == 0
    assert cutouts[np.array([], dtype=bool)].metadata.shape == (0, 9)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (1, "b"),
        (-1, "e"),
        (np.int64(2), "c"),
        (slice(1, 4, 2), "bd"),
        (slice(None, None, -1), "edcba"),
        ([True, False, False, False, True], "ae"),
        (np.array([3, 0, 3]), "dad"),
        ([], ""),
        (pd.Series([False, True, False, False, False], index=list("vwxyz")), "b"),
    ],
)
def test_selection_moves_every_part_together(five, key, expected):
    chosen = five[key]
    rows = ["abcde".index(name) for name in expected]
    assert "".join(chosen.ids) == expected
    np.testing.assert_array_equal(chosen.pixels, five.pixels[rows])
    np.testing.assert_array_equal(chosen.bcg_xy, five.bcg_xy[rows])
    np.testing.assert_array_equal(chosen.pixel_scale, five.pixel_scale[rows])
    assert chosen.paths.tolist() == [f"{name}.npy" for name in expected]
    pd.testing.assert_frame_equal(chosen.metadata, five.metadata.iloc[rows].reset_index(drop=True))


@pytest.mark.parametrize("key", [5, -6, [7], [True, False], "a", [[0, 1]], [0.5]])
def test_selection_out_of_range_or_of_a_wrong_kind_is_refused(five, key):
    with pytest.raises(IndexError):
        five[key]


def test_iteration_gives_sets_of_one(five):
    assert [cutout.ids[0] for cutout in five] == list("abcde")
    assert all(len(cutout) == 1 for cutout in five)


def test_concatenation_undoes_slicing(five):
    again = CutoutSet.concatenate(iter([five[:2], five[2:2], five[2:]]))
    np.testing.assert_array_equal(again.pixels, five.pixels)
    np.testing.assert_array_equal(again.bcg_xy, five.bcg_xy)
    np.testing.assert_array_equal(again.pixel_scale, five.pixel_scale)
    assert again.ids.tolist() == five.ids.tolist()
    assert again.paths.tolist() == five.paths.tolist()
    pd.testing.assert_frame_equal(again.metadata, five.metadata)


def test_concatenation_of_mixed_sizes_suggests_read_batches(five):
    with pytest.raises(CutoutError, match=r"50 x 50 px, 48 x 48 px|48 x 48 px, 50 x 50 px.*read_batches"):
        CutoutSet.concatenate([five, CutoutSet(np.zeros((1, 48, 48, 3)))])


def test_concatenation_of_nothing_is_refused():
    with pytest.raises(CutoutError, match="at least one CutoutSet"):
        CutoutSet.concatenate([])


def test_repr_shows_number_size_scale_field_and_known_metadata(five):
    assert repr(five) == (
        "CutoutSet(5 cutouts of 50 x 50 px, 0.200 to 0.600 arcsec/px, 10.0 to 30.0 arcsec across; "
        "metadata: redshift 4, ra 5)"
    )
    assert repr(five[0]).startswith("CutoutSet(1 cutout of 50 x 50 px, 0.200 arcsec/px, 10.0 arcsec across;")


@pytest.mark.parametrize("shape", [(50, 50, 3), (2, 50, 50), (2, 3, 50, 50), (2, 50, 50, 5), (2, 0, 50, 3)])
def test_wrong_shape_is_refused(shape):
    with pytest.raises(CutoutError, match=r"The 'pixels' parameter must be .*\(n, H, W, 3\)"):
        CutoutSet(np.zeros(shape))


@pytest.mark.parametrize("dtype", [complex, object, "U3"])
def test_pixels_that_are_not_real_numbers_are_refused(dtype):
    with pytest.raises(CutoutError, match="real numbers"):
        CutoutSet(np.zeros((1, 48, 48, 3)).astype(dtype))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bcg_xy", [1.0, 2.0, 3.0]),
        ("pixel_scale", [0.1, 0.2, 0.3]),
        ("pixel_scale", "wide"),
        ("ids", ["a"]),
        ("paths", ["a", "b", "c"]),
        ("metadata", {"redshift": [0.1, 0.2, 0.3]}),
    ],
)
def test_an_attribute_of_the_wrong_length_is_named(name, value):
    with pytest.raises(CutoutError, match=f"The '{name}"):
        CutoutSet(np.zeros((2, 48, 48, 3)), **{name: value})


def test_unknown_metadata_is_refused_with_the_known_names():
    with pytest.raises(GridlensError, match=r"log_mass, ra, dec\. Got zphot instead"):
        CutoutSet(np.zeros((1, 48, 48, 3)), metadata={"zphot": [0.3]})


def test_metadata_is_assigned_by_position_and_inf_is_unknown():
    frame = pd.DataFrame({"richness": [np.inf, 40]}, index=[7, 3])
    cutouts = CutoutSet(np.zeros((2, 48, 48, 3)), metadata=frame)
    np.testing.assert_array_equal(cutouts.metadata["richness"], [np.nan, 40])
    assert frame.index.tolist() == [7, 3]
