"""`GridPatchExtractor`: cutouts in, rows of the feature contract out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, TransformerMixin

from gridlens.cutouts import CutoutFlag, CutoutSet, is_rejected, quality_flags, rejection
from gridlens.cutouts._flags import flag_message
from gridlens.cutouts._quality import valid_fraction
from gridlens.cutouts._reject import field_warning
from gridlens.features._chunks import in_chunks
from gridlens.features._contract import FEATURE_NAMES, METADATA_CHOICES, METADATA_NAMES, N_IMAGE_FEATURES, N_PATCHES
from gridlens.features._measured import Measured
from gridlens.features._named import informative_columns

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["GridPatchExtractor", "measure"]


class GridPatchExtractor(TransformerMixin, BaseEstimator):
    """Turn cutouts into the 315 features of the contract: 9 patches x 34 features, then 9 metadata values.

    Nothing is learned from the cutouts: each row depends on its own cutout alone, to the bit, whatever the order and
    the number of threads. The kernels compile on the first use on a machine (half a minute, cached afterwards).

    Parameters
    ----------
    metadata : {"image", "survey", "all"}, default="image"
        Metadata to keep; the other columns are NaN. "image" keeps none; "survey" keeps seeing, depth and redshift;
        "all" keeps the nine. Metadata can leak the answer: known lenses were chosen by mass and richness, and a
        position names a field.
    n_jobs : int, default=1
        Threads; -1 for all processors, None for 1.
    drop_constant : bool, default=False
        True leaves out the columns that are equal in all cutouts: the 81 flags of position, and the metadata that are
        not kept. `transform` then returns 225, 228 or 234 columns by `metadata`, for estimators of your own; members
        and `LensDetector` need all 315.

    See Also
    --------
    arc_candidate : The pixels and the circle of the arc candidate that a patch shows.
    dihedral : Features of the flipped and turned cutouts.

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
            If `X` is not a `CutoutSet`.
        ValueError
            If a parameter is not one of its choices.
        """
        self._check(X)
        return self

    def transform(self, X: CutoutSet) -> np.ndarray:
        """Features of each cutout.

        Parameters
        ----------
        X : CutoutSet
            n cutouts of one size, at least 48 px; pixels that are not finite count as the sky.

        Returns
        -------
        ndarray of shape (n, 315), float32
            In the order of `get_feature_names_out`; fewer columns with `drop_constant`. A row of NaN for a rejected
            cutout (`extract` says why); metadata that is unknown or was not asked for is NaN. With n = 0, of shape
            (0, 315).

        Raises
        ------
        TypeError
            If `X` is not a `CutoutSet`.
        ValueError
            If a parameter is not one of its choices.
        """
        features = self._rows(X).features
        return features[:, informative_columns(self.metadata)] if self.drop_constant else features

    def extract(self, X: CutoutSet) -> Measured:
        """Measure cutouts: features, and what the contract and the pixels say against each of them.

        Parameters
        ----------
        X : CutoutSet of n

        Returns
        -------
        Measured of n
            With `X` as its `cutouts`, and all 315 features whatever `drop_constant` is. A cutout that
            `gridlens.cutouts.quality_flags` rejects keeps its features.

        Raises
        ------
        TypeError
            If `X` is not a `CutoutSet`.
        ValueError
            If a parameter is not one of its choices.

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
            # Why a cutout is rejected comes before any warning.
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
            With `drop_constant`, of those that are left.
        """
        names = np.array(FEATURE_NAMES, dtype=object)
        return names[informative_columns(self.metadata)] if self.drop_constant else names

    def _check(self, X: CutoutSet) -> int:
        """Number of threads, once the parameters and the type of `X` are known to be right."""
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
    """The arrays that the kernel fills for n cutouts; metadata are added to the features."""

    features: np.ndarray
    """(n, 315)"""
    status: np.ndarray
    """(n,) 0 is fine"""
    bad: np.ndarray
    """(n,) number of bad pixels"""
    arc_xy: np.ndarray
    """(n, 9, 2)"""


def _extract_all(cutouts: CutoutSet, rows: _Rows, n_jobs: int) -> None:
    """Fill all but the metadata."""
    # Numba is loaded here, and not with this module: a command that extracts nothing must not wait for it.
    from gridlens.features._kernels import extract_rows, make_workspace

    def call(workspace: Any, chunk: slice, pixels: np.ndarray, bcg_xy: np.ndarray, pixel_scale: np.ndarray) -> None:
        extract_rows(pixels, bcg_xy, pixel_scale, workspace, *(part[chunk] for part in rows))

    in_chunks(cutouts, n_jobs, lambda: make_workspace(cutouts.pixels.shape[1]), call)


def _valid_fraction(pixels: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Return the fraction of valid pixels from the kernel's counts of bad ones, counting where the kernel did not."""
    fraction = 1.0 - bad / max(1, pixels.shape[1] * pixels.shape[2])
    uncounted = bad < 0
    fraction[uncounted] = valid_fraction(pixels[uncounted])
    return fraction


def _metadata_column(cutouts: CutoutSet, name: str) -> np.ndarray:
    """One column of metadata in the contract's units: positions fill the unit interval."""
    values = cutouts.metadata[name].to_numpy(dtype=np.float64)
    if name == "ra":
        return values / 360.0
    if name == "dec":
        return (values + 90.0) / 180.0
    return values


def _judge(cutouts: CutoutSet, i: int, status: int) -> tuple[CutoutFlag, str]:
    """Flag and reason of a rejected cutout, or of a warning about another."""
    scale = float(cutouts.pixel_scale[i])
    if status:
        return rejection(cutouts.pixels[i], cutouts.bcg_xy[i], scale)
    warning = field_warning(cutouts.pixels.shape[1], scale)
    return (CutoutFlag.NARROW_FIELD, warning) if warning else (CutoutFlag(0), "")


def measure(cutouts: CutoutSet, metadata: str = "all", n_jobs: int | None = 1) -> Measured:
    """Measure cutouts with all their metadata: `GridPatchExtractor.extract`, from which a detector hides some.

    Parameters
    ----------
    cutouts : CutoutSet of n
    metadata : {"image", "survey", "all"}, default="all"
        As in `GridPatchExtractor`.
    n_jobs : int, default=1
        Threads; -1 for all processors.

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
