"""Tests of kinds of input that often cause errors, each from the files to the table that the command writes.

The rules have unit tests elsewhere; here each is tested through the command line.
"""

import gzip
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner
from skies import RA, gnomonic, header_of

from gridlens.cli import main

SIDE, SCALE = 128, 0.5


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Set a separate cache folder for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()


def light(band, seed=0):
    """Return a galaxy with noise, in flux at zero point 27."""
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    galaxy = 300.0 * np.exp(-np.hypot(x, y) / 5.0) * {"g": 0.4, "r": 1.0, "i": 1.4}[band]
    return 20.0 + galaxy + np.random.default_rng((seed, ord(band))).normal(size=(SIDE, SIDE))


def write(folder, name="A1", change=lambda values, header, band: (values, header), ra=RA, seed=0):
    """Write the g, r and i images of one position, with `change` applied to the values and the header."""
    folder.mkdir(exist_ok=True)
    for band in "gri":
        header = header_of(gnomonic(SCALE, SIDE, ra=ra), MAGZERO=27.0)
        values, header = change(light(band, seed), header, band)
        if values.dtype.kind == "f":
            values = values.astype(np.float32)
        fits.PrimaryHDU(values, header).writeto(folder / f"{name}_{band}.fits")
    return folder


def score(tmp_path, *arguments, name="scores"):
    """Run `gridlens score` and return its table, indexed by id."""
    out = tmp_path / f"{name}.csv"
    arguments = ["score", *map(str, arguments), "--jobs", "1", "--out", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    return pd.read_csv(out, dtype={"id": str, "message": str}, keep_default_na=False).set_index("id")


def both_ways(tmp_path, folder, catalog="A1,150.0,2.0"):
    """Return the scores of the folder's cutouts, and of the cluster cut out of the same files as survey images."""
    (tmp_path / "c.csv").write_text(f"id,ra,dec\n{catalog}\n")
    images = [word for band in "gri" for word in ("--image", f"{band}={folder}")]
    cut = score(tmp_path, "--catalog", tmp_path / "c.csv", *images, "--size", "64arcsec", name="cut")
    return score(tmp_path, folder, name="read"), cut


@pytest.fixture
def plain(tmp_path):
    """Return the score of the same galaxy from unmodified files."""
    (tmp_path / "reference").mkdir()
    read, cut = both_ways(tmp_path / "reference", write(tmp_path / "reference" / "im"))
    assert read["score"]["A1"] == pytest.approx(cut["score"]["A1"], rel=1e-4)
    return read["score"]["A1"]


def surface_brightness(values, header, band):
    del header["MAGZERO"]
    header["BUNIT"] = "MJy/sr"
    # 27 is the zero point of the flux in each pixel
    return values * 10 ** (-0.4 * (27.0 + 6.1)) / (SCALE**2 / np.degrees(3600.0) ** 2), header


def quoted(values, header, band):
    for key in ("CRVAL1", "MAGZERO"):
        header[key] = str(header[key])
    return values, header


def third_axis(values, header, band):
    return values[None], header


def filter_units(values, header, band):
    del header["MAGZERO"]
    unit, zeropoint = {"g": ("nJy", 31.4), "r": ("nanomaggy", 22.5), "i": ("uJy", 23.9)}[band]
    header["BUNIT"] = unit
    return values * 10 ** (0.4 * (zeropoint - 27.0)), header


TROUBLES = {function.__name__: function for function in (surface_brightness, quoted, third_axis, filter_units)}


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES)
def test_units_and_headers_do_not_change_scores(tmp_path, plain, trouble):
    read, cut = both_ways(tmp_path, write(tmp_path / "im", change=TROUBLES[trouble]))
    assert read["status"]["A1"] == cut["status"]["A1"] == "ok"
    assert read["score"]["A1"] == pytest.approx(plain, rel=1e-3)
    assert cut["score"]["A1"] == pytest.approx(plain, rel=1e-3)


def test_gzipped_integers_with_a_plain_name_do_not_change_scores(tmp_path, plain):
    folder = tmp_path / "im"
    folder.mkdir()
    for band in "gri":
        header = header_of(gnomonic(SCALE, SIDE), MAGZERO=27.0)
        hdu = fits.ImageHDU(light(band).astype(np.float32), header)
        hdu.scale("int16", bscale=0.02, bzero=300.0)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "one.fits", overwrite=True)
        (folder / f"A1_{band}.fits").write_bytes(gzip.compress((tmp_path / "one.fits").read_bytes()))
    read, cut = both_ways(tmp_path, folder)
    assert read["score"]["A1"] == pytest.approx(plain, abs=0.02)
    assert cut["score"]["A1"] == pytest.approx(read["score"]["A1"], rel=1e-3)


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"BUNIT": "mag/arcsec2"}, "magnitudes or another logarithm"),
        ({"BSOFTEN": 3.0, "BOFFSET": 0.5}, "asinh magnitudes"),
        ({"CPDIS1": "LOOKUP"}, "WCS of the header cannot be used"),
        ({"BUNIT": "Jy/beam"}, "flux per beam"),
    ],
)
def test_unreadable_cutouts_are_rejected_with_the_reason(tmp_path, cards, words):
    def change(values, header, band):
        header.update(cards)
        return values, header

    folder = write(write(tmp_path / "im", name="good", ra=RA + 1.0), change=change)
    read = score(tmp_path, folder)
    assert read["status"].to_dict() == {"good": "ok", "A1": "rejected"}
    assert words in read["message"]["A1"]


def test_maps_and_links_create_no_additional_rows(tmp_path, plain):
    folder = write(tmp_path / "im")
    for word in ("wht", "mask", "invvar", "bkg"):
        write(folder, name=f"A1_{word}", change=lambda values, header, band: (values * 0 + 7, header))
    (tmp_path / "linked").mkdir()
    for name in ("first", "second"):
        (tmp_path / "linked" / name).symlink_to(folder)
    table = score(tmp_path, tmp_path / "linked")
    assert table["score"].to_dict() == {"A1": pytest.approx(plain)}


def test_a_blank_part_is_filled_by_the_other_image(tmp_path, plain):
    def left(values, header, band):
        values[:, SIDE // 2 - 10 :] = np.nan
        return values, header

    folder = write(write(tmp_path / "im", name="t1", change=left), name="t2")
    _, cut = both_ways(tmp_path, folder)
    assert cut["valid_fraction"]["A1"] == 1
    assert cut["score"]["A1"] == pytest.approx(plain, rel=1e-3)


def test_ids_beyond_float_precision_match_their_rows(tmp_path, noise):
    ids = [36407084763872845, 36407084763872847]
    np.savez(tmp_path / "a.npz", pixels=noise(2), pixel_scale=0.7, ids=np.array(ids))
    table = pa.table({"object_id": pa.array([*ids, None], pa.int64()), "z": [0.3, -99.0, 0.5]})
    pq.write_table(table, tmp_path / "c.parquet")
    scores = score(tmp_path, tmp_path / "a.npz", "--catalog", tmp_path / "c.parquet")
    assert sorted(scores.index) == [str(one) for one in ids]
    pd.DataFrame({"id": ids, "label": [1, 0]}).to_csv(tmp_path / "truth.csv", index=False)
    arguments = ["evaluate", tmp_path / "scores.csv", tmp_path / "truth.csv", "--out", tmp_path / "report"]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert "No id of the score table" not in result.stderr


def test_ids_with_leading_zeros_are_preserved_in_an_evaluation(tmp_path, noise):
    (tmp_path / "cut").mkdir()
    for k, pixels in enumerate(noise(4)):
        np.save(tmp_path / "cut" / f"{k:04d}.npy", pixels)
    scores = score(tmp_path, tmp_path / "cut", "--pixel-scale", "0.7", "--bands", "gri")
    assert sorted(scores.index) == ["0000", "0001", "0002", "0003"]
    (tmp_path / "truth.csv").write_text("id,label\n0000,1\n0001,0\n0002,0\n0003,1\n")
    arguments = ["evaluate", tmp_path / "scores.csv", tmp_path / "truth.csv", "--out", tmp_path / "report"]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("suffix", ["csv", "parquet", "fits", "votable"])
def test_non_ascii_and_non_utf8_names_are_written_to_every_format(tmp_path, noise, suffix):
    (tmp_path / "cut").mkdir()
    for name, pixels in zip((b"plain", "Abell-é".encode(), b"caf\xe9"), noise(3), strict=True):
        np.save(tmp_path / "one.npy", pixels)
        os.replace(tmp_path / "one.npy", os.fsencode(tmp_path / "cut") + b"/" + name + b".npy")
    out = tmp_path / f"s.{suffix}"
    arguments = ["score", tmp_path / "cut", "--pixel-scale", 0.7, "--bands", "gri", "--jobs", 1, "--out", out]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    rows = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out) if suffix == "parquet" else Table.read(out)
    names = {str(name) for name in rows["id"]}
    assert names == {"plain", "caf\\xe9", "Abell-\\u00e9" if suffix == "fits" else "Abell-é"}


@pytest.mark.parametrize("command", ["cutouts", "score"])
def test_a_bcg_at_minus_99_does_not_stop_the_run(tmp_path, command):
    folder = write(write(tmp_path / "im"), name="B", ra=RA + 1.0)
    (tmp_path / "c.csv").write_text("id,ra,dec,bcg_ra,bcg_dec\nA1,150.0,2.0,150.0003,2.0003\nB,151.0,2.0,-99,-99\n")
    images = [word for band in "gri" for word in ("--image", f"{band}={folder}")]
    out = tmp_path / ("cut" if command == "cutouts" else "s.csv")
    arguments = [command, "--catalog", tmp_path / "c.csv", *images, "--size", "40arcsec", "--out", out]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(out / "cutouts.csv" if command == "cutouts" else out)
    assert table["status"].tolist() == ["ok", "ok"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "# id,ra,dec\nA1,150.0,2.0\n",
        "\ufeffid;ra;dec\nA1;150.0;2.0\n",
        "_RAJ2000\t_DEJ2000\tName\ndeg\tdeg\t\n---\t---\t---\n150.0\t2.0\tA1\n",
        "objID,raMean,decMean\nA1,150.0,2.0\n",
    ],
)
def test_everyday_catalogues_give_the_same_table(tmp_path, plain, text):
    folder = write(tmp_path / "im")
    (tmp_path / "mine.txt").write_text(text, encoding="utf-8")
    images = [word for band in "gri" for word in ("--image", f"{band}={folder}")]
    table = score(tmp_path, "--catalog", tmp_path / "mine.txt", *images, "--size", "64arcsec")
    assert table["score"].to_dict() == {"A1": pytest.approx(plain, rel=1e-3)}
