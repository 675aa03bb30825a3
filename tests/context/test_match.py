"""Tests of matches between positions and known lenses."""

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from gridlens.context import all_matches, match_known_lenses, pair_prescreen
from gridlens.context._known import RADII
from gridlens.errors import GridlensError


def lenses_at(ra, dec, kinds="cluster", grades="probable"):
    names = [f"L{k}" for k in range(len(ra))]
    return pd.DataFrame({"name": names, "ra": ra, "dec": dec, "type": kinds, "grade": grades, "z": 0.3, "ref": "r"})


def test_matches_agree_with_astropy():
    rng = np.random.default_rng(0)
    ra = np.concatenate([rng.uniform(-0.05, 0.05, 60) % 360.0, rng.uniform(0.0, 360.0, 60), rng.uniform(0, 360, 60)])
    dec = np.concatenate([rng.uniform(-0.05, 0.05, 60), rng.uniform(89.97, 90.0, 60), -rng.uniform(89.97, 90.0, 60)])
    lenses = lenses_at(ra[::2], dec[::2], rng.choice(list(RADII), 90))
    found = all_matches(ra[1::2], dec[1::2], lenses)
    sep = SkyCoord(ra[1::2, None] * u.deg, dec[1::2, None] * u.deg).separation(
        SkyCoord(ra[::2] * u.deg, dec[::2] * u.deg)
    )
    within = sep.arcsec <= lenses["type"].map(RADII).to_numpy()
    assert within.any()
    assert sorted(zip(found["row"], found["lens"], strict=True)) == [tuple(pair) for pair in np.argwhere(within)]
    np.testing.assert_allclose(found["sep"], sep.arcsec[found["row"], found["lens"]], atol=1e-6)


def test_radius_depends_on_the_type():
    lenses = lenses_at([10.0, 20.0, 30.0], [0.0, 0.0, 0.0], ["galaxy", "group", "cluster"])
    for inside, expected in ((0.99, ["L0", "L1", "L2"]), (1.01, ["", "", ""])):
        dec = np.array(list(RADII.values())) / 3600.0 * inside
        found = match_known_lenses([10.0, 20.0, 30.0], dec, lenses)
        assert found["known_lens"].tolist() == expected


def test_best_match_and_number():
    lenses = lenses_at(
        [10.0, 10.0, 10.0, 50.0],
        [5.0 / 3600.0, 20.0 / 3600.0, 40.0 / 3600.0, 0.0],
        grades=["unverified", "probable", "confident", "contaminant"],
    )
    found = match_known_lenses([10.0, 50.0, np.nan, 0.0], [0.0, 0.0, 0.0, 95.0], lenses)
    assert found["known_lens"].tolist() == ["L1", "", "", ""]
    assert found["known_sep"][0] == pytest.approx(20.0)
    assert found["n_known"].tolist() == [3, 0, 0, 0]
    assert found["contaminant"].tolist() == ["", "L3", "", ""]
    assert found["known_chance"].notna().tolist() == [True, True, False, False]


def test_chance_matches_random_positions():
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0.0, 4.0, 20_000), rng.uniform(-2.0, 2.0, 20_000)
    found = match_known_lenses(ra, dec, lenses_at(rng.uniform(0, 4, 400), rng.uniform(-2, 2, 400)))
    inner = (np.abs(ra - 2.0) < 1.0) & (np.abs(dec) < 1.0)
    fraction = (found["n_known"] > 0)[inner].mean()
    assert found["known_chance"][inner].mean() == pytest.approx(fraction, rel=0.15)


def test_empty_input_and_wrong_shapes():
    assert len(match_known_lenses([], [])) == 0
    assert match_known_lenses([1.0], [1.0], lenses_at([], []))["known_lens"].tolist() == [""]
    with pytest.raises(ValueError, match=r"same length. Got the shapes \(1,\) and \(2,\)"):
        match_known_lenses([1.0], [1.0, 2.0])


def test_pairs_of_clusters():
    near = pd.DataFrame({"ra": [0.001, 50.0, 60.0], "dec": 0.0, "redshift": [0.3, 0.3, np.nan], "log_mass": 15.0})
    far = pd.DataFrame({"ra": [359.999, 50.0, 50.1, 50.0, 60.0], "dec": 0.0, "redshift": [0.9, 0.2, 0.9, 0.3, 0.9]})
    found = pair_prescreen(near, far)
    assert found[["foreground", "background"]].to_numpy().tolist() == [[0, 0]]
    assert found["sep"][0] == pytest.approx(7.2)
    assert found["efficiency"][0] > 0.5
    assert len(pair_prescreen(near, far, k=0.1)) == 0
    assert len(pair_prescreen(near[:0], far)) == 0
    with pytest.raises(GridlensError, match="without redshift"):
        pair_prescreen(near, far.drop(columns="redshift"))
    with pytest.raises(ValueError, match="'k' parameter must be positive"):
        pair_prescreen(near, far, k=0.0)
