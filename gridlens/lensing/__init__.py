"""Gravitational lensing by clusters: mass models, critical curves, point images, and rendering of lensed sources.

Positions and deflections are in arcsec, angles in rad, surface densities in units of the critical one.
"""

from gridlens.lensing._cosmology import lensing_efficiency, nfw_einstein_radius, sis_einstein_radius
from gridlens.lensing._critical import caustics, critical_curves, einstein_radius
from gridlens.lensing._expected import draw_einstein_radius, einstein_radius_distribution
from gridlens.lensing._images import PointImages, image_positions
from gridlens.lensing._mass import DPIE, NFW, SIE, ExternalShear, MassModel
from gridlens.lensing._sources import SersicSource, render_sources

__all__ = [
    "DPIE",
    "NFW",
    "SIE",
    "ExternalShear",
    "MassModel",
    "PointImages",
    "SersicSource",
    "caustics",
    "critical_curves",
    "draw_einstein_radius",
    "einstein_radius",
    "einstein_radius_distribution",
    "image_positions",
    "lensing_efficiency",
    "nfw_einstein_radius",
    "render_sources",
    "sis_einstein_radius",
]
