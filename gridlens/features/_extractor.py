"""`GridPatchExtractor`: features of the contract, computed from cutouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, TransformerMixin

from gridlens.cutouts import CutoutFlag, CutoutSet, is_rejected, quality_flags, rejection
from gridlens.cutouts._flags import flag_message
from gridlens.cutouts._quality import valid_fraction
from gridlens.cutouts._reject import field_warning
from gridlens.features._batches import in_batches
from gridlens.features._contract import FEATURE_NAMES, METADATA_CHOICES, METADATA_NAMES, N_IMAGE_FEATURES, N_PATCHES
from gridlens.features._measured import Measured
from gridlens.features._named import informative_columns

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["GridPatchExtractor", "measure"]


class GridPatchExtractor(TransformerMixin, BaseEstimator):
    """Transformer of cutouts into the 315 features of the contract: 9 patches x 34 features, then 9 metadata values.

    Nothing is learned from the cutouts: each row depends only on its own cutout, bit for bit, regardless of the order
    and the number of threads. The kernels are compiled on first use on a machine (half a minute, cached afterwards).

    Parameters
    ----------
    metadata : {"image", "survey", "all"}, default="image"
        Metadata to keep; the other columns are NaN. "image" keeps none; "survey" keeps seeing, depth and redshift;
        "all" keeps the nine. Metadata can leak labels: known lenses were selected by mass and richness, and a position
        identifies a field.
    n_jobs : int, default=1
        Number of threads; -1 means all processors, None means 1.
    drop_constant : bool, default=False
        Whether to drop the columns that are equal in all cutouts: the 81 position flags, and the metadata that are not
        kept. `transform` then returns 225, 228 or 234 columns, depending on `metadata`, for your own estimators;
        members and `LensDetector` need all 315.

    See Also
    --------
    arc_candidate : The pixels and the circle of the arc candidate of a patch.
    dihedral : Features of the flipped and rotated cutouts.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet, GridPatchExtractor
    >>> pixels = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    >>> X = GridPatchExtractor().fit_transform(CutoutSet(pixels, pixel_scale=1.0))
    >>> X.shape, X.dtype
    ((2, 315), dtype('float32'))
    """

    def __init__(self, metadata: str = "image", n_jobs: int | None = 1, drop_constant: bool = False) -> None:
        self.metadata = metadata
        self.n_jobs = n_jobs
        self.drop_constant = drop_constant

    def fit(self, X: CutoutSet, y: Any = None) -> GridPatchExtractor:
        """Check the parameters and that `X` is a `CutoutSet`; nothing is learned.

        Parameters
        ----------
        X : CutoutSet
        y : ignored

        Returns
        -------
        GridPatchExtractor

        Raises
        ------
        TypeError
            `X` is not a `CutoutSet`.
        ValueError
            A parameter has an invalid value.
        """
        self._check(X)
        return self

    def transform(self, X: CutoutSet) -> np.ndarray:
        """Compute the features of each cutout.

        Parameters
        ----------
        X : CutoutSet
            n cutouts of one size, at least 48 px; pixels that are not finite are treated as sky.

        Returns
        -------
        ndarray of shape (n, 315), float32
            In the order of `get_feature_names_out`; fewer columns with `drop_constant`. A rejected cutout has a row of
            NaN (`extract` gives the reason); metadata that are unknown or not selected are NaN. With n = 0, of shape
            (0, 315).

        Raises
        ------
        TypeError
            `X` is not a `CutoutSet`.
        ValueError
            A parameter has an invalid value.
        """
        features = self._rows(X).features
        return features[:, informative_columns(self.metadata)] if self.drop_constant else features

    def extract(self, X: CutoutSet) -> Measured:
        """Measure cutouts: compute their features, and check them against the contract and for bad pixels.

        Parameters
        ----------
        X : CutoutSet of n

        Returns
        -------
        Measured of n
            With `X` as its `cutouts`, and all 315 features regardless of `drop_constant`. A cutout rejected by
            `gridlens.cutouts.quality_flags` keeps its features.

        Raises
        ------
        TypeError
            `X` is not a `CutoutSet`.
        ValueError
            A parameter has an invalid value.

        Examples
        --------
        >>> import numpy as np
        >>> from gridlens import CutoutSet, GridPatchExtractor
        >>> pixels = np.random.default_rng(0).normal(size=(2, 96, 96, 3)).astype(np.float32)
        >>> pixels[1] = np.nan
        >>> measured = GridPatchExtractor().extract(CutoutSet(pixels))
        >>> measured.features.shape, measured.rejected.tolist()
        ((2, 315), [False, True])
        """
        rows = self._rows(X)
        flags, messages = X.flags | quality_flags(X), np.full(len(X), "", dtype=object)
        rejected = (rows.status != 0) | is_rejected(flags)
        for i in range(len(X)):
            flag, said = _judge(X, i, rows.status[i])
            others = flag_message(int(flags[i] & ~flag)) if flags[i] else ""
            # The reason for a rejection precedes any warning.
            messages[i] = " ".join(filter(None, (said, others) if rows.status[i] else (others, said)))
            flags[i] |= flag
        return Measured(
            X.ids,
            X.paths,
            rows.features,
            flags,
            rejected,
            messages,
            _valid_fraction(X.pixels, rows.bad),
            X,
            radec=X.metadata[["ra", "dec"]].to_numpy(dtype=np.float64),
            bcg_xy=X.bcg_xy,
            bcg_radec=X.bcg_radec,
            sky_axes=X.sky_axes,
            arc_xy=rows.arc_xy,
        )

    def _rows(self, X: CutoutSet) -> _Rows:
        n_jobs = self._check(X)
        n = len(X)
        rows = _Rows(
            np.full((n, len(FEATURE_NAMES)), np.nan, dtype=np.float32),
            np.zeros(n, dtype=np.int64),
            np.zeros(n, dtype=np.int64),
            np.full((n, N_PATCHES, 2), np.nan, dtype=np.float32),
        )
        if n:
            _extract_all(X, rows, min(n_jobs, n))
        fine = rows.status == 0
        for k, name in enumerate(METADATA_NAMES):
            if name in METADATA_CHOICES[self.metadata]:
                rows.features[fine, N_IMAGE_FEATURES + k] = _metadata_column(X, name)[fine]
        return rows

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of `transform`.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of shape (315,), object
            Fewer with `drop_constant`.
        """
        names = np.array(FEATURE_NAMES, dtype=object)
        return names[informative_columns(self.metadata)] if self.drop_constant else names

    def _check(self, X: CutoutSet) -> int:
        """Check the parameters and the type of `X`, and return the number of threads."""
        if not isinstance(X, CutoutSet):
            raise TypeError(
                f"The 'X' parameter of GridPatchExtractor must be a CutoutSet. Got {type(X).__name__} instead. "
                "CutoutSet(pixels) wraps an array of shape (n, H, W, 3)."
            )
        if self.metadata not in METADATA_CHOICES:
            choices = ", ".join(repr(choice) for choice in METADATA_CHOICES)
            raise ValueError(
                f"The 'metadata' parameter of GridPatchExtractor must be one of {choices}. "
                f"Got {self.metadata!r} instead."
            )
        if self.n_jobs == 0:
            raise ValueError(
                "The 'n_jobs' parameter of GridPatchExtractor must be a number of threads, -1 for all processors or "
                "None for 1. Got 0 instead."
            )
        return int(effective_n_jobs(self.n_jobs))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = True
        tags.requires_fit = False
        return tags


class _Rows(NamedTuple):
    """Arrays filled by the kernel for n cutouts; metadata are added to the features later."""

    features: np.ndarray
    """(n, 315)"""
    status: np.ndarray
    """(n,); 0 means accepted"""
    bad: np.ndarray
    """(n,); number of bad pixels"""
    arc_xy: np.ndarray
    """(n, 9, 2)"""


def _extract_all(cutouts: CutoutSet, rows: _Rows, n_jobs: int) -> None:
    """Fill all rows except the metadata."""
    # Imported here, so that commands that do not extract features do not load Numba.
    from gridlens.features._kernels import extract_rows, make_workspace

    def call(workspace: Any, batch: slice, pixels: np.ndarray, bcg_xy: np.ndarray, pixel_scale: np.ndarray) -> None:
        extract_rows(pixels, bcg_xy, pixel_scale, workspace, *(part[batch] for part in rows))

    in_batches(cutouts, n_jobs, lambda: make_workspace(cutouts.pixels.shape[1]), call)


def _valid_fraction(pixels: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Return the fraction of valid pixels, from the kernel's counts of bad pixels if available."""
    fraction = 1.0 - bad / max(1, pixels.shape[1] * pixels.shape[2])
    uncounted = bad < 0
    fraction[uncounted] = valid_fraction(pixels[uncounted])
    return fraction


def _metadata_column(cutouts: CutoutSet, name: str) -> np.ndarray:
    """Return a metadata column in the contract's units: positions are scaled to the unit interval."""
    values = cutouts.metadata[name].to_numpy(dtype=np.float64)
    if name == "ra":
        return values / 360.0
    if name == "dec":
        return (values + 90.0) / 180.0
    return values


def _judge(cutouts: CutoutSet, i: int, status: int) -> tuple[CutoutFlag, str]:
    """Return the flag and message of a rejected cutout, or of a warning about an accepted one."""
    scale = float(cutouts.pixel_scale[i])
    if status:
        return rejection(cutouts.pixels[i], cutouts.bcg_xy[i], scale)
    warning = field_warning(cutouts.pixels.shape[1], scale)
    return (CutoutFlag.NARROW_FIELD, warning) if warning else (CutoutFlag(0), "")


def measure(cutouts: CutoutSet, metadata: str = "all", n_jobs: int | None = 1) -> Measured:
    """Measure cutouts with all their metadata, like `GridPatchExtractor.extract`; a detector hides some of them.

    Parameters
    ----------
    cutouts : CutoutSet of n
    metadata : {"image", "survey", "all"}, default="all"
        As in `GridPatchExtractor`.
    n_jobs : int, default=1
        Number of threads; -1 means all processors.

    Returns
    -------
    Measured of n

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens.features import measure
    >>> measured = measure(CutoutSet(np.random.default_rng(0).normal(size=(2, 96, 96, 3))))
    >>> measured.features.shape
    (2, 315)
    """
    return GridPatchExtractor(metadata, n_jobs).extract(cutouts)
