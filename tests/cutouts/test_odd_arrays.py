"""Tests of types and values that no cutout has: each format of arrays refuses them or treats them as unknown."""

import warnings

import numpy as np
import pytest

from gridlens.cutouts import CutoutSet, read_batches, rejection
from gridlens.errors import CutoutError

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")


@pytest.fixture
def pixels(rng):
    return rng.normal(loc=(10, 20, 30), size=(3, 50, 50, 3)).astype(np.float32)


@pytest.fixture(params=["npz", "hdf5", "zarr"])
def read(tmp_path, request):
    """Return a function that writes arrays in one of the formats with columns, and reads them."""

    def build(**arrays):
        if request.param == "npz":
            np.savez(tmp_path / "a.npz", **arrays)
        elif request.param == "hdf5":
            with h5py.File(tmp_path / "a.h5", "w") as file:
                for name, array in arrays.items():
                    array = np.asarray(array)
                    file[name] = array.astype("S") if array.dtype.kind == "U" else array
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
                for name, array in arrays.items():
                    group.create_array(name, data=np.asarray(array))
        return CutoutSet.read(tmp_path, pixel_scale=None if "pixel_scale" in arrays else 0.3)

    return build


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">i2", "<u2", "i1", "u1", ">f8", "<i8"])
def test_real_numbers_of_any_width_and_order(read, rng, dtype):
    values = rng.integers(0, 100, size=(3, 50, 50, 3)).astype(dtype)
    np.testing.assert_array_equal(read(pixels=values).pixels, values.astype(np.float32))


@pytest.mark.parametrize("dtype", ["?", "c8", "S3", "f4,f4"])
def test_non_numeric_pixels_are_refused(read, dtype):
    with pytest.raises(CutoutError, match=r"real numbers|numbers or text|damaged"):
        read(pixels=np.zeros((3, 50, 50, 3), dtype))


@pytest.mark.parametrize("dtype", ["<M8[s]", "<m8[s]"])
def test_dates_are_refused_as_pixels_and_metadata(tmp_path, pixels, dtype):
    np.savez(tmp_path / "a.npz", pixels=np.zeros((3, 50, 50, 3), dtype))
    np.savez(tmp_path / "b.npz", pixels=pixels, redshift=np.zeros(3, dtype))
    np.savez(tmp_path / "c.npz", pixels=pixels, ids=np.zeros(3, dtype))
    (batch,) = read_batches(tmp_path, pixel_scale=0.3)
    assert [failure.message.split(".")[0] for failure in batch.failures] == [
        f"The array holds values of type {np.dtype(dtype)}, but pixels must be real numbers",
        "The array 'redshift' must hold numbers",
        "The array 'ids' must hold text or numbers",
    ]


@pytest.mark.parametrize("shape", [(), (3,), (50, 50), (3, 50, 50), (1, 1, 1, 1, 1), (0,), (3, 50, 50, 3, 1)])
def test_invalid_shapes_are_refused(read, shape):
    if shape == (3, 50, 50):
        assert len(read(pixels=np.ones(shape))) == 1
        return
    with pytest.raises(CutoutError, match=r"The array has the shape|either axis"):
        read(pixels=np.ones(shape))


def test_an_array_without_cutouts_is_read(read):
    assert len(read(pixels=np.zeros((0, 50, 50, 3), np.float32))) == 0


def test_cutouts_without_pixels_are_refused(read):
    with pytest.raises(CutoutError, match="The image has 50 x 0 px"):
        read(pixels=np.zeros((3, 0, 50, 3), np.float32))


@pytest.mark.parametrize("name", ["redshift", "pixel_scale", "bcg_xy"])
@pytest.mark.parametrize("dtype", ["c16", "?", "f4,f4"])
def test_metadata_are_real_numbers(read, pixels, name, dtype):
    shape = (3, 2) if name == "bcg_xy" else 3
    with pytest.raises(CutoutError, match=f"The array '{name}' must hold numbers"):
        read(pixels=pixels, **{name: np.zeros(shape, dtype)})


def test_flags_are_integers(read, pixels):
    with pytest.raises(CutoutError, match="The array 'flags' must hold integers"):
        read(pixels=pixels, flags=np.zeros(3))


@pytest.mark.parametrize("dtype", ["c16", "?", "f4,f4"])
def test_ids_are_text_or_numbers(read, pixels, dtype):
    with pytest.raises(CutoutError, match=r"The array 'ids' must hold (text or numbers|numbers or text)"):
        read(pixels=pixels, ids=np.zeros(3, dtype))


def test_numeric_text_is_parsed_and_other_text_is_refused(read, pixels):
    cutouts = read(pixels=pixels, pixel_scale=np.array(["0.2", "0.3", "0.4"]), redshift=np.array(["0.1", "nan", "inf"]))
    assert cutouts.pixel_scale.tolist() == [0.2, 0.3, 0.4]
    np.testing.assert_array_equal(cutouts.metadata["redshift"], [0.1, np.nan, np.nan])


@pytest.mark.parametrize("name", ["redshift", "pixel_scale", "bcg_xy"])
def test_text_in_numeric_arrays_is_refused(read, pixels, name):
    values = np.full((3, 2) if name == "bcg_xy" else 3, "0.2 arcsec")
    with pytest.raises(CutoutError, match="must be numbers"):
        read(pixels=pixels, **{name: values})


def test_an_invalid_pixel_scale_rejects_only_that_cutout(read, pixels):
    cutouts = read(pixels=pixels, pixel_scale=[0.3, np.nan, np.inf])
    reasons = [
        rejection(cutouts.pixels[k], cutouts.bcg_xy[k], cutouts.pixel_scale[k]).reason.partition(" ")[0]
        for k in range(3)
    ]
    assert reasons == ["", "The", "The"]


def test_unknown_positions_become_the_centre(read, pixels):
    with pytest.warns(UserWarning, match=r"treated as unknown: 1 in 'bcg_x' \(such as -99\)") as caught:
        cutouts = read(pixels=pixels, bcg_xy=[[10, 20], [np.nan, 3], [-99, -99]], pixel_scale=0.3)
    assert len(caught) == 1
    assert cutouts.bcg_xy.tolist() == [[10, 20], [24.5, 24.5], [24.5, 24.5]]


def test_a_common_position_may_be_unknown(read, pixels):
    with pytest.warns(UserWarning, match="treated as unknown"):
        cutouts = read(pixels=pixels, bcg_xy=np.array([-99.0, -99.0]), pixel_scale=0.3)
    assert cutouts.bcg_xy.tolist() == [[24.5, 24.5]] * 3


@pytest.mark.parametrize("bands", [np.zeros(0, "U1"), np.full(200, "g"), np.array([["g", "r", "i"]] * 50), 1.5])
def test_invalid_bands_are_refused(read, pixels, bands):
    with pytest.raises(CutoutError, match="The array 'bands' must name the planes of the pixels"):
        read(pixels=pixels, bands=bands)
