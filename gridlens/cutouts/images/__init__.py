"""Survey images: tiles, units and coordinates of FITS images, and extraction of cutouts."""

from gridlens.cutouts.images._extract import extract, extract_batches
from gridlens.cutouts.images._fits_writer import write_fits
from gridlens.cutouts.images._options import CutOptions

__all__ = ["CutOptions", "extract", "extract_batches", "write_fits"]
