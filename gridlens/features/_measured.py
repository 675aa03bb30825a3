"""What is known of cutouts once they are measured: all that a detector of features needs, and no pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gridlens._ids import as_id, escaped
from gridlens.cutouts import CutoutFlag, CutoutSet, ReadFailure, flag_message, is_rejected, quality_flags
from gridlens.features.contract import FEATURE_NAMES, METADATA_CHOICES, METADATA_NAMES, N_IMAGE_FEATURES
from gridlens.features.extractor import Extraction, GridPatchExtractor

__all__ = ["Measured", "keep_metadata", "measure", "measured_failures"]


class Measured(NamedTuple):
    """Features of n cutouts, with their names and what is wrong with them.

    Attributes
    ----------
    ids, paths : ndarray of shape (n,), object (str)
    features : ndarray of shape (n, 315), float32
        A row of NaN for each cutout that the contract rejects.
    flags : ndarray of shape (n,), int64
        Bits of `gridlens.cutouts.CutoutFlag`.
    rejected : ndarray of shape (n,), bool
    messages : ndarray of shape (n,), object (str)
        Why a cutout was rejected, a warning about one that was not, or "".
    valid_fraction : ndarray of shape (n,), float64
        Fraction of the cutout's pixels that are finite in all bands; NaN for a cutout that could not be read.
    """

    ids: np.ndarray
    paths: np.ndarray
    features: np.ndarray
    flags: np.ndarray
    rejected: np.ndarray
    messages: np.ndarray
    valid_fraction: np.ndarray

    @classmethod
    def concatenate(cls, parts: Sequence[Measured]) -> Measured:
        """Join several in their order; none make an empty one."""
        empty = measured_failures([])
        return cls(*(np.concatenate(values) for values in zip(empty, *parts, strict=True)))


def measure(cutouts: CutoutSet, metadata: str = "all", n_jobs: int | None = 1) -> Measured:
    """Measure cutouts, and judge them by the contract's rules and by their pixels.

    Parameters
    ----------
    cutouts : CutoutSet of n
    metadata : {"image", "survey", "all"}, default="all"
        As in `GridPatchExtractor`.
    n_jobs : int, default=1
        Threads.

    Returns
    -------
    Measured

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens.features import measure
    >>> pixels = np.random.default_rng(0).normal(size=(2, 96, 96, 3)).astype(np.float32)
    >>> pixels[1] = np.nan
    >>> measured = measure(CutoutSet(pixels))
    >>> measured.features.shape, measured.rejected.tolist()
    ((2, 315), [False, True])
    """
    extraction = GridPatchExtractor(metadata, n_jobs).extract(cutouts)
    known = cutouts.flags | quality_flags(cutouts)
    return Measured(
        cutouts.ids,
        cutouts.paths,
        extraction.features,
        known | extraction.flags,
        extraction.rejected | is_rejected(known),
        _messages(extraction, known),
        extraction.valid_fraction,
    )


def measured_failures(failures: Sequence[ReadFailure]) -> Measured:
    """Return what could not be read as rejected rows without features; text that no table can hold is escaped."""
    n = len(failures)
    return Measured(
        np.array([as_id(failure.id) for failure in failures], dtype=object),
        np.array([escaped(failure.path) for failure in failures], dtype=object),
        np.full((n, len(FEATURE_NAMES)), np.nan, dtype=np.float32),
        np.array([failure.flags for failure in failures], dtype=np.int64),
        np.ones(n, dtype=bool),
        np.array([escaped(failure.message) for failure in failures], dtype=object),
        np.full(n, np.nan),
    )


def keep_metadata(features: np.ndarray, metadata: str) -> np.ndarray:
    """A copy of features (n, 315) with the metadata that `metadata` names, as in `GridPatchExtractor`; others NaN."""
    kept = features.copy()
    hidden = [k for k, name in enumerate(METADATA_NAMES) if name not in METADATA_CHOICES[metadata]]
    kept[:, [N_IMAGE_FEATURES + k for k in hidden]] = np.nan
    return kept


def _messages(extraction: Extraction, known: np.ndarray) -> np.ndarray:
    """What is to be said of each cutout: why it is rejected before any warning."""
    messages = np.full(len(known), "", dtype=object)
    told = (known != 0) | (extraction.flags != 0) | (extraction.messages != "")
    for i in np.flatnonzero(told):
        said, others = extraction.messages[i], flag_message(CutoutFlag(int(known[i] & ~extraction.flags[i])))
        messages[i] = " ".join(filter(None, (said, others) if extraction.rejected[i] else (others, said)))
    return messages
