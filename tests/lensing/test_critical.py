"""Tests of critical curves, caustics, Einstein radii and the images of a point source."""

import math

import numpy as np
import pytest

from gridlens.lensing import (
    DPIE,
    NFW,
    SIE,
    ExternalShear,
    MassModel,
    SersicSource,
    caustics,
    critical_curves,
    einstein_radius,
    image_positions,
    render_sources,
)

MEMBERS = [DPIE(1.0, 0.05, 4.0, *place) for place in np.random.default_rng(1).uniform(-20.0, 20.0, (12, 2)).tolist()]
CLUSTER = MassModel(
    [NFW.from_einstein_radius(15.0, 50.0, axis_ratio=0.7, angle=0.3), ExternalShear(0.05, 1.0), *MEMBERS]
)
LENSES = {
    "sie": MassModel([SIE(8.0, 0.3, -0.2, 0.7, 0.4)]),
    "cored": MassModel([SIE(12.0, axis_ratio=0.8, angle=1.0, core=1.0), ExternalShear(0.05, 0.2)]),
    "nfw": MassModel([NFW.from_einstein_radius(15.0, 50.0, axis_ratio=0.8, angle=0.3)]),
    "cluster": CLUSTER,
}


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
@pytest.mark.parametrize("kind", ["tangential", "radial"])
def test_an_eigenvalue_is_0_on_a_critical_curve(lens, kind):
    curves = critical_curves(lens, 40.0, kind=kind)
    assert bool(curves) != (lens is LENSES["sie"] and kind == "radial")
    for curve in curves:
        value = lens.eigenvalues(*curve.T)[kind == "radial"]
        # Near a core the eigenvalue is steep.
        assert np.abs(value).max() < 1e-6
        assert (np.hypot(*(np.roll(curve, 1, axis=0) - curve).T) < 0.5 * math.sqrt(5.0) + 1e-9).all()


def test_a_round_isothermal_lens_has_a_circle_and_a_point():
    lens = MassModel([SIE(5.0, 1.0, 2.0)])
    (curve,) = critical_curves(lens, 10.0)
    np.testing.assert_allclose(np.hypot(*(curve - (1.0, 2.0)).T), 5.0, atol=1e-7)
    (caustic,) = caustics(lens, [curve])
    np.testing.assert_allclose(caustic, np.broadcast_to((1.0, 2.0), caustic.shape), atol=1e-7)


@pytest.mark.parametrize("axis_ratio", [1.0, 0.7, 0.4])
def test_einstein_radius_by_area(axis_ratio):
    # The critical curve of an SIE, on which the convergence is 1/2, encloses the area of the circle.
    lens = MassModel([SIE(5.0, axis_ratio=axis_ratio, angle=0.4)])
    assert einstein_radius(lens, 12.0) == pytest.approx(5.0, rel=1e-3)
    assert einstein_radius(lens, 12.0, step=0.02) == pytest.approx(5.0, rel=1e-4)


def test_a_core_lowers_the_einstein_radius():
    expected = math.sqrt(12.0**2 - 2.0 * 12.0 * 2.0)
    assert einstein_radius(MassModel([SIE(12.0, core=2.0)]), 20.0) == pytest.approx(expected, rel=1e-3)


def test_no_curve():
    weak = MassModel([SIE(1.0, core=3.0)])
    assert critical_curves(weak, 10.0) == []
    assert einstein_radius(weak, 10.0) == 0.0
    assert caustics(weak, []) == []


def test_curves_are_in_order_of_their_area():
    curves = critical_curves(CLUSTER, 40.0, step=0.1)
    assert len(curves) > 2
    areas = [np.ptp(curve[:, 0]) * np.ptp(curve[:, 1]) for curve in curves]
    assert areas[0] == max(areas)
    # A curve does not cross itself, so its points are distinct.
    for curve in curves:
        assert len(np.unique(curve.round(9), axis=0)) == len(curve)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"half_width": 0.0}, "'half_width' parameter must be above 0"),
        ({"half_width": 6.0}, "'half_width' parameter must be large enough .* Use a larger one"),
        (
            {"half_width": 900.0},
            "'step' parameter must be smaller than the critical curve.* Use a smaller step or window",
        ),
        ({"half_width": 9.0, "step": -1.0}, "'step' parameter must be above 0"),
        ({"half_width": 9.0, "kind": "both"}, "'kind' parameter must be 'tangential' or 'radial'. Got 'both'"),
    ],
)
def test_out_of_range_windows_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        critical_curves(MassModel([SIE(5.0, 5.6, 5.6)]), **arguments)


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_images_solve_the_lens_equation_and_are_complete(lens):
    """A lens without singularity has an odd number of images, one more upright than mirrored."""
    for x, y in np.random.default_rng(2).uniform(-12.0, 12.0, (8, 2)):
        images = image_positions(lens, x, y, 45.0, min_magnification=0.0)
        np.testing.assert_allclose(lens.trace(images.x, images.y)[0], x, atol=1e-8)
        np.testing.assert_allclose(lens.trace(images.x, images.y)[1], y, atol=1e-8)
        np.testing.assert_allclose(lens.magnification(images.x, images.y), images.magnification)
        assert (np.diff(np.abs(images.magnification)) <= 0.0).all()
        if lens is not LENSES["sie"]:
            assert np.sign(images.magnification).sum() == 1


def test_images_of_a_round_isothermal_lens():
    images = image_positions(MassModel([SIE(5.0)]), 0.6, 0.8, 10.0)
    np.testing.assert_allclose(images.x, [3.6, -2.4], atol=1e-7)
    np.testing.assert_allclose(images.y, [4.8, -3.2], atol=1e-7)
    np.testing.assert_allclose(images.magnification, [6.0, -4.0], rtol=1e-6)
    # A source outside the cut has a single image.
    assert len(image_positions(MassModel([SIE(5.0)]), 6.0, 0.0, 15.0).x) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sie", "cored", "nfw"])
@pytest.mark.parametrize("kind", ["tangential", "radial"])
def test_crossing_a_caustic_changes_the_number_of_images_by_two(name, kind):
    lens, crossed = LENSES[name], 0
    for curve in critical_curves(lens, 40.0, kind=kind):
        for k in range(3, len(curve), len(curve) // 9):
            x, y = curve[k]
            xx, yy, xy = (float(value) for value in lens.second_derivatives(x, y))
            values, vectors = np.linalg.eigh([[1.0 - xx, -xy], [-xy, 1.0 - yy]])
            # The direction of the eigenvalue 0 leads across the caustic. At a cusp it follows the curve instead.
            across = vectors[:, np.argmin(np.abs(values))]
            along = curve[(k + 2) % len(curve)] - curve[k - 2]
            if abs(along @ across) > 0.97 * np.hypot(*along):
                continue
            place = np.array(lens.trace(x, y))
            counts = [len(image_positions(lens, *(place + side * across), 45.0).x) for side in (-0.01, 0.01)]
            assert abs(counts[0] - counts[1]) == 2, (k, counts)
            crossed += 1
    assert crossed >= 4 or (name, kind) == ("sie", "radial")


def test_a_source_on_a_caustic_has_no_wrong_image():
    lens = LENSES["nfw"]
    (curve,) = critical_curves(lens, 40.0)
    (caustic,) = caustics(lens, [curve])
    images = image_positions(lens, *caustic[5], 45.0)
    assert len(images.x) >= 1
    np.testing.assert_allclose(
        lens.trace(images.x, images.y), np.broadcast_to(caustic[5][:, None], (2, len(images.x))), atol=1e-8
    )


@pytest.mark.slow
def test_magnifications_are_flux_ratios_of_the_images():
    lens = LENSES["cored"]
    images = image_positions(lens, 0.4, 0.3, 30.0, min_magnification=0.05)
    assert len(images.x) >= 4
    for x, y, magnification in zip(*images, strict=True):
        source = SersicSource(0.4, 0.3, 0.004, 0.5, 1.0)
        flux = render_sources(lens, [source], (80, 80), 0.005, centre=(x, y)).sum()
        assert flux == pytest.approx(abs(magnification), rel=2e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((math.nan, 0.0, 10.0), "'x' parameter must be a finite number"),
        ((0.0, math.inf, 10.0), "'y'"),
        ((0.0, 0.0, -10.0), "'half_width' parameter must be above 0"),
    ],
)
def test_out_of_range_sources_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        image_positions(MassModel([SIE(5.0)]), *arguments)
    with pytest.raises(ValueError, match="'min_magnification'"):
        image_positions(MassModel([SIE(5.0)]), 0.0, 0.0, 1.0, min_magnification=-1.0)


def test_a_window_without_images():
    images = image_positions(MassModel([SIE(5.0)]), 1.0, 0.0, 1.0, centre=(20.0, 0.0))
    assert [part.shape for part in images] == [(0,)] * 3
