"""Conventions shared by all cutouts: the canonical geometry, metadata names, types of paths."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias, Union

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

__all__ = ["CANONICAL_PIXEL_SCALE", "MAX_SIZE", "METADATA_NAMES", "CatalogLike", "PathsLike"]

PathsLike: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

CatalogLike: TypeAlias = Union[str, os.PathLike[str], "pd.DataFrame", "Table"]
"""a file, or a pandas or astropy table"""

CANONICAL_PIXEL_SCALE = 0.5
"""arcsec per pixel of the canonical cutout, 128 x 128 px"""

MAX_SIZE = 4096
"""px; default limit on the side of an image that is read as a cutout"""

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
