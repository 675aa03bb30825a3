"""`Measured`: features, flags and positions of measured cutouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from gridlens._ids import as_id, escaped
from gridlens.cutouts import CutoutSet, ReadFailure
from gridlens.features._contract import (
    FEATURE_NAMES,
    METADATA_CHOICES,
    METADATA_NAMES,
    N_IMAGE_FEATURES,
    N_PATCHES,
)

__all__ = ["Measured", "keep_metadata", "measured_columns"]

_BLOCK_ROWS = 65536
# Shape per row and type of the positions, NaN if unknown.
_PLACES: dict[str, tuple[tuple[int, ...], type]] = {
    "radec": ((2,), np.float64),
    "bcg_xy": ((2,), np.float64),
    "bcg_radec": ((2,), np.float64),
    "sky_axes": ((2, 2), np.float64),
    "arc_xy": ((N_PATCHES, 2), np.float32),
}


@dataclass(frozen=True, eq=False)
class Measured:
    """Features of n cutouts, with their ids, flags and messages: all that a detector needs.

    ``len(measured)`` is n, and ``measured[rows]`` selects rows by a slice, a mask or an array of integers.

    Parameters
    ----------
    ids, paths : ndarray of shape (n,), object (str)
    features : ndarray of shape (n, 315), float32
        A row of NaN for each cutout rejected by the contract.
    flags : ndarray of shape (n,), int64
        Bits of `gridlens.cutouts.CutoutFlag`.
    rejected : ndarray of shape (n,), bool
    messages : ndarray of shape (n,), object (str)
        The reason for a rejection, a warning about an accepted cutout, or "".
    valid_fraction : ndarray of shape (n,), float64
        Fraction of the cutout's pixels that are finite in all bands; NaN for a cutout that could not be read.
    cutouts : CutoutSet of n, default=None
        The cutouts, for members that use pixels. None if only the features were kept.
    radec : ndarray of shape (n, 2), float64, default=None
        Position of the cluster: `ra` and `dec` of the metadata, degrees. For this and the following parameters, None
        and NaN mean unknown.
    bcg_xy, bcg_radec : ndarray of shape (n, 2), float64, default=None
        Position of the brightest cluster galaxy, px and degrees, as in `CutoutSet`.
    sky_axes : ndarray of shape (n, 2, 2), float64, default=None
        arcsec per pixel, as in `CutoutSet`.
    arc_xy : ndarray of shape (n, 9, 2), float32, default=None
        Centroid (x, y) of the arc candidate of each patch, px of the cutout; NaN for a patch without a candidate.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens.features import measure
    >>> measured = measure(CutoutSet(np.random.default_rng(0).normal(size=(3, 96, 96, 3))))
    >>> len(measured), measured[1:].ids.tolist()
    (3, ['1', '2'])
    """

    ids: np.ndarray
    paths: np.ndarray
    features: np.ndarray = field(repr=False)
    flags: np.ndarray
    rejected: np.ndarray
    messages: np.ndarray
    valid_fraction: np.ndarray
    cutouts: CutoutSet | None = field(default=None, repr=False)
    radec: np.ndarray = field(default=None, repr=False)  # type: ignore[arg-type]
    bcg_xy: np.ndarray = field(default=None, repr=False)  # type: ignore[arg-type]
    bcg_radec: np.ndarray = field(default=None, repr=False)  # type: ignore[arg-type]
    sky_axes: np.ndarray = field(default=None, repr=False)  # type: ignore[arg-type]
    arc_xy: np.ndarray = field(default=None, repr=False)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        for name, (shape, dtype) in _PLACES.items():
            if getattr(self, name) is None:
                # A broadcast scalar, so that unknown positions of millions of rows take no memory.
                unknown: np.ndarray = np.broadcast_to(np.array(np.nan, dtype), (len(self.ids), *shape))
                object.__setattr__(self, name, unknown)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features, (n, 315)."""
        return self.features.shape

    def __getitem__(self, rows: Any) -> Measured:
        if isinstance(rows, tuple) and len(rows) == 2 and rows[1] is Ellipsis:
            rows = rows[0]  # scikit-learn selects rows by X[rows, ...]
        if np.ndim(rows) == 0 and not isinstance(rows, slice):
            rows = [rows]
        values = {name: getattr(self, name) for name in measured_columns()}
        return Measured(
            **{name: value[rows] for name, value in values.items()},
            cutouts=None if self.cutouts is None else self.cutouts[rows],
        )

    def with_metadata(self, metadata: str) -> Measured:
        """Return the rows with the metadata selected by a choice of `GridPatchExtractor`; the others are NaN."""
        return replace(self, features=keep_metadata(self.features, metadata))

    def without_cutouts(self) -> Measured:
        """Return the same rows without their pixels."""
        return replace(self, cutouts=None)

    @classmethod
    def concatenate(cls, parts: Sequence[Measured]) -> Measured:
        """Concatenate instances in order; an empty sequence gives an empty instance.

        The cutouts are kept if every part has them.

        Raises
        ------
        CutoutError
            The cutouts have different sizes.
        """
        joined = {name: np.concatenate([getattr(p, name) for p in (_EMPTY, *parts)]) for name in measured_columns()}
        kept = [part.cutouts for part in parts if part.cutouts is not None]
        return cls(**joined, cutouts=CutoutSet.concatenate(kept) if kept and len(kept) == len(parts) else None)

    @classmethod
    def of_failures(cls, failures: Sequence[ReadFailure]) -> Measured:
        """Return cutouts that could not be read as rejected rows without features.

        Characters that a table cannot hold are escaped.
        """
        n = len(failures)
        return cls(
            np.array([as_id(failure.id) for failure in failures], dtype=object),
            np.array([escaped(failure.path) for failure in failures], dtype=object),
            np.full((n, len(FEATURE_NAMES)), np.nan, dtype=np.float32),
            np.array([failure.flags for failure in failures], dtype=np.int64),
            np.ones(n, dtype=bool),
            np.array([escaped(failure.message) for failure in failures], dtype=object),
            np.full(n, np.nan),
        )


def measured_columns() -> list[str]:
    """Return the names of the arrays of `Measured` that have one row per cutout."""
    return [column.name for column in fields(Measured) if column.name != "cutouts"]


_EMPTY = Measured.of_failures([])


def keep_metadata(features: np.ndarray, metadata: str) -> np.ndarray:
    """Return features (n, 315) in which metadata outside the choice `metadata` are NaN.

    The choices are those of `GridPatchExtractor`. If nothing has to be hidden, the array itself is returned: it may be
    mapped from a file larger than the memory.
    """
    hidden = [N_IMAGE_FEATURES + k for k, name in enumerate(METADATA_NAMES) if name not in METADATA_CHOICES[metadata]]
    blocks = range(0, len(features), _BLOCK_ROWS)
    if all(np.isnan(features[start : start + _BLOCK_ROWS, hidden]).all() for start in blocks):
        return features
    kept = np.array(features)
    kept[:, hidden] = np.nan
    return kept
