import numpy as np
import pytest

from gridlens import CutoutSet
from gridlens.cutouts import CutoutFlag, read_batches
from gridlens.cutouts.readers import _chunks
from gridlens.errors import CutoutError

GRI = [0, 1, 2]


@pytest.fixture
def read(tmp_path):
    """Return a function that saves arrays to a file and reads it back."""

    def read_back(array=None, suffix=".npy", options=None, **arrays):
        path = tmp_path / f"one{suffix}"
        if suffix == ".npy":
            np.save(path, array)
            options = {"bands": "gri"} | (options or {})
        else:
            np.savez(path, **arrays)
        return CutoutSet.read(path, **({"pixel_scale": 0.3} | (options or {})))

    return read_back


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_one_or_many_cutouts_with_bands_first_or_last(read, rng, first, many, suffix):
    pixels = rng.normal(size=(4, 60, 60, 3)).astype(np.float32)
    if not many:
        pixels = pixels[:1]
    stored = np.moveaxis(pixels, -1, 1) if first else pixels
    stored = stored if many else stored[0]
    cutouts = read(stored) if suffix == ".npy" else read(suffix=".npz", pixels=stored)
    np.testing.assert_array_equal(cutouts.pixels, pixels)
    assert cutouts.ids.tolist() == (["one_000000", "one_000001", "one_000002", "one_000003"] if many else ["one"])


@pytest.mark.parametrize("key", ["pixels", "image", "images"])
def test_npz_names_its_bands(read, rng, key):
    planes = rng.normal(size=(5, 60, 60)).astype(np.float32)
    cutouts = read(suffix=".npz", **{key: planes}, filters=np.array(["y", "i", "g", "z", "r"]))
    np.testing.assert_array_equal(cutouts.pixels[0], np.moveaxis(planes[[2, 4, 1]], 0, -1))


@pytest.mark.parametrize(
    "bands", ["irg", np.array(["HSC-I", "HSC-R2", "HSC-G"]), np.array(["i.MP9701", "r", "OCAM_g_SDSS"])]
)
def test_band_names_of_surveys(read, cutout, bands):
    if np.ndim(bands) and bands[1] == "HSC-R2":
        with pytest.raises(CutoutError, match="The band r is missing: the file holds i, HSC-R2, g"):
            read(suffix=".npz", image=cutout, bands=bands)
        return
    np.testing.assert_array_equal(read(suffix=".npz", image=cutout, bands=bands).pixels[0], cutout[..., ::-1])


def test_the_caller_names_the_bands(read, rng):
    planes = rng.normal(size=(60, 60, 5)).astype(np.float32)
    cutouts = read(planes, options={"bands": "grizy"})
    np.testing.assert_array_equal(cutouts.pixels[0], planes[..., :3])
    cutouts = read(suffix=".npz", image=planes, bands="yzirg", options={"bands": "grizy"})
    np.testing.assert_array_equal(cutouts.pixels[0], planes[..., :3], "the option overrides the file")


@pytest.mark.parametrize("shape", [(5, 60, 60), (60, 60), (60, 60, 1), (2, 2, 2, 60, 60), ()])
def test_wrong_shape_names_the_option_to_set(read, shape):
    with pytest.raises(CutoutError, match=r"(?s)one\.npz: The array has the shape .*bands="):
        read(suffix=".npz", pixels=np.zeros(shape))


def test_an_ambiguous_shape_is_refused(read):
    with pytest.raises(CutoutError, match="either axis could hold the 3 bands"):
        read(np.zeros((3, 60, 3)))


def test_missing_band_is_named(read):
    with pytest.raises(CutoutError, match="The band i is missing: the file holds g, r, z"):
        read(suffix=".npz", pixels=np.zeros((60, 60, 3)), bands="grz")
    with pytest.raises(CutoutError, match="The bands g and r are missing"):
        read(suffix=".npz", pixels=np.zeros((60, 60, 3)), bands="izy")


@pytest.mark.parametrize("bands", ["gr", "ggri", "grix", "", 5])
def test_invalid_bands_are_refused(read, cutout, bands):
    with pytest.raises(CutoutError, match="The 'bands' parameter must name g, r and i once each"):
        read(cutout, options={"bands": bands})


def test_npz_carries_position_scale_ids_and_metadata(read, cutout):
    cutouts = read(
        suffix=".npz",
        pixels=cutout,
        bcg_xy=[20.5, 30],
        pixel_scale=0.2,
        ids="Abell 370",
        redshift=0.375,
        psf=np.zeros((9, 9)),
        options={"pixel_scale": None},
    )
    assert cutouts.bcg_xy.tolist() == [[20.5, 30.0]]
    assert cutouts.pixel_scale.tolist() == [0.2]
    assert cutouts.ids.tolist() == ["Abell 370"]
    assert cutouts.metadata["redshift"].tolist() == [0.375]
    assert cutouts.metadata.notna().sum().sum() == 1


def test_pixel_scale_parameter_overrides_the_file(read, cutout):
    assert read(suffix=".npz", pixels=cutout, pixel_scale=0.2, options={"pixel_scale": 0.4}).pixel_scale == 0.4


@pytest.mark.parametrize("scale", [0, -0.2, np.nan, np.inf, [0.2, 0.3], "0.2"])
def test_invalid_pixel_scale_is_refused(read, cutout, scale):
    with pytest.raises(CutoutError, match="The 'pixel_scale' parameter must be arcsec per pixel"):
        read(cutout, options={"pixel_scale": scale})


def test_a_missing_scale_is_assumed_with_one_warning(tmp_path, cutout):
    for name in "abc":
        np.savez(tmp_path / f"{name}.npz", pixels=cutout)
    with pytest.warns(UserWarning, match="pixel_scale=") as caught:
        cutouts = CutoutSet.read(tmp_path)
    assert len(caught) == 1
    assert cutouts.pixel_scale.tolist() == [0.5, 0.5, 0.5]
    assert set(cutouts.flags) == {CutoutFlag.ASSUMED_SCALE}


def test_zero_points_scale_the_bands_to_27(read, cutout):
    cutouts = read(cutout, options={"zeropoint": {"g": 27, "r": 24.5, "i": 29.5}})
    np.testing.assert_allclose(cutouts.pixels[0], cutout * np.float32([1, 10, 0.1]), rtol=1e-6)


@pytest.mark.parametrize("zeropoint", [{"g": 27}, "bright", np.nan, {"g": 27, "r": None, "i": 27}])
def test_invalid_zero_points_are_refused(read, cutout, zeropoint):
    with pytest.raises(CutoutError, match="The 'zeropoint' parameter must be one AB magnitude"):
        read(cutout, options={"zeropoint": zeropoint})


def test_nan_and_constant_bands_are_left_to_the_reject_rules(read, cutout):
    cutout[..., 0], cutout[..., 1] = np.nan, 3.0
    np.testing.assert_array_equal(read(cutout).pixels[0], cutout)


def test_npz_without_pixels_lists_its_arrays(read):
    with pytest.raises(CutoutError, match=r"no array 'pixels' in the file, only spectra, flux"):
        read(suffix=".npz", spectra=np.zeros(3), flux=np.zeros((60, 60, 3)))


def test_a_wrong_number_of_ids_is_refused(read, cutout):
    with pytest.raises(CutoutError, match=r"one entry per cutout, 1\. Got 2"):
        read(suffix=".npz", pixels=cutout, ids=["a", "b"])


def test_pickled_and_complex_arrays_are_refused(read, cutout):
    with pytest.raises(CutoutError, match=r"one\.npy: The array holds Python objects"):
        read(np.array([{"a": 1}], dtype=object))
    with pytest.raises(CutoutError, match="real numbers"):
        read(cutout.astype(complex))


@pytest.fixture
def many(tmp_path, rng, monkeypatch):
    """Return twelve cutouts and a function that writes them in one of several ways; four are read at a time."""
    pixels = rng.normal(size=(12, 50, 50, 3)).astype(np.float32)
    monkeypatch.setattr(_chunks, "BATCH_BYTES", pixels[:4].nbytes)

    def write(way):
        path = tmp_path / f"cut.{'npy' if 'npy' in way else 'npz'}"
        if way == "npy":
            np.save(path, pixels)
        elif way == "npy in Fortran's order":
            np.save(path, np.asfortranarray(pixels))
        elif way == "npz":
            np.savez(path, pixels=pixels, redshift=np.arange(12.0))
        else:
            np.savez_compressed(path, pixels=pixels)
        return path

    return pixels, write


@pytest.mark.parametrize("way", ["npy", "npy in Fortran's order", "npz", "npz, compressed"])
def test_many_cutouts_are_read_in_batches(many, way, monkeypatch):
    pixels, write = many
    seen = []
    read = _chunks._read_batch
    monkeypatch.setattr(_chunks, "_read_batch", lambda *args: seen.append(args[2:4]) or read(*args))
    cutouts = CutoutSet.read(write(way), pixel_scale=0.3, bands="gri")
    assert seen == [(0, 4), (4, 8), (8, 12)]
    np.testing.assert_array_equal(cutouts.pixels, pixels)
    assert cutouts.pixels.flags.writeable
    assert cutouts.ids.tolist() == [f"cut_{k:06d}" for k in range(12)]
    assert way != "npz" or cutouts.metadata["redshift"].tolist() == list(range(12))


@pytest.mark.parametrize("way", ["npy", "npz", "npz, compressed"])
def test_cutouts_before_the_damage_are_kept(many, way):
    path = many[1](way)
    data = bytearray(path.read_bytes())
    if way == "npy":
        del data[-1000:]
    else:
        data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    (batch,) = read_batches(path, pixel_scale=0.3, bands="gri")
    (failure,) = batch.failures
    assert failure.message.startswith("The file is damaged")
    # A stored member shows a wrong byte only in the checksum at its end; decompression may fail earlier.
    assert failure.message.endswith(f"Its first {len(batch.cutouts)} cutouts could be read.")
    assert len(batch.cutouts) in {"npy": (11,), "npz": (8,), "npz, compressed": (4, 8)}[way]


def test_a_single_array_named_npz_is_read(tmp_path, cutout):
    np.save(tmp_path / "a.npy", cutout)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    np.testing.assert_array_equal(CutoutSet.read(tmp_path / "a.npz", pixel_scale=0.3, bands="gri").pixels[0], cutout)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("keep", [0, 50, 10_000])
def test_truncated_file_has_a_clear_message(tmp_path, cutout, suffix, keep):
    path = tmp_path / f"cut{suffix}"
    np.save(path, cutout) if suffix == ".npy" else np.savez(path, pixels=cutout)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CutoutError, match=rf"Cannot read .*cut\{suffix}: The file is damaged .*again\.$"):
        CutoutSet.read(path, pixel_scale=0.3, bands="gri")
