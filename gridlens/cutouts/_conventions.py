"""Conventions that all cutouts share: the canonical geometry, names of metadata, the types of paths."""

import os
from collections.abc import Iterable
from typing import TypeAlias

__all__ = ["CANONICAL_PIXEL_SCALE", "MAX_SIZE", "METADATA_NAMES", "PathsLike"]

PathsLike: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

CANONICAL_PIXEL_SCALE = 0.5
"""arcsec per pixel of the canonical cutout, 128 x 128 px"""

MAX_SIZE = 4096
"""px; the largest side of an image that is read as a cutout, unless the caller says otherwise"""

METADATA_NAMES = (
    "seeing",
    "depth",
    "redshift",
    "richness",
    "log_xray_luminosity",
    "velocity_dispersion",
    "log_mass",
    "ra",
    "dec",
)
