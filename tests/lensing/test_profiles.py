"""Tests of mass profiles against lenstronomy and integrals of their convergence, and of the identities between them."""

import math

import naive_lensing
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlens.lensing import DPIE, NFW, SIE, ExternalShear, MassModel

COMPONENTS = [
    SIE(12.0, 0.4, -0.3, 0.7, 0.5, core=1.5),
    SIE(12.0, 0.4, -0.3, 1.0, 0.0, core=0.5),
    SIE(5.0, 0.0, 0.0, 0.6, 2.0),
    DPIE(8.0, 0.2, 20.0, -1.0, 2.0, 0.5, 1.0),
    DPIE(1.25, 0.05, 4.5, 3.0, 1.0),
    NFW(0.4, 50.0, 0.3, 0.2, 0.7, 0.3),
    NFW(0.4, 50.0),
    ExternalShear(0.06, 0.8, 1.0, -1.0),
]
WHOLE = MassModel([COMPONENTS[5], COMPONENTS[4], COMPONENTS[3], COMPONENTS[7]])
MODELS = [*(MassModel([component]) for component in COMPONENTS), WHOLE]


def drawn(kind, rng):
    """Return a component with random parameters; every fifth is round, every third has no core."""
    x, y = rng.uniform(-3.0, 3.0, 2)
    round_one, cored = rng.random() < 0.2, rng.random() < 0.67
    shape = (float(x), float(y), 1.0 if round_one else rng.uniform(0.2, 1.0), rng.uniform(-4.0, 4.0))
    core = rng.uniform(0.01, 3.0)
    if kind == "SIE":
        return SIE(rng.uniform(0.5, 40.0), *shape, core=core if cored else 0.0)
    if kind == "DPIE":
        return DPIE(rng.uniform(0.5, 40.0), core, core + rng.uniform(1.0, 80.0), *shape)
    if kind == "NFW":
        return NFW(rng.uniform(0.05, 1.0), rng.uniform(10.0, 90.0), *shape)
    return ExternalShear(rng.uniform(0.0, 0.3), shape[3], *shape[:2])


def points(component, rng):
    """Return positions at the centre and at 1e-6 to 1000 arcsec from it."""
    radius = np.append(0.0, 10.0 ** rng.uniform(-6.0, 3.0, 40))
    angle = rng.uniform(0.0, 2.0 * math.pi, radius.size)
    return component.x + radius * np.cos(angle), component.y + radius * np.sin(angle)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SIE", "DPIE", "NFW", "ExternalShear"])
def test_deflection_and_second_derivatives_match_lenstronomy(kind):
    pytest.importorskip("lenstronomy")
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy_scenes import as_lenstronomy

    rng = np.random.default_rng(7)
    for _ in range(200):
        component = drawn(kind, rng)
        x, y = points(component, rng)
        profiles = as_lenstronomy(component)
        reference, parameters = LensModel([name for name, _ in profiles]), [kwargs for _, kwargs in profiles]
        model = MassModel([component])
        np.testing.assert_allclose(model.deflection(x, y), reference.alpha(x, y, parameters), atol=1e-6, rtol=0.0)
        if kind in ("NFW", "ExternalShear"):  # lenstronomy differentiates the other profiles numerically
            xx, xy, _, yy = reference.hessian(x, y, parameters)
            np.testing.assert_allclose(model.second_derivatives(x, y), (xx, yy, xy), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("axis_ratio", [1.0, 0.9999999, 0.7, 0.25])
def test_deflection_is_the_integral_over_the_convergence(axis_ratio):
    angle = 0.6
    shape = (0.0, 0.0, axis_ratio, angle)
    cases = [
        (SIE(10.0, *shape, core=1.0), lambda r: naive_lensing.isothermal(r, 10.0, 1.0), 1e-9),
        (DPIE(10.0, 0.5, 20.0, *shape), lambda r: naive_lensing.dual_isothermal(r, 10.0, 0.5, 20.0), 1e-9),
        # The sum of cored ellipsoids follows an NFW convergence to 1e-4.
        (NFW(0.4, 50.0, *shape), lambda r: naive_lensing.nfw(r, 0.4, 50.0), 1e-4),
    ]
    for component, convergence, tolerance in cases:
        for x, y in ((1.0, 0.3), (-8.0, 15.0), (0.01, -0.02), (60.0, -30.0)):
            expected = naive_lensing.deflection(convergence, x, y, axis_ratio, angle)
            size = math.hypot(*expected)
            found = MassModel([component]).deflection(x, y)
            np.testing.assert_allclose(found, expected, atol=tolerance * size, rtol=0.0)


def test_nfw_convergence_matches_the_profile():
    radius = 50.0 * 10.0 ** np.linspace(-6.0, 3.0, 200)
    expected = [naive_lensing.nfw(r, 0.4, 50.0) for r in radius]
    np.testing.assert_allclose(MassModel([NFW(0.4, 50.0)]).convergence(radius, 0.0), expected, rtol=1e-4)


@pytest.mark.parametrize("scale_radius", [3.0, 15.0, 15.0000001, 50.0, 1e5])
def test_nfw_halo_has_the_given_einstein_radius(scale_radius):
    model = MassModel([NFW.from_einstein_radius(15.0, scale_radius)])
    assert model.deflection(15.0, 0.0)[0] == pytest.approx(15.0, rel=1e-4)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_deflection_is_the_gradient_of_the_potential(model):
    x, y = np.random.default_rng(1).uniform(-15.0, 15.0, (2, 50))
    h = 1e-4
    along = (model.potential(x + h, y) - model.potential(x - h, y)) / (2.0 * h)
    across = (model.potential(x, y + h) - model.potential(x, y - h)) / (2.0 * h)
    np.testing.assert_allclose((along, across), model.deflection(x, y), atol=2e-6)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_divergence_of_the_deflection_is_twice_the_convergence(model):
    x, y = np.random.default_rng(2).uniform(-15.0, 15.0, (2, 50))
    h = 1e-5
    right, left = np.array(model.deflection(x + h, y)), np.array(model.deflection(x - h, y))
    up, down = np.array(model.deflection(x, y + h)), np.array(model.deflection(x, y - h))
    (xx, yx), (xy, yy) = (right - left) / (2.0 * h), (up - down) / (2.0 * h)
    gamma1, gamma2 = model.shear(x, y)
    np.testing.assert_allclose(xx + yy, 2.0 * model.convergence(x, y), atol=1e-6)
    np.testing.assert_allclose(0.5 * (xx - yy), gamma1, atol=1e-6)
    np.testing.assert_allclose((xy, yx), (gamma2, gamma2), atol=1e-6)
    np.testing.assert_allclose(1.0 / ((1.0 - xx) * (1.0 - yy) - xy * yx), model.magnification(x, y), rtol=1e-3)
    tangential, radial = model.eigenvalues(x, y)
    np.testing.assert_allclose(1.0 / (tangential * radial), model.magnification(x, y), rtol=1e-9)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_nothing_is_nan_at_a_centre_or_far_away(model):
    for component in model.components:
        x = component.x + np.array([0.0, 1e-300, 1e-12, 1e6])
        for values in (
            model.potential(x, component.y),
            *model.deflection(x, component.y),
            model.convergence(x, component.y),
            *model.shear(x, component.y),
            model.magnification(x, component.y),
        ):
            assert np.isfinite(values).all()


def test_a_model_is_the_sum_of_its_components():
    x, y = np.random.default_rng(3).uniform(-15.0, 15.0, (2, 700))
    parts = [MassModel([component]) for component in WHOLE.components]
    np.testing.assert_allclose(WHOLE.deflection(x, y), np.sum([part.deflection(x, y) for part in parts], axis=0))
    np.testing.assert_allclose(WHOLE.potential(x, y), np.sum([part.potential(x, y) for part in parts], axis=0))
    np.testing.assert_allclose(WHOLE.convergence(x, y), np.sum([part.convergence(x, y) for part in parts], axis=0))


def test_a_scaled_model_scales_deflection_and_convergence():
    x, y = np.random.default_rng(4).uniform(-15.0, 15.0, (2, 50))
    half = WHOLE.scaled(0.5)
    np.testing.assert_allclose(half.deflection(x, y), 0.5 * np.array(WHOLE.deflection(x, y)), rtol=1e-12)
    np.testing.assert_allclose(half.convergence(x, y), 0.5 * WHOLE.convergence(x, y), rtol=1e-12)
    with pytest.raises(ValueError, match=r"'factor' parameter must be 0 or more\. Got -1"):
        WHOLE.scaled(-1)


def test_shapes_nan_and_empty_input():
    assert WHOLE.deflection(1.0, 2.0)[0].shape == ()
    assert WHOLE.convergence(np.ones((3, 1)), np.ones(4)).shape == (3, 4)
    assert WHOLE.potential([], []).shape == (0,)
    for values in (*WHOLE.deflection([np.nan, 1.0], 2.0), *WHOLE.shear([np.nan, 1.0], 2.0)):
        assert np.isnan(values).tolist() == [True, False]
    empty = MassModel([])
    assert empty.magnification(1.0, 1.0) == 1.0
    assert empty.trace([1.0], [2.0]) == ([1.0], [2.0])
    # Other dtypes and strides give the same results.
    x = np.arange(12, dtype=np.float32)[::3]
    np.testing.assert_array_equal(WHOLE.convergence(x, x), WHOLE.convergence(x.astype(float), x.astype(float)))


@given(
    axis_ratio=st.floats(0.05, 1.0),
    angle=st.floats(-7.0, 7.0),
    x=st.floats(-40.0, 40.0),
    y=st.floats(-40.0, 40.0),
    kind=st.sampled_from(["sie", "dpie", "nfw"]),
)
@settings(max_examples=150, deadline=None)
def test_rotating_the_lens_and_the_point_rotates_the_deflection(axis_ratio, angle, x, y, kind):
    def model(tilt):
        component = {
            "sie": SIE(9.0, 0.0, 0.0, axis_ratio, tilt, core=0.3),
            "dpie": DPIE(9.0, 0.3, 30.0, 0.0, 0.0, axis_ratio, tilt),
            "nfw": NFW(0.5, 40.0, 0.0, 0.0, axis_ratio, tilt),
        }[kind]
        return MassModel([component])

    cos, sin = math.cos(angle), math.sin(angle)
    alpha_x, alpha_y = model(0.0).deflection(x, y)
    turned = model(angle).deflection(cos * x - sin * y, sin * x + cos * y)
    np.testing.assert_allclose(turned, (cos * alpha_x - sin * alpha_y, sin * alpha_x + cos * alpha_y), atol=1e-9)
    # The deflection is point-symmetric.
    np.testing.assert_allclose(model(angle).deflection(-x, -y), np.negative(model(angle).deflection(x, y)), atol=1e-12)


def test_the_circular_limit_is_continuous():
    x, y = np.random.default_rng(5).uniform(-15.0, 15.0, (2, 50))
    for make in (lambda q: SIE(9.0, axis_ratio=q, core=0.4), lambda q: DPIE(9.0, 0.4, 20.0, axis_ratio=q)):
        steps = [np.array(MassModel([make(1.0 - gap)]).deflection(x, y)) for gap in (0.0, 4.9e-7, 5.1e-7)]
        np.testing.assert_allclose(steps[0], steps[1], atol=1e-5)
        np.testing.assert_allclose(steps[1], steps[2], atol=3e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SIE(-1.0), "'strength' parameter must be 0 or more. Got -1.0"),
        (lambda: SIE(1.0, core=-0.1), "'core'"),
        (
            lambda: SIE(1.0, axis_ratio=0.0),
            "'axis_ratio' parameter must be above 0 and at most 1.*Got 0.0.*change 'angle'",
        ),
        (lambda: SIE(1.0, axis_ratio=1.2), "'axis_ratio'"),
        (lambda: SIE(1.0, axis_ratio=math.nan), "'axis_ratio'"),
        (lambda: SIE(1.0, x=math.inf), "'x' parameter must be a finite number"),
        (lambda: DPIE(1.0, 2.0, 2.0), "'cut' parameter must be larger than 'core'"),
        (lambda: DPIE(1.0, 0.0, math.inf), "'cut'"),
        (lambda: DPIE(1.0, 0.1, 2.0, angle=math.nan), "'angle'"),
        (lambda: NFW(0.1, 0.0), "'scale_radius' parameter must be above 0"),
        (lambda: NFW(-0.1, 10.0), "'kappa_s'"),
        (lambda: NFW.from_einstein_radius(0.0, 10.0), "'theta_e' parameter must be above 0"),
        (lambda: NFW.from_einstein_radius(10.0, -1.0), "'scale_radius'"),
        (lambda: ExternalShear(-0.1, 0.0), "'gamma'"),
    ],
)
def test_out_of_range_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_components_of_another_type_are_refused():
    with pytest.raises(
        TypeError, match=r"'components' parameter must contain SIE, DPIE, NFW and ExternalShear.*Got str"
    ):
        MassModel(["SIE"])
