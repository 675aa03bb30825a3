"""Tests of the Einstein radii expected from the mass proxy of a cluster."""

import naive_expected
import numpy as np
import pandas as pd
import pytest

from gridlens.lensing import (
    draw_einstein_radius,
    einstein_radius_distribution,
    nfw_einstein_radius,
    sis_einstein_radius,
)
from gridlens.lensing._mass_proxies import PROXIES

RADII = ["theta_e_p16", "theta_e_p50", "theta_e_p84"]
CLUSTERS = [
    ("richness", 35.0, 0.35, 2.0),
    ("log_mass", 14.9, 0.6, 2.0),
    ("log_xray_luminosity", 44.6, 0.25, 1.0),
    ("velocity_dispersion", 900.0, 0.45, 3.0),
    ("richness", 15.0, 0.8, 1.2),
]


@pytest.mark.slow
@pytest.mark.parametrize(("proxy", "value", "redshift", "source"), CLUSTERS)
def test_percentiles_and_probability_match_slow_draws(proxy, value, redshift, source):
    radii = naive_expected.drawn(proxy, value, redshift, source, size=1500, seed=0.5)
    found = einstein_radius_distribution(redshift, source_redshift=source, **{proxy: value}).iloc[0]
    np.testing.assert_allclose(found[RADII].astype(float), np.percentile(radii, [16, 50, 84]), rtol=0.025)
    assert found["p_theta_e_gt_10"] == pytest.approx((radii > 10.0).mean(), abs=0.012)
    assert found["proxy"] == proxy


@pytest.mark.parametrize(("proxy", "value", "redshift", "source"), CLUSTERS)
def test_draws_have_the_distribution(proxy, value, redshift, source):
    found = einstein_radius_distribution(redshift, source_redshift=source, **{proxy: value}).iloc[0]
    radii = draw_einstein_radius(
        np.random.default_rng(2), np.full(20_000, redshift), source_redshift=source, **{proxy: value}
    )
    np.testing.assert_allclose(np.percentile(radii, [16, 50, 84]), found[RADII].astype(float), rtol=0.025)
    assert (radii > 10.0).mean() == pytest.approx(found["p_theta_e_gt_10"], abs=0.01)


def test_interpolated_table_matches_the_draws():
    """The draws solve for each Einstein radius, while the distribution interpolates in a table."""
    rng = np.random.default_rng(3)
    redshift, richness, source = rng.uniform(0.05, 1.2, 20), rng.uniform(10.0, 200.0, 20), rng.uniform(1.3, 4.0, 20)
    known = {"richness": richness, "source_redshift": source}
    radii = draw_einstein_radius(rng, np.tile(redshift, (10_000, 1)), **known)
    found = einstein_radius_distribution(redshift, **known)[RADII].to_numpy()
    np.testing.assert_allclose(found, np.percentile(radii, [16, 50, 84], axis=0).T, rtol=0.045)


def test_a_light_cluster_is_between_reference_radii():
    """At 1e14 solar masses, z = 0.3 and 300 km/s, concentrations of 4 and 6 give radii of 3.9 and 5.2 arcsec."""
    goldens = nfw_einstein_radius(1e14, [4.0, 6.0], 0.3, 2.0, bcg_dispersion=300.0)
    np.testing.assert_allclose(goldens, [3.9, 5.2], atol=0.06)
    found = einstein_radius_distribution(0.3, log_mass=14.0).iloc[0]
    # The typical concentration is 4.2.
    assert found["theta_e_p50"] == pytest.approx(4.0, abs=0.15)
    assert found["theta_e_p84"] == pytest.approx(5.3, abs=0.15)
    # An NFW halo without a galaxy would have 0.2 arcsec.
    assert found["theta_e_p16"] > float(sis_einstein_radius(250.0, 0.3, 2.0))
    assert found["p_theta_e_gt_10"] < 0.005
    # The reference radius for 5e14 solar masses and a concentration of 4 is 8.5 arcsec.
    assert 0.2 < einstein_radius_distribution(0.3, log_mass=np.log10(5e14))["p_theta_e_gt_10"][0] < 0.45


def test_sdss_clusters():
    """The radii agree with Zitrin et al. 2012: log-normal, with a mean log10 of 0.73 and a scatter of 0.316 dex.

    Their radii come from images, with the mass traced by the galaxies. Round halos scatter less. The sample follows a
    power law of richness above 20, in the same range of redshifts.
    """
    rng = np.random.default_rng(4)
    redshift = rng.uniform(0.1**3, 0.55**3, 3000) ** (1.0 / 3.0)
    richness = 20.0 * rng.uniform(size=3000) ** (-1.0 / 2.2)
    logs = np.log10(draw_einstein_radius(rng, redshift, richness=richness))
    assert np.nanmean(logs) == pytest.approx(0.73, abs=0.1)
    assert 0.15 < np.nanstd(logs) < 0.35


def test_radii_grow_with_the_mass_and_the_source():
    found = einstein_radius_distribution(0.4, richness=np.linspace(10.0, 200.0, 60))
    assert (np.diff(found[[*RADII, "p_theta_e_gt_10"]], axis=0) > 0.0).all()
    found = einstein_radius_distribution(0.4, richness=80.0, source_redshift=np.linspace(0.45, 5.0, 60))
    assert (np.diff(found[[*RADII, "p_theta_e_gt_10"]], axis=0) >= 0.0).all()
    assert found["p_theta_e_gt_10"].between(0.0, 1.0).all()


def test_the_best_proxy_is_used_for_each_row():
    nan = np.nan
    found = einstein_radius_distribution(
        [0.4, 0.4, 0.4, 0.4, 0.4, nan, 5.0, -1.0],
        log_mass=[14.5, nan, -99.0, nan, nan, 14.5, 14.5, 14.5],
        log_xray_luminosity=[44.0, 44.0, nan, nan, nan, 44.0, 44.0, 44.0],
        richness=[50.0, 50.0, 50.0, 0.0, -1.0, 50.0, 50.0, 50.0],
        velocity_dispersion=[900.0, 900.0, 900.0, 900.0, nan, 900.0, 900.0, 900.0],
    )
    assert list(found["proxy"]) == [*PROXIES, "", "", "", ""]
    assert found.iloc[:4, :4].notna().all(axis=None)
    assert found.iloc[4:, :4].isna().all(axis=None)
    assert list(found["proxy"]) == list(found["proxy"].astype(str))


def test_a_source_not_behind_the_cluster():
    found = einstein_radius_distribution(0.5, richness=80.0, source_redshift=[0.0, 0.3, 0.5, 0.5001, np.nan])
    np.testing.assert_array_equal(found.iloc[:3, :4], 0.0)
    assert (found.loc[3, RADII] < 0.05).all()
    assert found.loc[3, "p_theta_e_gt_10"] < 1e-9
    assert found.iloc[4, :4].isna().all()
    radii = draw_einstein_radius(np.random.default_rng(0), 0.5, richness=80.0, source_redshift=[0.0, 0.5, 2.0, np.nan])
    np.testing.assert_array_equal(radii[:2], 0.0)
    assert radii[2] > 1.0
    assert np.isnan(radii[3])


def test_scalar_empty_and_array_input():
    found = einstein_radius_distribution(0.3, richness=40.0)
    assert isinstance(found, pd.DataFrame)
    assert list(found.columns) == [*RADII, "p_theta_e_gt_10", "proxy"]
    assert len(found) == 1
    assert len(einstein_radius_distribution([], richness=[])) == 0
    assert einstein_radius_distribution([0.3, 0.4]).isna().to_numpy().sum() == 8
    rng = np.random.default_rng(0)
    assert draw_einstein_radius(rng, 0.3, richness=40.0).shape == ()
    assert draw_einstein_radius(rng, [[0.3], [0.4]], richness=[40.0, 50.0, np.nan]).shape == (2, 3)
    assert np.isnan(draw_einstein_radius(rng, 0.3))
    assert draw_einstein_radius(rng, []).shape == (0,)
    with pytest.raises(ValueError, match=r"one-dimensional arrays. Got arrays of shape \(1, 2\) instead"):
        einstein_radius_distribution([[0.3, 0.4]], richness=40.0)
    with pytest.raises(ValueError, match=r"'source_redshift' parameter must be between 0 and 20. Got 21.0"):
        einstein_radius_distribution(0.3, richness=40.0, source_redshift=21.0)


def test_a_row_does_not_depend_on_the_others():
    rng = np.random.default_rng(5)
    known = {"richness": rng.uniform(5.0, 300.0, 50), "source_redshift": rng.uniform(0.2, 3.0, 50)}
    redshift = rng.uniform(0.0, 3.2, 50)
    whole = einstein_radius_distribution(redshift, **known)
    alone = [
        einstein_radius_distribution(redshift[k], **{name: values[k] for name, values in known.items()})
        for k in range(50)
    ]
    pd.testing.assert_frame_equal(whole, pd.concat(alone, ignore_index=True))
    first = draw_einstein_radius(np.random.default_rng(6), redshift, **known)
    np.testing.assert_array_equal(first, draw_einstein_radius(np.random.default_rng(6), redshift, **known))


def test_an_unknown_cluster_uses_as_many_draws():
    """Each cluster takes the same number of random draws, whether its mass is known or not."""
    rng, other = np.random.default_rng(7), np.random.default_rng(7)
    draw_einstein_radius(rng, 0.3, richness=np.nan)
    draw_einstein_radius(other, 0.3, richness=40.0)
    assert rng.random() == other.random()
