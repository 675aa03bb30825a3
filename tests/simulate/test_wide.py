"""Tests of randomised galaxies, sources and impostors: separate random streams, wide ranges, correct truth."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gridlens.simulate import SceneSettings, simulate_scene
from gridlens.simulate import _scene as scene_module
from gridlens.simulate._canvas import Canvas, Geometry, band_fluxes
from gridlens.simulate._lens import ClusterMass, critical_radius
from gridlens.simulate._population import Cluster, draw_cluster, draw_field
from gridlens.simulate._randomised import Streams
from gridlens.simulate._sources import draw_lensed
from gridlens.simulate._wide_discs import draw_disc
from gridlens.simulate._wide_galaxies import Blank, draw_wide_cluster
from gridlens.simulate._wide_impostors import WIDE_IMPOSTORS, draw_wide_impostors
from gridlens.simulate._wide_lens import _strength, draw_wide_mass, draw_wide_sources

MEMBERS = np.array([[0.0, 0.0, 4.0], [9.0, 3.0, 1.0]])
CLUSTER = Cluster(0.4, 50.0, (0.0, 0.0), 18.0, 0.3, MEMBERS)


def canvas():
    return Canvas(Geometry(), 1e-3)


def scene(index, *names, lens=1.0):
    return simulate_scene(21, index, SceneSettings(lens_fraction=lens, varied_fraction=0.0, randomisation=names))


def wide_in(index, name):
    return Streams(21, index, (name,)).in_half(name) is not None


def test_an_ingredient_is_randomised_in_half_of_the_scenes():
    for name in ("galaxies", "sources", "impostors"):
        assert 0.42 < np.mean([wide_in(index, name) for index in range(500)]) < 0.58


def test_plain_scenes_of_a_randomised_set_match_a_plain_set():
    index = next(k for k in range(50) if not any(wide_in(k, n) for n in ("galaxies", "sources", "impostors")))
    np.testing.assert_array_equal(scene(index, "galaxies", "sources", "impostors").pixels, scene(index).pixels)


@pytest.mark.parametrize("name", ["galaxies", "impostors"])
def test_galaxies_and_impostors_do_not_change_the_rest_of_a_scene(monkeypatch, name):
    """The random numbers of the stars, the lens and the sources are those of the plain scene."""
    # Some scenes with randomised impostors contain no impostor.
    index = next(k for k in range(50) if wide_in(k, name) and (name == "galaxies" or scene(k, name).truth["impostor"]))
    states = []
    parts = scene_module.PLAIN

    def stars(rng, sheet):
        states.append(rng.bit_generator.state)
        return parts.stars(rng, sheet)

    monkeypatch.setattr(scene_module, "PLAIN", replace(parts, stars=stars))
    plain, wide = scene(index), scene(index, name)
    assert states[0] == states[1]
    assert not np.array_equal(plain.pixels, wide.pixels)
    assert wide.truth["theta_e_halo"] == plain.truth["theta_e_halo"]
    assert wide.truth["source_mag_r"] == plain.truth["source_mag_r"]


def test_sources_change_only_the_arc():
    index = next(k for k in range(50) if wide_in(k, "sources"))
    plain, wide = scene(index), scene(index, "sources")
    assert not np.array_equal(plain.arc, wide.arc)
    for name in ("bcg_mag_r", "impostor", "richness", "seeing", "depth", "artefact", "bcg_x"):
        np.testing.assert_equal(wide.truth[name], plain.truth[name])
    assert np.array_equal(scene(index, "sources", lens=0.0).pixels, scene(index, lens=0.0).pixels)


def test_a_blank_canvas_uses_the_same_random_numbers():
    drawn, blank = np.random.default_rng(4), np.random.default_rng(4)
    empty = Blank(Geometry(), 1e-3)
    for rng, sheet in ((drawn, canvas()), (blank, empty)):
        draw_cluster(rng, sheet, 0.4, 40.0)
        draw_field(rng, sheet)
    assert drawn.bit_generator.state == blank.bit_generator.state
    assert not empty.images.any()


def test_members_scatter_about_the_richness_and_some_bcgs_have_none():
    blank = Blank(Geometry(), 1e-3)
    clusters = [draw_wide_cluster(np.random.default_rng(seed), blank, 0.4, 60.0) for seed in range(200)]
    alone = [cluster for cluster in clusters if cluster.richness < 60.0]
    assert 0.08 < len(alone) / 200 < 0.22
    assert all(len(cluster.members) == 1 for cluster in alone)
    counts = [len(cluster.members) - 1 for cluster in clusters if cluster.richness == 60.0]
    assert 0.45 * 30.0 - 15.0 < min(counts) < 20 < 45 < max(counts) < 2.2 * 30.0 + 30.0
    knees = [cluster.bcg_mag for cluster in clusters]
    assert np.ptp(knees) > 1.4


@pytest.mark.parametrize("structured", [False, True])
def test_a_disc_has_the_given_flux(structured):
    """A bar adds a tenth of the light, and wings below the floor are not drawn."""
    for seed in range(6):
        sheet = Canvas(Geometry(), 1e-7)
        shape = {"axis_ratio": 0.7, "angle": 0.5, "structured": structured}
        draw_disc(np.random.default_rng(seed), sheet, 0.0, 0.0, 2.0, 19.0, (0.6, 0.3), **shape)
        assert 0.94 < sheet.images[1].sum() / band_fluxes(19.0, 0.6, 0.3)[1] < 1.13


def test_a_finite_halo_has_the_given_einstein_radius():
    for seed in range(60):
        mass = draw_wide_mass(np.random.default_rng(seed), 0.4, 12.0, (0.0, 0.0), 0.0, MEMBERS[:0])
        assert mass.offset == 0.0 or 10.0 <= mass.offset <= 40.0
        assert math.isnan(mass.extra.get("core", math.nan)) != math.isnan(mass.extra.get("scale_radius", math.nan))
        if mass.halo == "PJAFFE" and mass.offset == 0.0:
            assert critical_radius(mass, (0.0, 0.0))[0] == pytest.approx(12.0, rel=0.2)
    x = 12.0
    assert _strength(x, 1e-6, 1e9) == pytest.approx(x, rel=1e-6)


def test_sources_are_within_their_ranges_and_components_add_up():
    rng = np.random.default_rng(1)
    mass = draw_wide_mass(rng, 0.4, 15.0, (0.0, 0.0), 0.0, MEMBERS)
    _, curve = critical_radius(mass, (0.0, 0.0))
    sources = [s for _ in range(150) for s in draw_wide_sources(rng, mass, curve, (0.0, 0.0), False)]
    mags, colours = np.array([s.r_mag for s in sources]), np.array([s.colours[0] for s in sources])
    assert 21.5 <= mags.min() < 21.8 < 26.2 < mags.max() <= 26.5
    assert -0.1 <= colours.min() < 0.0 < 1.4 < colours.max() <= 1.6
    for source in sources:
        np.testing.assert_allclose(sum(np.asarray(part[-1]) for part in source.components), np.ones(3), rtol=1e-9)
        assert all(0.03 <= part[2] <= 1.6 and 0.5 <= part[3] <= 4.0 for part in source.components)
    assert max(len(source.components) for source in sources) >= 14


def test_lensed_light_has_the_colours_of_its_components():
    """Without a lens, the flux of a clumpy source corresponds to its magnitude in each band."""
    rng = np.random.default_rng(3)
    mass = ClusterMass(draw_wide_mass(rng, 0.4, 15.0, (0.0, 0.0), 0.0, MEMBERS).model.scaled(0.0), 0.4, 15.0, "NIE")
    for source in draw_wide_sources(rng, mass, np.empty((0, 2)), (0.0, 0.0), False):
        sheet = canvas()
        assert draw_lensed(sheet, mass, [source]) == pytest.approx(1.0, abs=0.06)
        expected = band_fluxes(source.r_mag, *source.colours)
        np.testing.assert_allclose(sheet.images.sum(axis=(1, 2)) / expected, 1.0, atol=0.06)


def test_the_truth_of_a_randomised_lens_matches_its_arc():
    for index in range(4):
        drawn = scene(index, "galaxies", "sources", "impostors")
        assert drawn.truth["arc_mag_r"] == pytest.approx(27.0 - 2.5 * math.log10(drawn.arc[..., 1].sum()), abs=1e-3)
        assert np.isfinite(drawn.pixels).any()
        assert drawn.truth["theta_e"] > 0.0


@pytest.mark.parametrize("kind", WIDE_IMPOSTORS)
def test_an_impostor_leaves_light_in_all_bands(kind):
    sheet = canvas()
    WIDE_IMPOSTORS[kind](np.random.default_rng(2), sheet, CLUSTER)
    assert (sheet.images.sum(axis=(1, 2)) > 0.0).all()
    assert (sheet.images >= 0.0).all()


def test_nearby_spirals_are_only_in_scenes_without_a_lens():
    kinds = {True: [], False: []}
    for seed in range(60):
        for is_lens in kinds:
            cluster, names = draw_wide_impostors(
                np.random.default_rng(seed), Blank(Geometry(64), 1.0), CLUSTER, is_lens=is_lens
            )
            kinds[is_lens].append(names)
            if cluster is not CLUSTER:
                assert 14.0 <= cluster.bcg_mag <= 17.0
    spirals = [sum("nearby-spiral" in names for names in kinds[is_lens]) for is_lens in (True, False)]
    assert spirals[0] == 0
    assert 3 <= spirals[1] <= 20
    assert 0.4 < np.mean([bool(names) for names in kinds[True]]) < 0.8
