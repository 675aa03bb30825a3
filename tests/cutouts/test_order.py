"""Tests that bands in reversed order are recognised by the colours of the central galaxy."""

import numpy as np
import pytest
from click.testing import CliRunner

import gridlens
from gridlens import CutoutSet
from gridlens.cli import main
from gridlens.cutouts import CutoutFlag, quality_flags, read_batches, write_npz
from gridlens.cutouts._order import is_reversed, order_warning
from gridlens.engine._batches import score_batches

WORDS = "colours of the central galaxies look reversed in"


def is_flagged(cutouts):
    return (quality_flags(cutouts) & CutoutFlag.BAND_ORDER != 0).tolist()


def test_only_a_reversed_red_galaxy_is_flagged(noise):
    pixels = noise(3)
    assert is_flagged(CutoutSet(pixels)) == [False] * 3
    assert is_flagged(CutoutSet(pixels[..., ::-1])) == [True] * 3
    # Pictures have no photometry, so they are not flagged.
    assert is_flagged(CutoutSet(pixels[..., ::-1], flags=int(CutoutFlag.UNCALIBRATED))) == [False] * 3


@pytest.mark.parametrize("factors", [(1.0, 1.0, 1.0), (1.5, 1.0, 1.0), (1.5, 1.0, 0.95), (1.0, 1.5, 1.0)])
def test_other_colours_are_not_flagged(noise, factors):
    pixels = noise(1)[..., 1:2] * np.float32(factors)
    assert is_flagged(CutoutSet(pixels)) == [False]


def test_unmeasurable_cutouts_are_not_flagged(noise):
    pixels = noise(1)[..., ::-1]
    faint = np.random.default_rng(0).normal(size=(1, 64, 64, 3)) + 0.01 * pixels
    bad = pixels.copy()
    bad[:, 31, 31] = np.nan
    infinite = pixels.copy()
    infinite[:, 33, 33, 1] = np.inf
    for unclear in (faint, bad, infinite):
        assert is_flagged(CutoutSet(unclear)) == [False]
    for xy in ((0.0, 31.5), (31.5, 63.0), (np.nan, 31.5), (-40.0, 10.0)):
        assert is_flagged(CutoutSet(pixels, bcg_xy=xy)) == [False]
    assert not is_reversed(np.moveaxis(pixels[0], -1, 0), np.array([31.5, 31.5]), np.nan)


def test_the_warning_requires_most_cutouts():
    assert order_warning(0, 0) == order_warning(10, 20) == ""
    assert f"{WORDS} 11 of 20 cutouts" in order_warning(11, 20)


def test_a_set_of_reversed_cutouts_warns_once_and_is_scored(tmp_path, noise, detector):
    write_npz(tmp_path / "a.npz", CutoutSet(noise(6)[..., ::-1], ids=list("abcdef")))
    write_npz(tmp_path / "b.npz", CutoutSet(noise(3, seed=1), ids=list("xyz")))
    with pytest.warns(UserWarning, match=f"{WORDS} 6 of 9 cutouts") as caught:
        table = gridlens.score(tmp_path, n_jobs=1)
    assert len(caught) == 1
    flagged = table["flags"].to_numpy() & CutoutFlag.BAND_ORDER != 0
    assert set(table["id"][flagged]) == set("abcdef")
    assert table["message"][flagged].str.contains("as in the order i, r, g").all()
    assert table["p_lens"].notna().all()
    with pytest.warns(UserWarning, match=f"{WORDS} 6 of 9 cutouts"):
        score_batches(detector, read_batches(tmp_path))
    result = CliRunner().invoke(main, ["score", str(tmp_path), "--jobs", "1"])
    (line,) = [line for line in result.stderr.splitlines() if WORDS in line]
    assert "with --bands irg, or" in line
    # With the true order stated, no cutout is flagged.
    stated = gridlens.score(tmp_path / "a.npz", bands="irg", n_jobs=1)
    assert not (stated["flags"].to_numpy() & CutoutFlag.BAND_ORDER).any()
