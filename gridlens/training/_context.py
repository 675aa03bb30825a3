"""Keep catalogue context out of training, and known lenses out of its negatives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from gridlens._tables import some_names
from gridlens.context import all_matches, known_lenses
from gridlens.errors import GridlensError
from gridlens.features import Measured

__all__ = ["ListedLenses", "check_split"]

# Rows that are listed only in catalogues of clusters are not known lenses.
_GRADES = ("confident", "probable")


class ListedLenses:
    """Filter that removes the lenses of the bundled list from the non-lenses of a training, and counts them."""

    def __init__(self) -> None:
        self.dropped: list[str] = []

    def among(self, measured: Measured) -> NDArray[np.bool_]:
        """Return which rows, (n,), are within the match radius of a known lens, by the position of the BCG."""
        known = np.zeros(len(measured), dtype=bool)
        known[list(_lenses_of(measured))] = True
        return known

    def without(self, measured: Measured, negative: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which rows to keep: all except negatives that are known lenses, which are counted."""
        lost = negative & self.among(measured)
        self.dropped += measured.ids[lost].tolist()
        return ~lost

    def pool(self, batches: Iterable[Measured]) -> Iterator[Measured]:
        """Yield the rows of a pool of negatives that are not known lenses."""
        for measured in batches:
            yield measured[self.without(measured, np.ones(len(measured), dtype=bool))]

    @property
    def notes(self) -> list[str]:
        """A sentence on the rows that were dropped; empty if there are none."""
        if not self.dropped:
            return []
        return [
            f"{len(self.dropped)} known lenses (lenscat {known_lenses().attrs['version']}) were among the non-lenses "
            f"and are left out: {some_names(self.dropped)}."
        ]


def check_split(learn: Measured, calibrate: Measured) -> None:
    """Raise GridlensError if a known lens is in both the training rows and the calibration rows."""
    one, other = _lenses_of(learn), _lenses_of(calibrate)
    sides = {lens: row for row, lens in one.items()}
    for row, lens in other.items():
        if lens in sides:
            name = known_lenses()["name"].iloc[lens]
            raise GridlensError(
                f"The known lens {name} is on both sides of the split: {learn.ids[sides[lens]]} is a training row, and "
                f"{calibrate.ids[row]} a calibration row. Mark both for calibration or neither, or give them the same "
                "'cluster'."
            )


def _lenses_of(measured: Measured) -> dict[int, int]:
    """Return the nearest known lens by row, for the rows that have one."""
    lenses = known_lenses()
    pairs = all_matches(measured.bcg_radec[:, 0], measured.bcg_radec[:, 1], lenses)
    pairs = pairs[lenses["grade"].isin(_GRADES).to_numpy()[pairs["lens"]]].drop_duplicates("row")
    return dict(zip(pairs["row"].tolist(), pairs["lens"].tolist(), strict=True))
