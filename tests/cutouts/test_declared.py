"""Tests of band order, pixel scale and zero points: each is known, refused, or assumed with a flag."""

import h5py
import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from PIL import Image
from skies import DEC, RA, gnomonic, write_image

import gridlens
from gridlens import CutoutSet
from gridlens.cli import main
from gridlens.cutouts import CutoutFlag, extract, read_batches, write_npz
from gridlens.engine import write_cutouts
from gridlens.errors import CutoutError
from gridlens.sources import open_source

SCALE, ZEROPOINT = int(CutoutFlag.ASSUMED_SCALE), int(CutoutFlag.ASSUMED_ZEROPOINT)


def flags_of(path, **options):
    return CutoutSet.read(path, **options).flags.tolist()


@pytest.mark.parametrize(
    ("options", "unknown", "ways_out"),
    [
        ({}, "the order of its bands and its pixel scale", 'bands="gri" and pixel_scale=ARCSEC, or name the survey'),
        ({"pixel_scale": 0.3}, "the order of its bands,", 'Give it with bands="gri".'),
        ({"survey": "hsc"}, "the order of its bands,", 'Give it with bands="gri".'),
        ({"bands": "irg"}, "its pixel scale,", "Give it with pixel_scale=ARCSEC, or name the survey"),
    ],
)
def test_an_undescribed_npy_is_refused_early(tmp_path, cutout, options, unknown, ways_out):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", cutout)
    for read in (CutoutSet.read, gridlens.score):
        with pytest.raises(CutoutError) as caught:
            read(tmp_path, **options)
        assert str(caught.value).startswith(f"A .npy file does not state {unknown}")
        assert ways_out in str(caught.value)
    # In a folder with other cutouts, such a file becomes a rejected row.
    write_npz(tmp_path / "c.npz", CutoutSet(cutout[None]))
    failures = [failure for batch in read_batches(tmp_path, **options) for failure in batch.failures]
    assert [failure.id for failure in failures] == ["a", "b"]
    assert all(unknown in failure.message for failure in failures)


def test_the_command_names_the_options_that_an_npy_needs(tmp_path, cutout):
    np.save(tmp_path / "a.npy", cutout)
    result = CliRunner().invoke(main, ["score", str(tmp_path / "a.npy"), "--jobs", "1"])
    assert result.exit_code == 1
    assert (
        "Give them with --bands gri and --pixel-scale ARCSEC, or name the survey with --survey NAME."
        in (result.stderr.splitlines()[-1])
    )


def test_arrays_with_other_names_must_declare_bands_and_scale(tmp_path, cutout):
    np.savez(tmp_path / "a.npz", image=cutout)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["images"] = cutout[None]
    for path in (tmp_path / "a.npz", tmp_path / "b.h5"):
        with pytest.raises(CutoutError, match="does not state the order of its bands and its pixel scale"):
            CutoutSet.read(path)
        assert flags_of(path, bands="gri", pixel_scale=0.3) == [ZEROPOINT]
        assert flags_of(path, bands="gri", pixel_scale=0.3, zeropoint=25.0) == [0]
    np.savez(tmp_path / "c.npz", image=cutout, bands="irg", pixel_scale=0.3)
    assert flags_of(tmp_path / "c.npz") == [ZEROPOINT]
    # A survey with one zero point for all bands implies that the bands share it.
    assert flags_of(tmp_path / "c.npz", survey="des") == [0]
    assert flags_of(tmp_path / "c.npz", survey="hst") == [ZEROPOINT]


@pytest.mark.filterwarnings("ignore:Some arrays or pictures do not state their pixel scale")
def test_only_the_scale_of_a_shard_can_be_unknown(tmp_path, cutout):
    np.savez(tmp_path / "a.npz", pixels=cutout)
    assert flags_of(tmp_path / "a.npz") == [SCALE]
    assert flags_of(tmp_path / "a.npz", pixel_scale=0.3) == flags_of(tmp_path / "a.npz", survey="des") == [0]
    table = gridlens.score(tmp_path / "a.npz", n_jobs=1)
    assert table["flags"].tolist()[0] & SCALE
    assert "The pixel scale is not stated: 0.5 arcsec is assumed." in table["message"][0]
    # The assumption is kept in a shard until the pixel scale is stated.
    write_npz(tmp_path / "b.npz", CutoutSet.read(tmp_path / "a.npz"))
    assert flags_of(tmp_path / "b.npz") == [SCALE]
    assert flags_of(tmp_path / "b.npz", pixel_scale=0.3) == [0]


def test_a_picture_without_a_scale_is_flagged(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match="pixel_scale=ARCSEC"):
        assert flags_of(tmp_path / "a.png", uncalibrated=True) == [CutoutFlag.UNCALIBRATED | SCALE]
    assert flags_of(tmp_path / "a.png", uncalibrated=True, pixel_scale=0.3) == [CutoutFlag.UNCALIBRATED]


def test_fits_without_any_zero_point_is_flagged(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header())
    assert flags_of(tmp_path) == [ZEROPOINT]
    assert flags_of(tmp_path, zeropoint=25.0) == flags_of(tmp_path, survey="des") == [0]
    known = {band: {"MAGZERO": 25.0} for band in "gri"}
    (tmp_path / "known").mkdir()
    write_bands(tmp_path / "known", cutout, wcs_header(), **known)
    assert flags_of(tmp_path / "known") == [0]
    (tmp_path / "unit").mkdir()
    write_bands(tmp_path / "unit", cutout, wcs_header(), **{band: {"BUNIT": "nJy"} for band in "gri"})
    assert flags_of(tmp_path / "unit") == [0]
    (tmp_path / "some").mkdir()
    write_bands(tmp_path / "some", cutout, wcs_header(), g=known["g"])
    with pytest.raises(CutoutError, match="zero points for some bands only"):
        CutoutSet.read(tmp_path / "some")


def test_the_flag_of_survey_images_is_kept_in_written_cutouts(tmp_path, noise):
    pixels = noise(1, size=128)[0]
    catalog = tmp_path / "c.csv"
    catalog.write_text(f"id,ra,dec\nA,{RA},{DEC}\n")
    for name, cards in (("bare", {}), ("known", {"MAGZERO": 27.0})):
        images = {}
        for k, band in enumerate("gri"):
            images[band] = tmp_path / name / f"{band}.fits"
            images[band].parent.mkdir(exist_ok=True)
            write_image(images[band], pixels[..., k], gnomonic(0.5, 128), **cards)
        expected = [0 if cards else ZEROPOINT]
        assert extract(catalog, images, size=32, npix=64).cutouts.flags.tolist() == expected
        source = open_source(catalog=catalog, images=images, size=32, npix=64)
        for format in ("npz", "fits"):
            out = tmp_path / f"{name}-{format}"
            write_cutouts(source, out, format=format, n_jobs=1)
            assert flags_of(out) == expected
            # Read and write the cutouts again, without the images.
            write_cutouts(open_source(out), tmp_path / f"{name}-{format}-again", format="fits", n_jobs=1)
            assert flags_of(tmp_path / f"{name}-{format}-again") == expected


def test_a_fits_cutout_of_a_shard_states_its_zero_point(tmp_path, cutout):
    write_npz(tmp_path / "a.npz", CutoutSet(cutout[None], ids=["A"]))
    write_cutouts(open_source(tmp_path / "a.npz"), tmp_path / "out", format="fits", n_jobs=1)
    assert fits.getheader(tmp_path / "out" / "A.fits", "r")["MAGZERO"] == 27.0
