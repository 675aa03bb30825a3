"""Detection of training rows of a detector by hashes of their features."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from gridlens.cutouts import CutoutFlag
from gridlens.cutouts._flags import flag_message
from gridlens.features import Measured
from gridlens.features._contract import N_IMAGE_FEATURES

__all__ = ["flag_trained", "is_trained", "known_rows"]

_HASH_BYTES = 8
_BLOCK_ROWS = 65536


def _row_hashes(features: np.ndarray) -> np.ndarray:
    """Return a hash of the image features of each row.

    Metadata are ignored, because detectors hide some of them. A cutout has the same hash whether it is measured from
    files, in memory or with a feature cache.

    Parameters
    ----------
    features : ndarray of shape (n, 315), float32

    Returns
    -------
    ndarray of shape (n,), uint64
        First 8 bytes of BLAKE2b, little-endian; empty for n = 0.
    """
    hashes = np.empty(len(features), dtype=np.uint64)
    for start in range(0, len(features), _BLOCK_ROWS):
        block = np.ascontiguousarray(features[start : start + _BLOCK_ROWS, :N_IMAGE_FEATURES], dtype="<f4")
        for k, row in enumerate(block, start):
            hashes[k] = int.from_bytes(hashlib.blake2b(row, digest_size=_HASH_BYTES).digest(), "little")
    return hashes


def known_rows(features: Iterable[np.ndarray], members: Iterable[Any]) -> np.ndarray:
    """Return the sorted, unique hashes of the training rows of a detector.

    Parameters
    ----------
    features : iterable of ndarray of shape (n, 315), float32
        Rows of the fit and of the calibration.
    members : iterable of Member
        Fitted members. A pretrained member provides the hashes of its own training rows as `training_rows_`.

    Returns
    -------
    ndarray of shape (n_rows,), uint64
    """
    before = [member.training_rows_ for member in members if hasattr(member, "training_rows_")]
    return np.unique(np.concatenate([*before, *map(_row_hashes, features)]))


def is_trained(features: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return whether the hash of each row is among the sorted hashes `known`."""
    if not len(known):
        return np.zeros(len(features), dtype=bool)
    hashes = _row_hashes(features)
    places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return np.asarray(known[places] == hashes)


def flag_trained(measured: Measured, known: np.ndarray) -> Measured:
    """Return measured cutouts with `CutoutFlag.TRAINED` and its message for the training cutouts of a detector."""
    found = ~measured.rejected & is_trained(measured.features, known)
    if not found.any():
        return measured
    said = flag_message(CutoutFlag.TRAINED)
    messages = measured.messages.copy()
    messages[found] = [f"{message} {said}".strip() for message in messages[found]]
    flags = measured.flags.copy()
    flags[found] |= int(CutoutFlag.TRAINED)
    return replace(measured, flags=flags, messages=messages)
