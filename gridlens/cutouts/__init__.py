"""Cutouts in memory and on disk.

`CutoutSet` holds cutouts of one size. `CutoutSet.read` and `gridlens.cutouts.readers.read_batches` read these formats:

- ``.npy``: one array of shape (H, W, 3) or (3, H, W), or many (n, H, W, 3); `bands` and `pixel_scale` are required.
- ``.npz``: one or many cutouts under the key `pixels` (also `image`, `images`), with `bcg_xy`, `pixel_scale`, `ids`,
  `bands`, `sky_axes`, `bcg_radec` and the metadata names, where they are known. `write_npz` writes such a shard.
- FITS (``.fits``, ``.fit``, ``.fts``, plain or compressed by gzip, bzip2, xz or tiles): three files whose names differ
  by a band token (NAME_g.fits, NAME_r.fits, NAME_i.fits, or NAME_g_sci.fits ...), one file with extensions named g, r,
  i, or a cube whose bands are named by its header (BANDS, BAND0 ..., FILTER1 ...) or by the `bands` option.
- HDF5 (``.h5``, ``.hdf5``, ``.hdf``) and Zarr (a folder ``NAME.zarr``, or ``NAME.zarr.zip``; versions 2 and 3): the
  arrays of an npz shard, or the GalaxiesML layout: `image` of shape (n, bands, H, W), `object_id`, `ra`, `dec`,
  `specz_redshift`. `bands` (or `filters`) and `pixel_scale` may also be attributes of the array or the file.
- Pictures (``.jpg``, ``.jpeg``, ``.png``), only with ``uncalibrated=True``: red, green and blue represent i, r and g,
  the rows are flipped to run upwards as in FITS, and each cutout is flagged `CutoutFlag.UNCALIBRATED`.

File names select which files are read, and the content of each file determines how: an HDF5 file called NAME.fits is
read as HDF5, and a picture is never treated as calibrated data. Only regular files are opened. HDF5 files and Zarr
stores must contain all their values, without links to other files, and Zarr arrays may use the codecs zstd, blosc,
gzip, zlib, bz2 and lz4. An image with a side longer than `max_size` (4096 px by default) is refused before its pixels
are read. If a file claims more cutouts than it stores, the stored ones are read and the missing ones count as one
failure.

Files of many cutouts (.npy, .npz, HDF5, Zarr) are read in batches of about 32 MiB, aligned with the chunks of the file
if it has any. HDF5, Zarr and pictures need ``pip install 'gridlens[formats]'``.

The pixel scale of a FITS file comes from its WCS. Zero points in the headers bring the flux to AB zero point 27.
`survey` names a preset of `gridlens.cutouts.SURVEYS` that supplies values missing from the files. A file is refused if
neither it nor the options give the order of the bands and the pixel scale, except for arrays called `pixels`, whose
bands are g, r, i. Assumed values are flagged by `CutoutFlag.ASSUMED_SCALE` or `CutoutFlag.ASSUMED_ZEROPOINT`.
"""

from gridlens.cutouts._batch import CutoutBatch, ReadFailure
from gridlens.cutouts._conventions import METADATA_NAMES
from gridlens.cutouts._flags import FLAG_MEANINGS, CutoutFlag, flag_names, is_rejected
from gridlens.cutouts._noise import band_noise
from gridlens.cutouts._quality import quality_flags
from gridlens.cutouts._reject import rejection
from gridlens.cutouts._set import CutoutSet
from gridlens.cutouts._surveys import SURVEYS, Survey, get_survey
from gridlens.cutouts._writers import write_npz
from gridlens.cutouts.catalogs import read_catalog
from gridlens.cutouts.images import extract, extract_batches, write_fits
from gridlens.cutouts.readers import count_cutouts, read_batches

__all__ = [
    "FLAG_MEANINGS",
    "METADATA_NAMES",
    "SURVEYS",
    "CutoutBatch",
    "CutoutFlag",
    "CutoutSet",
    "ReadFailure",
    "Survey",
    "band_noise",
    "count_cutouts",
    "extract",
    "extract_batches",
    "flag_names",
    "get_survey",
    "is_rejected",
    "quality_flags",
    "read_batches",
    "read_catalog",
    "rejection",
    "write_fits",
    "write_npz",
]
