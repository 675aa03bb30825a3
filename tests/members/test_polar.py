import naive_polar
import numpy as np
import pytest
from measuring import compiled_only, few, turned
from scenes import BLUE, add, arc, cluster, plain_noise, scenes
from sklearn.metrics import roc_auc_score

from gridlens import CutoutSet
from gridlens.members._polar import POLAR_NAMES, PolarMember, polar_features
from gridlens.stacking import Member
from gridlens.testing import check_member


def row(pixels, bcg_xy, pixel_scale):
    return polar_features(CutoutSet(pixels[None], bcg_xy=bcg_xy, pixel_scale=pixel_scale))[0]


def column(name):
    return POLAR_NAMES.index(name)


def compare(cases):
    """Return the fraction of entries that agree with the slow reference to 1e-3, absolute or relative."""
    agreed = []
    for name, pixels, bcg_xy, scale in few(cases):
        found, expected = row(pixels, bcg_xy, scale), naive_polar.polar_features(pixels, bcg_xy, scale)
        close = np.isclose(found, expected, rtol=1e-3, atol=1e-3, equal_nan=True)
        # Missing entries are missing in both, without exception.
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected), err_msg=name)
        assert close.mean() > 0.95, (name, [POLAR_NAMES[k] for k in np.flatnonzero(~close)])
        agreed.append(close.mean())
    return np.mean(agreed)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_parity_on_the_scenes(seed):
    assert compare(scenes(seed)) > 0.99


def test_parity_for_any_place_of_the_bcg():
    rng = np.random.default_rng(7)
    places = [(-0.5, -0.5), (63, 0), (63.4, 63.4), (31, 31), (2.5, 61.5), (40.2, -0.3), (15.3, 30)]
    assert compare([(str(xy), *cluster(rng, 64, bcg=xy, arc_px=15), 0.8) for xy in places]) > 0.99


def test_parity_on_unusual_images():
    rng = np.random.default_rng(9)
    size, centre = 72, (35.5, 35.5)
    hot = plain_noise(rng, size)[0]
    hot[20, 30] = 3e8
    ring = plain_noise(rng, size)[0].astype(float)
    add(ring, arc(size, *centre, 22, 0.0, 7.0), 12.0, BLUE)
    holes = plain_noise(rng, size)[0]
    holes[:, 40:54] = np.nan
    cases = [("hot", hot), ("ring", ring.astype(np.float32)), ("holes", holes), ("tiny", 1e-12 * hot)]
    assert compare([(name, pixels, centre, scale) for name, pixels in cases for scale in (0.4, 1.0)]) > 0.99


@compiled_only
def test_flips_and_quarter_turns_change_little():
    for seed in range(3):
        # The mesh divides this size; otherwise its remainder would be on another side after a turn.
        pixels, bcg_xy = cluster(np.random.default_rng(seed), 128, bcg=(60.3, 66.1), arc_px=30)
        first = row(pixels, bcg_xy, 0.5)
        for k in range(1, 8):
            other = row(*turned(pixels, bcg_xy, k), 0.5)
            # Noise is measured along rows, so it differs by one or two per cent after a quarter turn.
            close = np.isclose(other, first, rtol=0.1, atol=0.05)
            assert close.mean() > 0.95, [POLAR_NAMES[i] for i in np.flatnonzero(~close)]


@compiled_only
@pytest.mark.parametrize(("factor", "rtol"), [(2.0**-20, 0.0), (64.0, 0.0), (1e-6, 1e-3), (777.0, 1e-3)])
def test_a_flux_factor_changes_nothing(factor, rtol):
    pixels, bcg_xy = cluster(np.random.default_rng(4), 128, arc_px=28)
    first, other = (row(np.float32(f) * pixels, bcg_xy, 0.5) for f in (1.0, factor))
    close = np.isclose(other, first, rtol=rtol, atol=rtol)
    assert close.mean() > 0.99 if rtol else close.all()


def test_rings_outside_of_the_cutout_are_unknown():
    # The cutout is 30 arcsec across: the first two bins end within 15 arcsec, the third one does not.
    found = row(*cluster(np.random.default_rng(1), 60, arc_px=20), 0.5)
    for radius, known in [("4_8", True), ("8_12", True), ("16_20", False), ("20_26", False), ("26_32", False)]:
        bin_columns = [k for k, name in enumerate(POLAR_NAMES) if f"_{radius}_" in name]
        assert np.isfinite(found[bin_columns]).all() == known, radius
        assert np.isnan(found[bin_columns]).all() != known, radius
    # Pixels beyond the cutout must not be guessed from those within: a cutout of 5 arcsec has no known feature at all.
    assert np.isnan(row(*plain_noise(np.random.default_rng(1), 50), 0.1)).all()


def test_an_arc_is_distinguished_from_a_spike():
    size, centre, rng = 128, (63.5, 63.5), np.random.default_rng(2)
    noise = plain_noise(rng, size)[0]
    with_arc, with_spike = noise.astype(float), noise.astype(float)
    add(with_arc, arc(size, *centre, 28, 0.6, 0.8), 6.0, BLUE)
    y, x = np.mgrid[:size, :size]
    spike = np.exp(-0.5 * ((y - 63.5) / 1.2) ** 2) * (np.abs(x - 63.5 - 28) < 12)
    add(with_spike, spike, 6.0, BLUE)
    arc_row, spike_row = (row(image.astype(np.float32), centre, 0.5) for image in (with_arc, with_spike))
    ratio, run = column("white_12_16_arc_over_spike_broad"), column("white_12_16_run")
    assert arc_row[ratio] > 0.5 > -0.5 > spike_row[ratio]
    # 28 px x 0.8 rad x 0.5 arcsec, plus the reach of the filter at both ends.
    assert 11.2 < arc_row[run] < 17.0
    assert spike_row[run] < 8.0
    assert (
        arc_row[column("white_12_16_arc_narrow_long")]
        > 2 * row(noise, centre, 0.5)[column("white_12_16_arc_narrow_long")]
    )


def test_a_rejected_cutout_and_empty_input():
    pixels = np.stack([plain_noise(np.random.default_rng(k), 64)[0] for k in range(3)])
    pixels[1] = np.nan
    found = polar_features(CutoutSet(pixels, pixel_scale=1.0))
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).any(axis=1).all()
    assert polar_features(CutoutSet(pixels[:0])).shape == (0, len(POLAR_NAMES))
    with pytest.raises(TypeError, match="'cutouts' parameter must be a CutoutSet"):
        polar_features(pixels)


def test_features_do_not_depend_on_other_cutouts():
    cases = [np.float32(k + 1) * cluster(np.random.default_rng(k), 64, arc_px=12)[0] for k in range(3)]
    cases[1][:, 40:50] = np.nan
    together = polar_features(
        CutoutSet(np.stack(cases), pixel_scale=0.9, bcg_xy=[(31.5, 31.5), (10, 50), (31.5, 31.5)])
    )
    np.testing.assert_array_equal(together[2], row(cases[2], (31.5, 31.5), 0.9))


@pytest.fixture(scope="module")
def sky():
    """Return 160 cutouts, half of them with a blue arc, and their labels."""
    rng = np.random.default_rng(5)
    images, y = [], np.arange(160) % 2
    for label in y:
        image, centre = plain_noise(rng, 64)
        image = image.astype(float)
        add(image, arc(64, *centre, rng.uniform(8, 20), rng.uniform(0, 6), 1.0), 3.0 * label, BLUE)
        images.append(image)
    return CutoutSet(np.stack(images), pixel_scale=1.0), y


@pytest.mark.slow
@compiled_only
def test_the_member_keeps_the_contract():
    assert isinstance(PolarMember(), Member)
    check_member(PolarMember(n_estimators=10))


def test_arcs_in_new_cutouts_are_found(sky):
    cutouts, y = sky
    member = PolarMember(n_estimators=60, min_child_samples=5).fit(cutouts[:100], y[:100])
    assert roc_auc_score(y[100:], member.predict_proba(cutouts[100:])[:, 1]) > 0.9


def test_features_can_replace_cutouts(sky):
    cutouts, y = sky
    rows = polar_features(cutouts)
    one, two = (PolarMember(n_estimators=10).fit(X, y) for X in (cutouts, rows))
    np.testing.assert_array_equal(one.predict_proba(rows), two.predict_proba(cutouts))


def test_a_cutout_without_features_has_no_probability(sky):
    cutouts, y = sky
    member = PolarMember(n_estimators=5).fit(cutouts, y)
    narrow = CutoutSet(plain_noise(np.random.default_rng(0), 50)[0][None], pixel_scale=0.1)
    assert np.isnan(member.predict_proba(narrow)).all()


def test_weights_count(sky):
    cutouts, y = sky
    rows = polar_features(cutouts)
    plain = PolarMember(n_estimators=20).fit(rows, y).predict_proba(rows)[:, 1]
    heavy = (
        PolarMember(n_estimators=20).fit(rows, y, sample_weight=np.where(y == 1, 10.0, 1.0)).predict_proba(rows)[:, 1]
    )
    assert heavy.mean() > plain.mean() + 0.1


def test_a_loaded_member_scores_identically(tmp_path, sky):
    member = PolarMember(n_estimators=5, num_leaves=7).fit(*sky)
    member.save(tmp_path)
    again = PolarMember.load(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(sky[0]), member.predict_proba(sky[0]))
    assert again.get_params() == member.get_params()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".npz", ".txt"]


@pytest.mark.parametrize("y", [np.zeros(160), np.ones(159), np.full(160, 2)])
def test_invalid_labels_are_refused(sky, y):
    with pytest.raises(ValueError, match="'y' parameter must contain one 0 or 1"):
        PolarMember().fit(sky[0], y)


def test_inputs_of_another_type_are_refused(sky):
    with pytest.raises(TypeError, match=r"must be a CutoutSet, or an array of 144 columns.*shape \(160, 315\)"):
        PolarMember().fit(np.zeros((160, 315)), sky[1])
