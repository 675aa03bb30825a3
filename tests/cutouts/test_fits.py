import numpy as np
import pytest
from astropy.io import fits

from gridlens import CutoutSet
from gridlens.errors import CutoutError

RA, DEC, SCALE = 150.0, 2.2, 0.263


@pytest.fixture
def write_cube(tmp_path, cutout, wcs_header):
    def write(pixels=cutout, first=True, name="cube.fits", **keys):
        header = wcs_header()
        header.update(keys)
        fits.writeto(tmp_path / name, np.moveaxis(pixels, -1, 0) if first else pixels, header)
        return tmp_path / name

    return write


@pytest.mark.parametrize("form", ["CD", "PC", "CDELT", "PC001001"])
@pytest.mark.parametrize("angle", [0, 33])
def test_pixel_scale_in_every_form_with_rotation(tmp_path, cutout, wcs_header, write_bands, form, angle):
    write_bands(tmp_path, cutout, wcs_header(form, angle))
    cutouts = CutoutSet.read(tmp_path)
    np.testing.assert_array_equal(cutouts.pixels[0], cutout)
    assert cutouts.pixel_scale[0] == pytest.approx(SCALE, rel=1e-6)
    assert cutouts.ids.tolist() == ["A1"]
    assert cutouts.paths.tolist() == [";".join(str(tmp_path / f"A1_{band}.fits") for band in "gri")]
    np.testing.assert_allclose(cutouts.metadata[["ra", "dec"]], [[RA, DEC]], atol=1e-7)
    np.testing.assert_array_equal(cutouts.bcg_xy, [[29.5, 29.5]])


def test_centre_of_an_even_image_off_the_reference_pixel(tmp_path, cutout, wcs_header, write_bands):
    header = wcs_header()
    header["CRPIX1"] += 10
    write_bands(tmp_path, cutout, header)
    ra = CutoutSet.read(tmp_path).metadata["ra"][0]
    # The reference pixel is 10 px to the right, and right ascension increases to the left.
    assert (ra - RA) * np.cos(np.radians(DEC)) * 3600 == pytest.approx(10 * SCALE, rel=1e-4)


@pytest.mark.parametrize("first", [True, False])
def test_cube_whose_header_names_its_bands(write_cube, cutout, first):
    path = write_cube(cutout[..., ::-1], first, BANDS="irg")
    np.testing.assert_array_equal(CutoutSet.read(path).pixels[0], cutout)


@pytest.mark.parametrize(
    "keys", [{"BAND0": "i", "BAND1": "r", "BAND2": "g"}, {"FILTER1": "HSC-I", "FILTER2": "HSC-R", "FILTER3": "HSC-G"}]
)
def test_cube_with_a_keyword_per_band(write_cube, cutout, keys):
    path = write_cube(cutout[..., ::-1], **keys)
    np.testing.assert_array_equal(CutoutSet.read(path).pixels[0], cutout)


def test_cube_without_band_names_names_the_option_to_set(write_cube, cutout):
    path = write_cube(cutout[..., ::-1])
    with pytest.raises(CutoutError, match=r"does not give the bands .*bands=\"gri\""):
        CutoutSet.read(path)
    np.testing.assert_array_equal(CutoutSet.read(path, bands="irg").pixels[0], cutout)


def test_cube_with_a_missing_band_names_it(write_cube):
    with pytest.raises(CutoutError, match="The band i is missing: the file holds g, r, z"):
        CutoutSet.read(write_cube(BANDS="grz"))


def test_cube_named_like_a_band(write_cube, cutout):
    path = write_cube(name="cluster-i.fits", BANDS="gri")
    cutouts = CutoutSet.read(path)
    np.testing.assert_array_equal(cutouts.pixels[0], cutout)
    assert cutouts.ids.tolist() == ["cluster-i"]


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("compress", [True, False])
def test_extensions_named_by_band(tmp_path, rng, wcs_header, upper, compress):
    # Use whole numbers, because the compression of floats quantises them.
    pixels = rng.integers(0, 1000, size=(60, 60, 3)).astype(np.int32)
    kind = fits.CompImageHDU if compress else fits.ImageHDU
    hdus = [kind(pixels[..., "gri".index(b)], wcs_header(), name=b.upper() if upper else b) for b in "rig"]
    fits.HDUList([fits.PrimaryHDU(), *hdus, fits.ImageHDU(np.ones((9, 9)), name="PSF")]).writeto(tmp_path / "A.fits")
    cutouts = CutoutSet.read(tmp_path)
    np.testing.assert_array_equal(cutouts.pixels[0], pixels)
    assert cutouts.pixel_scale[0] == pytest.approx(SCALE)


def test_missing_extension_is_named(tmp_path, cutout, wcs_header):
    hdus = [fits.ImageHDU(cutout[..., k], wcs_header(), name="gr"[k]) for k in range(2)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "A.fits")
    with pytest.raises(CutoutError, match="The band i is missing: the extensions are g, r"):
        CutoutSet.read(tmp_path)


@pytest.mark.parametrize("suffix", [".fits", ".fit", ".fits.gz", ".FITS"])
def test_suffixes(tmp_path, cutout, wcs_header, write_bands, suffix):
    write_bands(tmp_path, cutout, wcs_header(), pattern="{name}_{band}" + suffix)
    np.testing.assert_array_equal(CutoutSet.read(tmp_path).pixels[0], cutout)


def test_first_image_that_has_data_in_compressed_files(tmp_path, rng, wcs_header):
    pixels = rng.integers(0, 1000, size=(60, 60, 3)).astype(np.int16)
    for k, band in enumerate("gri"):
        hdu = fits.CompImageHDU(pixels[..., k], wcs_header())
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / f"A_{band}.fits.fz")
    np.testing.assert_array_equal(CutoutSet.read(tmp_path).pixels[0], pixels)


def test_pixels_are_native_float32(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout.astype(">f8"), wcs_header())
    pixels = CutoutSet.read(tmp_path).pixels
    assert pixels.dtype == np.float32
    assert pixels.dtype.isnative
    assert pixels.flags.c_contiguous


def test_missing_wcs_names_the_option_to_set(tmp_path, cutout, write_bands):
    write_bands(tmp_path, cutout, fits.Header())
    with pytest.raises(CutoutError, match=r"no celestial WCS.*pixel_scale="):
        CutoutSet.read(tmp_path)
    cutouts = CutoutSet.read(tmp_path, pixel_scale=0.34)
    assert cutouts.pixel_scale.tolist() == [0.34]
    assert cutouts.metadata.isna().all(axis=None)


def test_a_wcs_without_celestial_axes_is_refused(tmp_path, cutout, wcs_header, write_bands):
    header = wcs_header()
    header["CTYPE1"], header["CTYPE2"] = "LINEAR", "LINEAR"
    write_bands(tmp_path, cutout, header)
    with pytest.raises(CutoutError, match="no celestial WCS"):
        CutoutSet.read(tmp_path)


def test_pixel_scale_parameter_overrides_the_wcs(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header())
    assert CutoutSet.read(tmp_path, pixel_scale=0.4).pixel_scale.tolist() == [0.4]


def test_pixels_that_are_not_square_are_refused(tmp_path, cutout, wcs_header, write_bands):
    header = wcs_header()
    header["CD2_2"] *= 1.03
    write_bands(tmp_path, cutout, header)
    with pytest.raises(CutoutError, match=r"not square: 0\.263 x 0\.2709 arcsec"):
        CutoutSet.read(tmp_path)


def test_bands_of_different_size_are_refused(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header(), bands="gr")
    fits.writeto(tmp_path / "A1_i.fits", cutout[:50, :, 2], wcs_header())
    with pytest.raises(CutoutError, match=r"differ in size: g 60 x 60 px, r 60 x 60 px, i 60 x 50 px"):
        CutoutSet.read(tmp_path)


@pytest.mark.parametrize(("shift", "fine"), [(0.4, True), (3.0, False)])
def test_bands_off_the_common_grid_are_refused(tmp_path, cutout, wcs_header, write_bands, shift, fine):
    header = wcs_header()
    write_bands(tmp_path, cutout, header, i={"CRPIX1": header["CRPIX1"] + shift})
    if fine:
        assert len(CutoutSet.read(tmp_path)) == 1
    else:
        with pytest.raises(CutoutError, match=r"bands g and i are not on one pixel grid: they differ by 3\.0 px"):
            CutoutSet.read(tmp_path)


@pytest.mark.parametrize("key", ["MAGZERO", "MAGZPT", "ZEROPNT", "PHOTZP", "MZP_AB"])
def test_zero_points_in_the_headers_scale_the_bands_to_27(tmp_path, cutout, wcs_header, write_bands, key):
    write_bands(tmp_path, cutout, wcs_header(), g={key: 27.0}, r={key: 24.5}, i={key: 29.5})
    np.testing.assert_allclose(CutoutSet.read(tmp_path).pixels[0], cutout * np.float32([1, 10, 0.1]), rtol=1e-6)


def test_zero_point_0_means_unknown(tmp_path, cutout, wcs_header, write_bands):
    header = wcs_header()
    header["ZEROPNT"] = 0.0
    write_bands(tmp_path, cutout, header)
    np.testing.assert_array_equal(CutoutSet.read(tmp_path).pixels[0], cutout)


def test_zero_points_of_only_some_bands_name_the_option_to_set(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header(), g={"MAGZERO": 30.0}, i={"MAGZERO": 29.0})
    with pytest.raises(CutoutError, match=r"\(g 30\.0, r unknown, i 29\.0\).*zeropoint=\{\"g\": \.\."):
        CutoutSet.read(tmp_path)
    cutouts = CutoutSet.read(tmp_path, zeropoint=29.5)
    np.testing.assert_allclose(cutouts.pixels[0], cutout * np.float32(0.1), rtol=1e-6)


def test_counts_and_zero_point_per_second(tmp_path, cutout, wcs_header, write_bands):
    times = {
        band: {"HIERARCH FPA.ZP": 25.0, "EXPTIME": time} for band, time in zip("gri", (10, 100, 1000), strict=True)
    }
    write_bands(tmp_path, cutout, wcs_header(), **times)
    factors = 10 ** (0.4 * (27 - 25)) / np.array([10, 100, 1000])
    np.testing.assert_allclose(CutoutSet.read(tmp_path).pixels[0], cutout * factors, rtol=1e-5)


def test_zero_points_in_the_primary_header_of_extensions(tmp_path, cutout, wcs_header):
    primary = fits.PrimaryHDU()
    primary.header["MAGZERO"] = 24.5
    hdus = [fits.ImageHDU(cutout[..., k], wcs_header(), name="gri"[k]) for k in range(3)]
    fits.HDUList([primary, *hdus]).writeto(tmp_path / "A.fits")
    np.testing.assert_allclose(CutoutSet.read(tmp_path).pixels[0], cutout * 10, rtol=1e-6)


def test_different_units_name_the_option_to_set(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header(), g={"BUNIT": "adu"}, r={"BUNIT": "adu"}, i={"BUNIT": "electron"})
    with pytest.raises(CutoutError, match=r"have different units \(g adu, r adu, i electron\).*zeropoint="):
        CutoutSet.read(tmp_path)


@pytest.mark.parametrize("unit", ["mag", "MAG/arcsec2", "AB mag"])
def test_magnitudes_are_refused(tmp_path, cutout, wcs_header, write_bands, unit):
    write_bands(tmp_path, cutout, wcs_header(), r={"BUNIT": unit})
    with pytest.raises(CutoutError, match=r"The pixels are magnitudes .*linear flux"):
        CutoutSet.read(tmp_path)


def test_asinh_magnitudes_are_refused(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header(), g={"BSOFTEN": 100.0, "BOFFSET": 0.0})
    with pytest.raises(CutoutError, match=r"asinh magnitudes .*linear flux"):
        CutoutSet.read(tmp_path)


@pytest.mark.parametrize("keep", [0, 1000, 2880, 9000])
@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
def test_truncated_fits_has_a_clear_message(tmp_path, cutout, wcs_header, write_bands, keep, suffix):
    write_bands(tmp_path, cutout, wcs_header(), pattern="{name}_{band}" + suffix)
    path = tmp_path / f"A1_r{suffix}"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CutoutError, match=r"Cannot read .*A1_g\.fits.*: .*A1_r\.fits.*damaged.*again\.$"):
        CutoutSet.read(tmp_path)


def test_a_text_file_named_fits_has_a_clear_message(tmp_path):
    for text, words in (
        ("<html>404 Not Found</html>", "is a web page"),
        ("hello\n", "damaged or does not match its name"),
    ):
        (tmp_path / "A.fits").write_text(text * 200)
        with pytest.raises(CutoutError, match=words):
            CutoutSet.read(tmp_path)


def test_a_fits_table_has_a_clear_message(tmp_path):
    fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.ones(3))]).writeto(tmp_path / "A.fits")
    with pytest.raises(CutoutError, match="no image in the FITS file"):
        CutoutSet.read(tmp_path)


def test_a_20_px_cutout_is_read_and_left_to_the_reject_rules(tmp_path, rng, wcs_header, write_bands):
    write_bands(tmp_path, rng.normal(size=(20, 20, 3)), wcs_header(size=20))
    assert CutoutSet.read(tmp_path).pixels.shape == (1, 20, 20, 3)
