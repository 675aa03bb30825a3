"""Mass models: components with their parameters, and their sum as a lens."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlens.lensing import _profiles as profiles
from gridlens.lensing._checks import check_number

__all__ = ["DPIE", "NFW", "SIE", "ExternalShear", "MassComponent", "MassModel"]

FloatArray = NDArray[np.float64]

# Lower limit of a core, arcsec, which keeps the values at a singular centre finite.
_SMALLEST_CORE = 1e-9


def _check_shape(axis_ratio: float, angle: float, x: float, y: float) -> None:
    if not 0.0 < axis_ratio <= 1.0:
        raise ValueError(
            "The 'axis_ratio' parameter must be above 0 and at most 1, the minor over the major axis. "
            f"Got {axis_ratio!r} instead. If the axes are exchanged, change 'angle' by pi / 2."
        )
    for name, value in (("angle", angle), ("x", x), ("y", y)):
        check_number(name, value, "a finite number", True)


@dataclass(frozen=True)
class SIE:
    """Isothermal ellipsoid, singular or with a core.

    Parameters
    ----------
    strength : float
        Einstein radius without a core, arcsec, 0 or more.
    x, y : float, default=0.0
        Centre, arcsec.
    axis_ratio : float, default=1.0
        Minor over major axis of the convergence, above 0 and at most 1.
    angle : float, default=0.0
        Angle of the major axis from the x axis towards the y axis, rad.
    core : float, default=0.0
        Core radius, arcsec, 0 or more. Values below 1e-9 count as 1e-9.

    Raises
    ------
    ValueError
        If a parameter is out of range or not finite.

    Notes
    -----
    The convergence is ``strength / (2 sqrt(core^2 + q u^2 + v^2 / q))``, with u along the major axis and the axis ratio
    q (Keeton and Kochanek 1998, ApJ 495, 157). A core lowers the Einstein radius of a round lens to
    ``sqrt(strength^2 - 2 strength core)``.

    Examples
    --------
    >>> from gridlens.lensing import SIE, MassModel
    >>> round(float(MassModel([SIE(12.0)]).deflection(3.0, 0.0)[0]), 6)
    12.0
    """

    strength: float
    x: float = 0.0
    y: float = 0.0
    axis_ratio: float = 1.0
    angle: float = 0.0
    core: float = 0.0

    def __post_init__(self) -> None:
        check_number("strength", self.strength, "0 or more", self.strength >= 0.0)
        check_number("core", self.core, "0 or more", self.core >= 0.0)
        _check_shape(self.axis_ratio, self.angle, self.x, self.y)

    def _row(self) -> tuple[float, ...]:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        core = max(self.core, _SMALLEST_CORE)
        return profiles.SIE_ROW, self.strength, self.x, self.y, self.axis_ratio, cos, sin, core, 0.0


@dataclass(frozen=True)
class DPIE:
    """Dual pseudo-isothermal ellipsoid: isothermal between a core and a cut radius, with finite mass.

    Parameters
    ----------
    strength : float
        Einstein radius of the isothermal part without core and cut, arcsec, 0 or more.
    core, cut : float
        Core and cut radius, arcsec; 0 or more, with `cut` larger than `core`. A core below 1e-9 counts as 1e-9.
    x, y : float, default=0.0
        Centre, arcsec.
    axis_ratio : float, default=1.0
        Minor over major axis of the convergence, above 0 and at most 1.
    angle : float, default=0.0
        Angle of the major axis from the x axis towards the y axis, rad.

    Raises
    ------
    ValueError
        If a parameter is out of range or not finite.

    Notes
    -----
    The convergence is ``strength / 2 (1 / sqrt(core^2 + R^2) - 1 / sqrt(cut^2 + R^2))`` with the elliptical radius of
    `SIE` (Eliasdottir et al. 2007, arXiv:0710.5636, appendix A); the mass within the critical surface density is
    ``pi strength (cut - core)``, arcsec squared.

    Examples
    --------
    >>> from gridlens.lensing import DPIE, MassModel
    >>> round(float(MassModel([DPIE(1.25, core=0.05, cut=4.5)]).deflection(1.0, 0.0)[0]), 3)
    1.052
    """

    strength: float
    core: float
    cut: float
    x: float = 0.0
    y: float = 0.0
    axis_ratio: float = 1.0
    angle: float = 0.0

    def __post_init__(self) -> None:
        check_number("strength", self.strength, "0 or more", self.strength >= 0.0)
        check_number("core", self.core, "0 or more", self.core >= 0.0)
        check_number("cut", self.cut, f"larger than 'core' ({self.core!r}) and finite", self.cut > self.core)
        _check_shape(self.axis_ratio, self.angle, self.x, self.y)

    def _row(self) -> tuple[float, ...]:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        core = max(self.core, _SMALLEST_CORE)
        return profiles.DPIE_ROW, self.strength, self.x, self.y, self.axis_ratio, cos, sin, core, self.cut


@dataclass(frozen=True)
class NFW:
    """Elliptical NFW halo.

    Parameters
    ----------
    kappa_s : float
        ``rho_s r_s / Sigma_crit``, 0 or more. The convergence at the scale radius of a round halo is 2/3 of this value.
    scale_radius : float
        Scale radius, arcsec, above 0.
    x, y : float, default=0.0
        Centre, arcsec.
    axis_ratio : float, default=1.0
        Minor over major axis of the convergence, above 0 and at most 1.
    angle : float, default=0.0
        Angle of the major axis from the x axis towards the y axis, rad.

    Raises
    ------
    ValueError
        If a parameter is out of range or not finite.

    Notes
    -----
    The ellipticity is that of the convergence. An elliptical potential would give dumbbell-shaped isodensity contours
    below an axis ratio of about 0.7. The profile is the sum of the 44 cored steep ellipsoids of Oguri 2021, PASP 133,
    074504, which follows the convergence to 1e-4 between 1e-6 and 1e3 scale radii. The elliptical radius is that of
    `SIE`.

    Examples
    --------
    >>> from gridlens.lensing import NFW, MassModel
    >>> halo = NFW.from_einstein_radius(15.0, scale_radius=50.0)
    >>> round(halo.kappa_s, 4), round(float(MassModel([halo]).deflection(15.0, 0.0)[0]), 3)
    (0.3349, 15.0)
    """

    kappa_s: float
    scale_radius: float
    x: float = 0.0
    y: float = 0.0
    axis_ratio: float = 1.0
    angle: float = 0.0

    def __post_init__(self) -> None:
        check_number("kappa_s", self.kappa_s, "0 or more", self.kappa_s >= 0.0)
        check_number("scale_radius", self.scale_radius, "above 0", self.scale_radius > 0.0)
        _check_shape(self.axis_ratio, self.angle, self.x, self.y)

    @classmethod
    def from_einstein_radius(
        cls,
        theta_e: float,
        scale_radius: float,
        *,
        x: float = 0.0,
        y: float = 0.0,
        axis_ratio: float = 1.0,
        angle: float = 0.0,
    ) -> "NFW":
        """Return the halo whose Einstein radius would be `theta_e` arcsec if it were round."""
        check_number("theta_e", theta_e, "above 0", theta_e > 0.0)
        check_number("scale_radius", scale_radius, "above 0", scale_radius > 0.0)
        kappa_s = theta_e / (4.0 * scale_radius * float(nfw_shape(theta_e / scale_radius)))
        return cls(kappa_s, scale_radius, x, y, axis_ratio, angle)

    def _row(self) -> tuple[float, ...]:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return profiles.NFW_ROW, self.kappa_s, self.x, self.y, self.axis_ratio, cos, sin, self.scale_radius, 0.0


@dataclass(frozen=True)
class ExternalShear:
    """Constant shear, as from masses far outside the field.

    Parameters
    ----------
    gamma : float
        Shear amplitude, 0 or more.
    angle : float
        Direction along which images are stretched, from the x axis towards the y axis, rad.
    x, y : float, default=0.0
        Point without deflection, arcsec.

    Raises
    ------
    ValueError
        If a parameter is out of range or not finite.

    Examples
    --------
    >>> from gridlens.lensing import ExternalShear, MassModel
    >>> round(float(MassModel([ExternalShear(0.05, angle=0.0)]).deflection(10.0, 0.0)[0]), 6)
    0.5
    """

    gamma: float
    angle: float
    x: float = 0.0
    y: float = 0.0

    def __post_init__(self) -> None:
        check_number("gamma", self.gamma, "0 or more", self.gamma >= 0.0)
        _check_shape(1.0, self.angle, self.x, self.y)

    def _row(self) -> tuple[float, ...]:
        cos, sin = math.cos(2.0 * self.angle), math.sin(2.0 * self.angle)
        return profiles.SHEAR_ROW, self.gamma, self.x, self.y, 1.0, cos, sin, 0.0, 0.0


MassComponent = SIE | DPIE | NFW | ExternalShear


def nfw_shape(x: ArrayLike) -> FloatArray:
    """Return the deflection of a round NFW halo divided by ``4 kappa_s r_s``, at `x` scale radii, above 0.

    This is ``(ln(x / 2) + F(x)) / x`` of Bartelmann 1996, A&A 313, 697; of any shape, float64.
    """
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        inner, outer = np.minimum(x, 1.0), np.maximum(x, 1.0)
        inside = np.arccosh(1.0 / inner) / np.sqrt(1.0 - inner**2)
        outside = np.arccos(1.0 / outer) / np.sqrt(outer**2 - 1.0)
        shape = (np.log(0.5 * x) + np.where(x < 1.0, inside, outside)) / x
        # Use series at the centre, where the terms cancel, and at the scale radius, where F is 0 / 0.
        log = np.log(2.0 / x)
        centre = x * (0.5 * log - 0.25 + x**2 * (0.375 * log - 7.0 / 32.0))
        middle = (np.log(0.5 * x) + 1.0 - 2.0 / 3.0 * (x - 1.0)) / x
    return np.asarray(np.where(x < 3e-3, centre, np.where(np.abs(x - 1.0) < 1e-6, middle, shape)))


class MassModel:
    """Sum of mass components as a lens, for a source at the redshift that their strengths refer to.

    Positions are in arcsec, in a common frame of all components; deflections are reduced ones, arcsec, and the
    convergence is the surface density relative to the critical one. The methods take numbers or arrays of any shape,
    which are broadcast, and return float64 arrays of that shape; NaN coordinates give NaN, and empty arrays empty ones.
    The values at the centre of a component are finite.

    Parameters
    ----------
    components : iterable of SIE, DPIE, NFW or ExternalShear
        Components; may be empty, for no lens, with zero deflection.

    Attributes
    ----------
    components : tuple
        As given.

    Raises
    ------
    TypeError
        If a component is of another type.

    Examples
    --------
    >>> from gridlens.lensing import NFW, SIE, ExternalShear, MassModel
    >>> lens = MassModel([NFW.from_einstein_radius(12.0, 40.0, axis_ratio=0.8), SIE(1.2), ExternalShear(0.04, 0.5)])
    >>> beta_x, beta_y = lens.trace([0.0, 14.0], [1.0, -3.0])
    >>> bool(lens.magnification(20.0, 5.0) > 1.0)
    True
    """

    def __init__(self, components: Iterable[MassComponent]) -> None:
        self.components = tuple(components)
        for component in self.components:
            if not isinstance(component, MassComponent):
                raise TypeError(
                    "The 'components' parameter must contain SIE, DPIE, NFW and ExternalShear objects. "
                    f"Got {type(component).__name__} instead."
                )
        rows = [component._row() for component in self.components]
        self._rows = np.array(rows, dtype=np.float64).reshape(-1, profiles.COLUMNS)

    def __repr__(self) -> str:
        return f"MassModel({', '.join(map(repr, self.components))})"

    def scaled(self, factor: float) -> "MassModel":
        """Return the model with all deflections multiplied by `factor`, 0 or more, for a source at another redshift.

        The factor is the ratio of the two lensing efficiencies, see `lensing_efficiency`.
        """
        check_number("factor", factor, "0 or more", factor >= 0.0)
        return MassModel(_times(component, factor) for component in self.components)

    def potential(self, x: ArrayLike, y: ArrayLike) -> FloatArray:
        """Return the lensing potential, arcsec squared, up to a constant."""
        shape, x, y = _points(x, y)
        out = np.zeros(x.size)
        profiles.potential(self._rows, x, y, out)
        return out.reshape(shape)

    def deflection(self, x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the deflection along x and along y, arcsec."""
        shape, x, y = _points(x, y)
        alpha_x, alpha_y = np.zeros(x.size), np.zeros(x.size)
        profiles.deflection(self._rows, x, y, alpha_x, alpha_y)
        return alpha_x.reshape(shape), alpha_y.reshape(shape)

    def trace(self, x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the source positions, arcsec, of the image positions `x`, `y`, by the lens equation."""
        alpha_x, alpha_y = self.deflection(x, y)
        return np.asarray(np.subtract(x, alpha_x)), np.asarray(np.subtract(y, alpha_y))

    def convergence(self, x: ArrayLike, y: ArrayLike) -> FloatArray:
        """Return the surface density relative to the critical one."""
        xx, yy, _ = self.second_derivatives(x, y)
        return 0.5 * (xx + yy)

    def shear(self, x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the components gamma1 and gamma2 of the shear."""
        xx, yy, xy = self.second_derivatives(x, y)
        return 0.5 * (xx - yy), xy

    def magnification(self, x: ArrayLike, y: ArrayLike) -> FloatArray:
        """Return the signed magnification of an image, negative for mirrored ones, infinite on a critical curve."""
        xx, yy, xy = self.second_derivatives(x, y)
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / ((1.0 - xx) * (1.0 - yy) - xy * xy))

    def eigenvalues(self, x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return ``1 - kappa - gamma`` and ``1 - kappa + gamma``: 0 on tangential and on radial critical curves."""
        xx, yy, xy = self.second_derivatives(x, y)
        kappa, gamma = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
        return 1.0 - kappa - gamma, 1.0 - kappa + gamma

    def second_derivatives(self, x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the derivatives xx, yy and xy of the potential."""
        shape, x, y = _points(x, y)
        xx, yy, xy = np.zeros((3, x.size))
        profiles.second_derivatives(self._rows, x, y, xx, yy, xy)
        return xx.reshape(shape), yy.reshape(shape), xy.reshape(shape)


def _times(component: MassComponent, factor: float) -> MassComponent:
    if isinstance(component, NFW):
        return replace(component, kappa_s=factor * component.kappa_s)
    if isinstance(component, ExternalShear):
        return replace(component, gamma=factor * component.gamma)
    return replace(component, strength=factor * component.strength)


def _points(x: ArrayLike, y: ArrayLike) -> tuple[tuple[int, ...], FloatArray, FloatArray]:
    """Return the common shape and both coordinates as contiguous flat arrays."""
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    return x.shape, np.ascontiguousarray(x).ravel(), np.ascontiguousarray(y).ravel()
