"""The CutoutSet: cutouts of one size in memory, with their positions and metadata."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlens._ids import InexactIdError, as_ids, escaped
from gridlens.cutouts._conventions import CANONICAL_PIXEL_SCALE, METADATA_NAMES, CatalogLike, PathsLike
from gridlens.cutouts._plausible import known_metadata, limits
from gridlens.errors import CutoutError

__all__ = ["CutoutSet", "checked_ids"]

_LIMITS = np.array([limits(name) for name in METADATA_NAMES]).T
_RADEC = [METADATA_NAMES.index("ra"), METADATA_NAMES.index("dec")]
# Created once, because pandas inspects every name.
_METADATA_COLUMNS = pd.Index(METADATA_NAMES)


class CutoutSet:
    r"""Three-band cutouts of one size, with the position of the BCG, the pixel scale, ids and metadata.

    Values that make a cutout unfit for the features (a NaN band, a BCG outside the image, fewer than 48 px) are
    accepted here, since one bad cutout must not stop a batch. `reject_reason` reports them later, one by one.

    Parameters
    ----------
    pixels : array-like of shape (n, H, W, 3)
        Linear flux in the bands g, r, i, in one flux unit for the whole set (by convention AB zero point 27), at any
        sky level. Row y runs along the second axis, column x along the third. NaN and inf mark bad pixels. A float32
        array in C order is kept without a copy; anything else is converted. n may be 0.
    bcg_xy : array-like of shape (n, 2) or (2,), default=None
        Position (x, y) of the brightest cluster galaxy, 0-based pixels whose centres are integers. None means the
        centre, ((W - 1) / 2, (H - 1) / 2). A single pair applies to all cutouts.
    pixel_scale : float or array-like of shape (n,), default=0.5
        arcsec per pixel. The features accept 0.03 to 2.
    ids : array-like of shape (n,), default=None
        Names of the cutouts, stored as str (7.0 becomes "7"); floating-point numbers beyond 2^53 are refused. None
        means "0", "1", ... Ids may repeat.
    metadata : DataFrame of n rows or mapping of name to values, default=None
        Columns among `METADATA_NAMES`; missing columns are filled with NaN, which means unknown. Units:
        `seeing` arcsec (FWHM), `depth` mag (5 sigma), `redshift`, `richness`, `log_xray_luminosity` log10 erg/s,
        `velocity_dispersion` km/s, `log_mass` log10 solar masses, `ra` and `dec` degrees.
    paths : array-like of shape (n,), default=None
        The file of each cutout; None means that it was created in memory (the empty string). If a cutout comes from
        several files, such as those of g, r and i, they are joined by ";" (a ";" in a name is written as ``\x3b``).
    flags : int or array-like of shape (n,), default=0
        Bits of `CutoutFlag` that were set before this set was created.
    sky_axes : array-like of shape (n, 2, 2) or (2, 2), default=None
        Orientation of the image on the sky at the BCG: ``[[east per x, east per y], [north per x, north per y]]``,
        arcsec per pixel, where "east per x" is the step to the east per pixel along x. None and NaN mean unknown. A
        single matrix applies to all cutouts.
    bcg_radec : array-like of shape (n, 2) or (2,), default=None
        Right ascension and declination of the BCG, ICRS, degrees. None and NaN are replaced by `ra` and `dec` of the
        metadata.

    Attributes
    ----------
    pixels : ndarray of shape (n, H, W, 3), float32, C-contiguous
    bcg_xy : ndarray of shape (n, 2), float64
    pixel_scale : ndarray of shape (n,), float64
    ids, paths : ndarray of shape (n,), object (str)
    metadata : DataFrame of shape (n, 9), float64, columns `METADATA_NAMES`, index 0 to n - 1
    flags : ndarray of shape (n,), int64
    sky_axes : ndarray of shape (n, 2, 2), float64
        All four values are NaN if the orientation is unknown.
    bcg_radec : ndarray of shape (n, 2), float64
        Both values are NaN if the position is unknown.

    Raises
    ------
    CutoutError
        A shape does not match, a value is not a number, or a metadata column is unknown.

    See Also
    --------
    CutoutSet.read : read files.
    read_batches : read any number of files, of any size, in batches.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.cutouts import CutoutSet
    >>> pixels = np.random.default_rng(0).normal(size=(3, 64, 64, 3))
    >>> cutouts = CutoutSet(pixels, pixel_scale=0.263, metadata={"redshift": [0.2, np.nan, 0.4]})
    >>> cutouts
    CutoutSet(3 cutouts of 64 x 64 px, 0.263 arcsec/px, 16.8 arcsec across; metadata: redshift 2)
    >>> cutouts[cutouts.metadata["redshift"] > 0.3].ids
    array(['2'], dtype=object)
    """

    pixels: NDArray[np.float32]
    bcg_xy: NDArray[np.float64]
    pixel_scale: NDArray[np.float64]
    ids: NDArray[np.object_]
    metadata: pd.DataFrame
    paths: NDArray[np.object_]
    flags: NDArray[np.int64]
    sky_axes: NDArray[np.float64]
    bcg_radec: NDArray[np.float64]

    # Set by `gridlens.cutouts.readers`, which imports this module: a direct import here would be circular.
    _reader: ClassVar[Callable[..., "CutoutSet"]]

    def __init__(
        self,
        pixels: ArrayLike,
        *,
        bcg_xy: ArrayLike | None = None,
        pixel_scale: ArrayLike = CANONICAL_PIXEL_SCALE,
        ids: ArrayLike | None = None,
        metadata: pd.DataFrame | Mapping[str, Any] | None = None,
        paths: ArrayLike | None = None,
        flags: ArrayLike = 0,
        sky_axes: ArrayLike | None = None,
        bcg_radec: ArrayLike | None = None,
    ) -> None:
        self.pixels = _as_pixels(pixels)
        n, height, width = self.pixels.shape[:3]
        centre = ((width - 1) / 2, (height - 1) / 2)
        self.bcg_xy = _broadcast("bcg_xy", centre if bcg_xy is None else bcg_xy, (n, 2))
        self.pixel_scale = _broadcast("pixel_scale", pixel_scale, (n,))
        self.ids = _as_names("ids", checked_ids(range(n) if ids is None else ids), n)
        self.paths = _as_names("paths", [escaped(str(path)) for path in ([""] * n if paths is None else paths)], n)  # type: ignore[union-attr]
        self.metadata = _as_metadata(metadata, n)
        self.flags = _as_flags(flags, n)
        self.sky_axes = _known("sky_axes", np.nan if sky_axes is None else sky_axes, (n, 2, 2))
        self.bcg_radec = _known("bcg_radec", np.nan if bcg_radec is None else bcg_radec, (n, 2))
        unknown = np.isnan(self.bcg_radec[:, 0])
        # Selecting the columns in numpy is much faster than in pandas.
        self.bcg_radec[unknown] = self.metadata.to_numpy()[unknown][:, _RADEC]

    @classmethod
    def read(
        cls,
        paths: PathsLike,
        *,
        catalog: CatalogLike | None = None,
        columns: Mapping[str, str] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        **options: Any,
    ) -> "CutoutSet":
        """Read cutouts of one size from files, a folder or a glob.

        Everything is held in memory at once: 100,000 cutouts of 128 px take 20 GB. For more, and for cutouts
        of mixed sizes, use `gridlens.score` or `read_batches`, which take the same parameters.

        Parameters
        ----------
        paths : str, path or list of them
            Files, folders (read with their subfolders) and globs. Formats: .npy, .npz, FITS, HDF5, Zarr and
            pictures, see `gridlens.cutouts`.
        catalog : str, path, DataFrame or astropy Table, default=None
            Table with the metadata and, if known, the positions of the BCGs; joined by name or else by sky position,
            see `read_catalog`.
        columns : mapping of str to str, default=None
            Mapping of the names used here to the catalogue's columns, such as ``{"richness": "LAMBDA_CHISQ"}``.
        on_error : {"raise", "skip"}, default="raise"
            "raise" stops at the first file that cannot be read. "skip" omits such files and issues a warning with their
            names.
        **options
            Fields of `gridlens.cutouts.readers.ReadOptions`, such as ``pixel_scale=0.2`` or ``survey="hsc"``.

        Returns
        -------
        CutoutSet
            The cutouts in the order of the sorted paths.

        Raises
        ------
        CutoutError
            No file is found, a file cannot be read, the sizes differ, or an option is invalid.
        TypeError
            An option is not a field of `ReadOptions`.

        Examples
        --------
        >>> cutouts = CutoutSet.read("cutouts/", catalog="clusters.csv")  # doctest: +SKIP
        """
        return cls._reader(
            paths,
            catalog=catalog,
            columns=columns,
            on_error=on_error,
            options=options,
        )

    @staticmethod
    def concatenate(sets: Iterable["CutoutSet"]) -> "CutoutSet":
        """Concatenate sets of the same cutout size, in order; empty sets are skipped, and ids may repeat.

        Raises
        ------
        CutoutError
            There are no sets, or the sizes differ.

        Examples
        --------
        >>> import numpy as np
        >>> one = CutoutSet(np.ones((2, 48, 48, 3)))
        >>> len(CutoutSet.concatenate([one, one]))
        4
        """
        sets = list(sets)
        if not sets:
            raise CutoutError("The 'sets' parameter must hold at least one CutoutSet. Got none instead.")
        parts = [part for part in sets if len(part)] or sets[:1]
        sizes = sorted({part.pixels.shape[1:3] for part in parts})
        if len(sizes) > 1:
            raise CutoutError(
                f"The 'sets' parameter must hold cutouts of one size. Got {_format_sizes(sizes)} instead. "
                "Use one set per size, as gridlens.cutouts.read_batches does for mixed sizes."
            )
        if len(parts) == 1:
            return parts[0]
        return CutoutSet(
            np.concatenate([part.pixels for part in parts]),
            bcg_xy=np.concatenate([part.bcg_xy for part in parts]),
            pixel_scale=np.concatenate([part.pixel_scale for part in parts]),
            ids=np.concatenate([part.ids for part in parts]),
            metadata=pd.concat([part.metadata for part in parts], ignore_index=True),
            paths=np.concatenate([part.paths for part in parts]),
            flags=np.concatenate([part.flags for part in parts]),
            sky_axes=np.concatenate([part.sky_axes for part in parts]),
            bcg_radec=np.concatenate([part.bcg_radec for part in parts]),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the pixels, (n, H, W, 3)."""
        return self.pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, key: Any) -> "CutoutSet":
        """Return the cutouts at `key`, always as a set: an int gives a set of one.

        A slice shares its pixels with this set; a boolean mask or an array of integers copies them.
        """
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
            key = key[0]  # scikit-learn selects rows by X[rows, ...]
        if isinstance(key, int | np.integer):
            if not -len(self) <= key < len(self):
                raise IndexError(f"The cutout {key} is out of range for a set of {len(self)}.")
            start = int(key) % len(self)
            key = slice(start, start + 1)
        elif not isinstance(key, slice):
            key = np.asarray(key)
            if key.size == 0:
                key = key.astype(np.intp)
            if key.ndim != 1 or key.dtype.kind not in "bui":
                raise IndexError(
                    "Cutouts must be selected by an integer, a slice, a boolean mask or an array of integers. "
                    f"Got an array of shape {key.shape} and type {key.dtype} instead."
                )
        return CutoutSet(
            self.pixels[key],
            bcg_xy=self.bcg_xy[key],
            pixel_scale=self.pixel_scale[key],
            ids=self.ids[key],
            metadata=self.metadata.iloc[key],
            paths=self.paths[key],
            flags=self.flags[key],
            sky_axes=self.sky_axes[key],
            bcg_radec=self.bcg_radec[key],
        )

    def __iter__(self) -> Iterator["CutoutSet"]:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        n, height, width = self.pixels.shape[:3]
        text = f"{n} cutout{'' if n == 1 else 's'} of {width} x {height} px"
        if n:
            text += f", {_format_range(self.pixel_scale, 3)} arcsec/px"
            text += f", {_format_range(self.pixel_scale * width, 1)} arcsec across"
        known = self.metadata.notna().sum()
        parts = ", ".join(f"{name} {count}" for name, count in known.items() if count)
        return f"CutoutSet({text}; metadata: {parts or 'none'})"


def _as_pixels(pixels: ArrayLike) -> NDArray[np.float32]:
    array = np.asarray(pixels)
    if array.ndim != 4 or array.shape[3] != 3 or not array.shape[1] or not array.shape[2]:
        raise CutoutError(
            f"The 'pixels' parameter must be an array of shape (n, H, W, 3), bands g, r, i last. Got {array.shape} "
            "instead. Pass one cutout of shape (H, W, 3) as pixels[None]."
        )
    if array.dtype.kind not in "buif":
        raise CutoutError(f"The 'pixels' parameter must be an array of real numbers. Got type {array.dtype} instead.")
    with np.errstate(over="ignore"):  # values beyond the range of float32 become inf: a bad pixel
        return np.ascontiguousarray(array, dtype=np.float32)


def _broadcast(name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        return np.array(np.broadcast_to(np.asarray(values, dtype=np.float64), shape))
    except (TypeError, ValueError):
        raise CutoutError(
            f"The '{name}' parameter must be numbers of shape {shape}, or of a shape that broadcasts to it. "
            f"Got {np.shape(values)} instead."
        ) from None


def _known(name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the values of each cutout; if one is not finite, all values of that cutout are NaN."""
    array = _broadcast(name, values, shape)
    array[~np.isfinite(array).all(axis=tuple(range(1, len(shape))))] = np.nan
    return array


def checked_ids(ids: Any) -> list[str]:
    """Return ids as strings; raise CutoutError for numbers that are too large to be exact."""
    try:
        return as_ids(ids)
    except InexactIdError as exc:
        raise CutoutError(str(exc)) from exc


def _as_names(name: str, names: list[str], n: int) -> NDArray[np.object_]:
    if len(names) != n:
        raise CutoutError(f"The '{name}' parameter must have one entry per cutout, {n}. Got {len(names)} instead.")
    array = np.empty(n, dtype=object)
    array[:] = names
    return array


def _as_flags(values: ArrayLike, n: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.dtype.kind not in "biu" or array.ndim > 1 or (array.ndim == 1 and len(array) != n):
        raise CutoutError(
            f"The 'flags' parameter must be integers, bits of CutoutFlag, one for each of the {n} cutouts. "
            f"Got shape {array.shape} and type {array.dtype} instead."
        )
    return np.array(np.broadcast_to(array.astype(np.int64), (n,)))


def _as_metadata(metadata: pd.DataFrame | Mapping[str, Any] | None, n: int) -> pd.DataFrame:
    if isinstance(metadata, pd.DataFrame) and len(metadata) == n and _is_complete(metadata):
        # The metadata come from another set, as in slices: converting column by column would dominate the run time.
        known = metadata.to_numpy(dtype=np.float64)
        return pd.DataFrame(np.where(np.isfinite(known), known, np.nan), columns=_METADATA_COLUMNS)
    columns = {} if metadata is None else {name: metadata[name] for name in metadata}
    unknown = [str(name) for name in columns if name not in METADATA_NAMES]
    if unknown:
        raise CutoutError(
            f"The 'metadata' parameter must have columns among {', '.join(METADATA_NAMES)}. "
            f"Got {', '.join(unknown)} instead."
        )
    values = np.full((n, len(METADATA_NAMES)), np.nan)
    for name, column in columns.items():
        values[:, METADATA_NAMES.index(name)] = _broadcast(f"metadata[{name!r}]", column, (n,))
    values[~np.isfinite(values)] = np.nan
    low, high = _LIMITS
    impossible = (values < low) | (values > high)
    if impossible.any():
        words = known_metadata(columns)[1]
        warnings.warn(
            f"Some metadata values of the cutouts are implausible and are treated as unknown: {words}.",
            UserWarning,
            stacklevel=3,
        )
        values[impossible] = np.nan
    return pd.DataFrame(values, columns=_METADATA_COLUMNS)


def _is_complete(metadata: pd.DataFrame) -> bool:
    return tuple(metadata.columns) == METADATA_NAMES and all(kind == np.float64 for kind in metadata.dtypes)


def _format_range(values: NDArray[np.float64], digits: int) -> str:
    low, high = (f"{bound:.{digits}f}" for bound in (np.min(values), np.max(values)))
    return low if low == high else f"{low} to {high}"


def _format_sizes(sizes: Iterable[tuple[int, ...]]) -> str:
    return ", ".join(f"{width} x {height} px" for height, width in sizes)
