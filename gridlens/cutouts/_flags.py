"""Registry of the problems of cutouts, one bit each: reasons to reject a cutout or to inspect it."""

from enum import IntFlag

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FLAG_MEANINGS", "REJECTING_FLAGS", "CutoutFlag", "flag_message", "flag_names", "is_rejected"]


class CutoutFlag(IntFlag):
    """Bits of the column `flags`, explained by `FLAG_MEANINGS`; `REJECTING_FLAGS` lists those that reject a cutout.

    Examples
    --------
    >>> CutoutFlag(1536)
    <CutoutFlag.STAR|DUPLICATE: 1536>
    """

    UNREADABLE = 1 << 0
    BAD_SHAPE = 1 << 1
    BAD_SCALE = 1 << 2
    BCG_OUTSIDE = 1 << 3
    EMPTY_BAND = 1 << 4
    BAD_PIXELS = 1 << 5
    SATURATED = 1 << 6
    NO_IMAGE = 1 << 7
    BAD_POSITION = 1 << 8
    STAR = 1 << 9
    DUPLICATE = 1 << 10
    NARROW_FIELD = 1 << 11
    EDGE = 1 << 12
    UNCALIBRATED = 1 << 13
    FAILED = 1 << 14
    ASSUMED_SCALE = 1 << 15
    ASSUMED_ZEROPOINT = 1 << 16
    TRAINED = 1 << 17
    BAND_ORDER = 1 << 18
    UNUSUAL = 1 << 19


FLAG_MEANINGS: dict[CutoutFlag, str] = {
    CutoutFlag.UNREADABLE: "The file cannot be read as a cutout.",
    CutoutFlag.BAD_SHAPE: "The cutout is not square, is under 48 px, or does not have three bands.",
    CutoutFlag.BAD_SCALE: "The pixel scale is not between 0.03 and 2 arcsec.",
    CutoutFlag.BCG_OUTSIDE: "The BCG is outside the cutout.",
    CutoutFlag.EMPTY_BAND: "A band has no finite pixel, or is constant.",
    CutoutFlag.BAD_PIXELS: "Over 20 % of the pixels, or all of the border, are bad.",
    CutoutFlag.SATURATED: "A band is saturated: 2 % or more of its pixels are at the detector's limit.",
    CutoutFlag.NO_IMAGE: "In at least one band, no image covers the position.",
    CutoutFlag.BAD_POSITION: "The position is unknown or not on the sky.",
    CutoutFlag.STAR: "The object at the position of the BCG is as narrow as a star.",
    CutoutFlag.DUPLICATE: "An earlier row has this id, or this position within 2 arcsec.",
    CutoutFlag.NARROW_FIELD: "The field is under 40 arcsec across and cannot hold the arcs of a cluster.",
    CutoutFlag.EDGE: "The edge of an image, or a blank part of it, cuts the field.",
    CutoutFlag.UNCALIBRATED: "A stretched picture without photometry: do not trust its score and colours.",
    CutoutFlag.FAILED: "Reading or measuring it failed, or crashed the process.",
    CutoutFlag.ASSUMED_SCALE: "The pixel scale is not stated: 0.5 arcsec is assumed.",
    CutoutFlag.ASSUMED_ZEROPOINT: "No zero point is stated: the three bands are assumed to share one.",
    CutoutFlag.TRAINED: "The model was fitted or calibrated on this cutout, so its score is too good.",
    CutoutFlag.BAND_ORDER: "The central galaxy is too blue: the bands look reversed, as in the order i, r, g.",
    CutoutFlag.UNUSUAL: "Few training cutouts of the model differ as much from the others: inspect this one.",
}

REJECTING_FLAGS = (
    CutoutFlag.UNREADABLE
    | CutoutFlag.BAD_SHAPE
    | CutoutFlag.BAD_SCALE
    | CutoutFlag.BCG_OUTSIDE
    | CutoutFlag.EMPTY_BAND
    | CutoutFlag.BAD_PIXELS
    | CutoutFlag.SATURATED
    | CutoutFlag.NO_IMAGE
    | CutoutFlag.BAD_POSITION
    | CutoutFlag.FAILED
)


def flag_names(flags: int) -> str:
    """Return the names of the bits that are set, as in "star|duplicate"; "" if none is.

    Examples
    --------
    >>> flag_names(1536)
    'star|duplicate'
    """
    return "|".join(flag.name.lower() for flag in CutoutFlag if flag & int(flags) and flag.name)


def flag_message(flags: int) -> str:
    """Return the meanings of the bits that are set, rejecting ones first; "" if none is.

    Examples
    --------
    >>> flag_message(CutoutFlag.BCG_OUTSIDE)
    'The BCG is outside the cutout.'
    """
    found = [flag for flag in CutoutFlag if flag & int(flags)]
    return " ".join(FLAG_MEANINGS[flag] for flag in sorted(found, key=lambda flag: not flag & REJECTING_FLAGS))


def is_rejected(flags: ArrayLike) -> NDArray[np.bool_]:
    """Return whether each entry of `flags`, of any shape, has a bit that rejects the cutout."""
    return np.asarray(np.asarray(flags, dtype=np.int64) & int(REJECTING_FLAGS) != 0)
