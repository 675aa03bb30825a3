"""Injection of arcs into your own cutouts of clusters, simulated individually for each cluster."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens.cutouts import CutoutSet, Survey
from gridlens.cutouts._reject import reject_reason
from gridlens.lensing import draw_einstein_radius
from gridlens.simulate._backgrounds import RealImage, Window, sky_rms, whole_window
from gridlens.simulate._canvas import Canvas, Geometry
from gridlens.simulate._no_arcs import Pasted, in_galaxy_colours, straightened, turned_images
from gridlens.simulate._noise_texture import Texture
from gridlens.simulate._observe import Conditions, photon_noise, sky_noise
from gridlens.simulate._population import Cluster
from gridlens.simulate._scene import draw_lens, usual_einstein_radius

__all__ = ["ARC", "INJECTED", "INJECTED_COLUMNS", "ImageSky", "Injected", "inject_arcs", "inject_kinds"]

ARC = "arc"
INJECTED_COLUMNS = (
    "id",
    "cutout",
    "kind",
    "redshift",
    "theta_e",
    "arc_snr",
    "arc_mag_r",
    "arc_length",
    "arc_width",
    "arc_distance",
    "magnification",
    "n_sources",
    "source_redshift",
    "source_mag_r",
    "source_gr",
    "source_ri",
)
"""columns of the truth table of injected arcs"""

# Arcs below this S/N, or mostly outside the cutout, are drawn again, up to _TRIES times in total.
_FAINTEST, _TRIES = 10.0, 6
# Number of Einstein radii drawn from a cluster's mass; the first above the smallest visible one, arcsec, is used.
_RADII_DRAWN, _SMALLEST = 24, 5.0
_PROXIES = ("richness", "log_xray_luminosity", "velocity_dispersion", "log_mass")
# Range of redshifts for clusters with unknown redshift, as in simulated scenes.
_REDSHIFTS = (0.2, 0.7)


@dataclass(frozen=True)
class ImageSky:
    """Properties of the images of one survey that injected light must share.

    Parameters
    ----------
    seeing : tuple of float
        FWHM of the point-spread function in g, r and i, arcsec.
    kernels : tuple of ndarray, default=None
        For each band, the kernel that correlates the noise, pixels; None means white noise.
    preset : Survey, default=None
        Survey preset for images with unknown zero points: one factor for all bands scales their noise to the depth of
        this survey. None means that the pixels are in flux units of AB zero point 27.
    own_seeing : bool, default=False
        Whether the seeing in a cutout's metadata replaces the value in r; the other bands are scaled in proportion.
    """

    seeing: tuple[float, float, float]
    kernels: tuple[NDArray[np.float64], ...] | None = None
    preset: Survey | None = None
    own_seeing: bool = False

    def seeing_of(self, stated: float) -> NDArray[np.float64]:
        """Return the FWHM in g, r and i, arcsec, of a cutout with the seeing `stated` in its metadata."""
        seeing = np.array(self.seeing)
        return seeing * (stated / seeing[1]) if self.own_seeing and stated > 0.0 else seeing

    def rms_of(self, pixels: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the rms of the sky per pixel of g, r and i.

        `sky_rms` uses differences of neighbours, which are smaller for correlated noise; this is corrected.
        """
        return sky_rms(pixels) / np.sqrt(1.0 - self._neighbours())

    def _neighbours(self) -> NDArray[np.float64]:
        """Return the correlation of the noise of adjacent pixels in a row, for each band."""
        if self.kernels is None:
            return np.zeros(3)
        return np.array([float((k[:, 1:] * k[:, :-1]).sum() / (k**2).sum()) for k in self.kernels])


class Injected(NamedTuple):
    """Cutouts with arcs, and their truth table.

    Attributes
    ----------
    cutouts : CutoutSet of m
        The usable cutouts, with the kind appended to their ids.
    truth : DataFrame of m rows
        Columns `INJECTED_COLUMNS`: `cutout` is the original id of the cutout; Einstein radii, lengths and distances
        are in arcsec, magnitudes AB.
    """

    cutouts: CutoutSet
    truth: pd.DataFrame


def inject_arcs(cutouts: CutoutSet, sky: ImageSky, seed: int, kind: str = ARC) -> Injected:
    """Add arcs to each cutout, as lensed by its own cluster.

    The lens is at the cluster's redshift and centred near its BCG, with the BCG's orientation and halos for the
    brightest galaxies in the image. Its Einstein radius depends on richness, X-ray luminosity, velocity dispersion or
    mass, if known. The sources are smooth, clumpy or merging galaxies. Their light is convolved with the point-spread
    function of the images, and its photon noise is correlated like the noise of the images. The light is added to that
    of the galaxies in front; a bad pixel stays bad. Nothing else changes.

    Parameters
    ----------
    cutouts : CutoutSet of n
        Cutouts that the features reject, or without noise, are omitted.
    sky : ImageSky
    seed : int
        Non-negative seed. The arcs depend only on it and on the id of the cutout, not on the kind.
    kind : {"arc", "null", "recoloured", "turned", "straight"}, default="arc"
        "arc" for arcs. The others are controls made from the same arcs: "null" has a flux of 0; "recoloured" has the
        colours of the BCG; "turned" rotates each image about its own centre by a random angle; "straight" is a straight
        trail across the cutout with the same surface brightness.

    Returns
    -------
    Injected

    Raises
    ------
    ValueError
        The kind is unknown.

    Notes
    -----
    The photon noise of the arcs assumes a dark sky in g, r and i: the ratio of sky noise to sky brightness replaces the
    gain and the exposure time, which images rarely state. Arcs with an S/N below 10, or with an Einstein radius beyond
    the cutout, would not be visible and are drawn again, up to five times.

    Examples
    --------
    >>> from gridlens.simulate import ImageSky, SceneSettings, inject_arcs, scenes_to_cutouts, simulate_scene
    >>> cutouts = scenes_to_cutouts([simulate_scene(1, 0, SceneSettings(("hsc",), lens_fraction=0.0))])
    >>> injected = inject_arcs(cutouts, ImageSky(seeing=(0.8, 0.7, 0.6)), seed=1)
    >>> injected.cutouts.ids, bool(injected.truth["arc_snr"][0] > 10)
    (array(['sim-1-000000+arc'], dtype=object), True)
    """
    return inject_kinds(cutouts, sky, seed, (kind,))[kind]


def inject_kinds(cutouts: CutoutSet, sky: ImageSky, seed: int, kinds: Sequence[str]) -> dict[str, Injected]:
    """Return the results of `inject_arcs` for several kinds, by kind; the arcs that they share are simulated once."""
    unknown = [kind for kind in kinds if kind not in INJECTED]
    if unknown:
        raise ValueError(f"The 'kind' parameter must be one of {', '.join(INJECTED)}. Got {unknown[0]!r} instead.")
    kept: list[int] = []
    pixels: dict[str, list[NDArray[np.float32]]] = {kind: [] for kind in kinds}
    truth: list[dict[str, Any]] = []
    for k in range(len(cutouts)):
        image = RealImage(cutouts.pixels[k], float(cutouts.pixel_scale[k]), sky.rms_of(cutouts.pixels[k]))
        if reject_reason(image.pixels, cutouts.bcg_xy[k], image.pixel_scale) or not image.sky_sigma.min() > 0.0:
            continue
        name = str(cutouts.ids[k])
        metadata = cutouts.metadata.iloc[k].to_dict()
        lens, told = _draw(image, cutouts.bcg_xy[k], metadata, sky, _stream(seed, name))
        for number, kind in enumerate(INJECTED):
            if kind in pixels:
                pixels[kind].append(_pasted(lens, kind, sky, _stream(seed, name, 1 + number)))
        kept.append(k)
        truth.append(told | {"cutout": name})
    rows, table = cutouts[np.array(kept, dtype=np.int64)], pd.DataFrame(truth, columns=list(INJECTED_COLUMNS))
    return {kind: _injected(rows, pixels[kind], table, kind) for kind in kinds}


def _injected(rows: CutoutSet, pixels: list[NDArray[np.float32]], table: pd.DataFrame, kind: str) -> Injected:
    ids = [f"{name}+{kind}" for name in rows.ids]
    cutouts = CutoutSet(
        np.array(pixels, dtype=np.float32).reshape(rows.pixels.shape),
        bcg_xy=rows.bcg_xy,
        pixel_scale=rows.pixel_scale,
        ids=ids,
        metadata=rows.metadata,
        paths=rows.paths,
        flags=rows.flags,
        sky_axes=rows.sky_axes,
        bcg_radec=rows.bcg_radec,
    )
    return Injected(cutouts, table.assign(id=ids, kind=kind))


def _stream(seed: int, name: str, number: int = 0) -> np.random.Generator:
    """Return the random generator of one cutout, which does not depend on the batch."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng(np.random.SeedSequence([seed, int.from_bytes(digest[:16], "little"), number]))


def _draw(
    image: RealImage,
    bcg_xy: NDArray[np.float64],
    metadata: dict[str, float],
    sky: ImageSky,
    rng: np.random.Generator,
) -> tuple[Pasted, dict[str, Any]]:
    """Simulate the arcs lensed by the cluster in an image; return them with their truth."""
    window = whole_window(image, bcg_xy)
    geometry = Geometry(window.size, image.pixel_scale)
    seeing = sky.seeing_of(metadata["seeing"])
    sigma = image.sky_sigma / _unit(image, sky, seeing)
    conditions = Conditions(seeing, np.full(3, np.nan), sigma, 0.0, np.ones(3), np.zeros((3, 2)))
    drawn = float(rng.uniform(*_REDSHIFTS))
    cluster = _cluster(window, image.pixel_scale, metadata["redshift"] if metadata["redshift"] > 0.0 else drawn)
    for _ in range(_TRIES):
        theta_e = _einstein_radius(rng, cluster.redshift, metadata, geometry)
        wide = rng if rng.random() < 0.5 else None
        arc, truth = draw_lens(rng, Canvas(geometry, floor=0.0), cluster, conditions, False, wide, theta_e)
        if truth["arc_snr"] >= _FAINTEST and truth["theta_e"] <= 0.5 * geometry.field:
            break
    return Pasted(arc, image, cluster.bcg, conditions), truth | {"redshift": cluster.redshift}


def _pasted(lens: Pasted, kind: str, sky: ImageSky, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the pixels of the image with the light of a kind and its photon noise added."""
    light = INJECTED[kind](lens, rng)
    texture = None if sky.kernels is None else Texture(sky.kernels)
    light = light + photon_noise(rng, light, lens.conditions.sky_sigma, lens.image.pixel_scale, texture)
    unit = lens.image.sky_sigma / lens.conditions.sky_sigma
    return (lens.image.pixels + unit * np.moveaxis(light, 0, 2)).astype(np.float32)


def _einstein_radius(
    rng: np.random.Generator, redshift: float, metadata: dict[str, float], geometry: Geometry
) -> float:
    """Draw the Einstein radius of a cluster's halo, arcsec: from its mass if known, else as in scenes.

    Radii that a cutout cannot show are not used.
    """
    usual = usual_einstein_radius(rng, geometry)
    proxies = {name: metadata[name] for name in _PROXIES if metadata[name] == metadata[name]}
    if not proxies:
        return usual
    drawn = draw_einstein_radius(rng, np.full(_RADII_DRAWN, redshift), **proxies)
    shown = drawn[(drawn >= _SMALLEST) & (drawn <= 0.5 * geometry.field)]
    return float(shown[0]) if len(shown) else usual


def _unit(image: RealImage, sky: ImageSky, seeing: NDArray[np.float64]) -> float:
    """Return the number of image flux units in one flux unit of AB zero point 27."""
    if sky.preset is None:
        return 1.0
    expected = sky_noise(np.array(sky.preset.depth), seeing, image.pixel_scale)
    return float(np.exp(np.nanmean(np.log(image.sky_sigma / expected))))


def _cluster(window: Window, pixel_scale: float, redshift: float) -> Cluster:
    """Return the properties of a cutout's cluster that a lens model needs, in arcsec from the centre."""
    middle = 0.5 * (window.size - 1)
    positions = (window.members[:, :2] - middle) * pixel_scale
    members = np.column_stack([positions, window.members[:, 2]])
    return Cluster(
        redshift, math.nan, (float(positions[0, 0]), float(positions[0, 1])), math.nan, window.bcg_angle, members
    )


def _nothing(pasted: Pasted, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.zeros_like(pasted.arc)


def _as_drawn(pasted: Pasted, rng: np.random.Generator) -> NDArray[np.float64]:
    return pasted.arc


INJECTED: dict[str, Callable[[Pasted, np.random.Generator], NDArray[np.float64]]] = {
    ARC: _as_drawn,
    "null": _nothing,
    "recoloured": in_galaxy_colours,
    "turned": turned_images,
    "straight": straightened,
}
"""functions that return the injected light, by kind"""
