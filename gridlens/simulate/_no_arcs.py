"""Controls that differ from arcs in one property, to test why a model recognizes arcs."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gridlens.simulate._backgrounds import RealImage
from gridlens.simulate._observe import FWHM_PER_SIGMA, Conditions

__all__ = ["Pasted", "in_galaxy_colours", "straightened", "turned_images"]

# Radius in which the BCG's colours are measured, arcsec: larger than ground-based seeing.
_CORE = 1.5
# Minimum rotation of images, rad: arcs rotated by less still look tangential.
_LEAST_TURN = 0.25 * math.pi


class Pasted(NamedTuple):
    """The arcs of one cutout, and the image into which they are injected."""

    arc: NDArray[np.float64]
    """(3, H, W) lensed light without noise, AB zero point 27"""
    image: RealImage
    bcg: tuple[float, float]
    """arcsec from the centre"""
    conditions: Conditions


def in_galaxy_colours(pasted: Pasted, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the arcs with the colours of the BCG and their original brightness in r."""
    image = pasted.image
    size = image.pixels.shape[0]
    axis = (np.arange(size) - 0.5 * (size - 1)) * image.pixel_scale
    core = np.hypot(axis[None, :] - pasted.bcg[0], axis[:, None] - pasted.bcg[1]) < max(_CORE, image.pixel_scale)
    sky = np.nanmedian(image.pixels, axis=(0, 1))
    flux = np.nansum(np.where(core[:, :, None], image.pixels - sky, 0.0), axis=(0, 1))
    # If the BCG has no flux in a band, its colour is unknown: that band gets an invisibly small fraction of r.
    ratio = np.clip(flux / max(float(flux[1]), 1e-30), 0.01, 100.0) if flux[1] > 0.0 else np.ones(3)
    return np.asarray(pasted.arc[1] * ratio[:, None, None])


def turned_images(pasted: Pasted, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the arcs with each image rotated about its own centre by 45 to 135 degrees."""
    arc, sigma = pasted.arc, pasted.conditions.sky_sigma
    stacked = (arc / sigma[:, None, None]).sum(axis=0) / math.sqrt(3.0)
    labels, count = ndimage.label(stacked > 1.0, structure=np.ones((3, 3)))
    if count == 0:
        return arc
    # Faint light belongs to the nearest image.
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    owner = labels[tuple(nearest)]
    turned = np.zeros_like(arc)
    for label in range(1, count + 1):
        light = np.where(owner == label, arc, 0.0)
        centre = np.array(ndimage.center_of_mass(light.sum(axis=0)))
        angle = float(rng.uniform(_LEAST_TURN, math.pi - _LEAST_TURN))
        matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        for band in range(3):
            turned[band] += ndimage.affine_transform(light[band], matrix, centre - matrix @ centre, order=1)
    return turned


def straightened(pasted: Pasted, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a straight trail across the cutout, through the brightest part of the arcs, with their colours.

    Its width is that of the point-spread function, and its surface brightness is the light-weighted mean of the arcs.
    """
    arc, scale = pasted.arc, pasted.image.pixel_scale
    y0, x0 = np.unravel_index(int(np.argmax(arc.sum(axis=0))), arc.shape[1:])
    angle = float(rng.uniform(0.0, math.pi))
    y, x = np.indices(arc.shape[1:])
    across = (x - x0) * math.sin(angle) - (y - y0) * math.cos(angle)
    width = np.maximum(pasted.conditions.seeing / FWHM_PER_SIGMA / scale, 0.5)
    total = arc.sum(axis=(1, 2))
    brightness = np.divide((arc**2).sum(axis=(1, 2)), total, out=np.zeros(3), where=total > 0.0)
    return np.asarray(brightness[:, None, None] * np.exp(-0.5 * (across / width[:, None, None]) ** 2))
