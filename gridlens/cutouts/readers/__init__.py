"""Read cutouts from files: npy, npz, FITS, HDF5, Zarr and pictures."""

from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts.readers._batches import count_cutouts, read_batches, read_set
from gridlens.cutouts.readers._options import ReadOptions

__all__ = ["ReadOptions", "count_cutouts", "read_batches"]

CutoutSet._reader = staticmethod(read_set)
