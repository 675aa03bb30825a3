"""Table rows for measured cutouts, from one detector or two."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import pandas as pd

from gridlens.calibration import shift_prior
from gridlens.cutouts import CutoutFlag
from gridlens.detector import LensDetector
from gridlens.detector._novelty import check_has_novelty, flag_unusual
from gridlens.detector._screen import checked_cascade
from gridlens.detector._table import CANDIDATE_COLUMNS, EVEN, add_probabilities, order_table, settle_prevalence
from gridlens.features import Measured

__all__ = ["JointScorer", "Scorer", "SingleScorer"]

Prevalence = float | Literal["estimate"]


class Scorer(Protocol):
    """Interface that computes the rows of a table and ranks them when all are available."""

    ranked_by: tuple[str, ...]
    """columns that determine the order of the table"""
    screened: bool
    """whether the rows have the column `branch`"""

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes of the table that describe the columns of the members."""
        ...

    def rows(self, measured: Measured) -> pd.DataFrame:
        """Return the rows of measured cutouts, in order."""
        ...

    def settle(self, rows: pd.DataFrame, prevalence: Prevalence) -> tuple[float, str | None]:
        """Return the prevalence, and a description if it was estimated from the columns `ranked_by`."""
        ...

    def key(self, rows: pd.DataFrame, prevalence: float) -> np.ndarray:
        """Return the sort values of the rows, from the columns `ranked_by`; larger is better."""
        ...

    def ranked(self, rows: pd.DataFrame, prevalence: float, first: int = 1) -> pd.DataFrame:
        """Return the rows of the table, best first, with ranks starting at `first`."""
        ...


class SingleScorer:
    """Scorer for the table of `LensDetector.score_cutouts`.

    Raises
    ------
    ValueError, GridlensError
        As in `LensDetector.score_cutouts` for `screen`.
    """

    ranked_by: tuple[str, ...] = ("score",)

    def __init__(self, detector: LensDetector, screen: float = 1.0, *, novelty: bool = False) -> None:
        # Checked before any work, and calibrated before threads share it.
        checked_cascade(detector.screen_, detector.stack_, screen)
        check_has_novelty(detector.novelty_, novelty)
        self._detector, self._screen, self._novelty = detector, screen, novelty
        self.screened = screen < 1.0

    @property
    def attrs(self) -> dict[str, Any]:
        """Column attributes of the detector."""
        return self._detector.column_attrs()

    def rows(self, measured: Measured) -> pd.DataFrame:
        """Return the rows of `LensDetector.score_rows`."""
        return self._detector.score_rows(measured, screen=self._screen, novelty=self._novelty)

    def settle(self, rows: pd.DataFrame, prevalence: Prevalence) -> tuple[float, str | None]:
        """Return the result of `gridlens.detector.settle_prevalence`."""
        return settle_prevalence(rows["score"].to_numpy(dtype=np.float64), prevalence)

    def key(self, rows: pd.DataFrame, prevalence: float) -> np.ndarray:
        """Return the score."""
        return rows["score"].to_numpy(dtype=np.float64)

    def ranked(self, rows: pd.DataFrame, prevalence: float, first: int = 1) -> pd.DataFrame:
        """Return the result of `gridlens.detector.rank_table`."""
        return order_table(add_probabilities(rows, prevalence), "score", first=first)


class JointScorer:
    """Scorer for two kinds of sources, galaxies or a cluster: ranks by the probability of either.

    ``p_any = 1 - (1 - p_gc) (1 - p_cc)``: the two kinds are treated as independent.
    """

    ranked_by: tuple[str, ...] = ("score_gc", "score_cc")
    screened = False
    _kinds: ClassVar[tuple[str, ...]] = ("gc", "cc")

    def __init__(self, galaxy_cluster: LensDetector, cluster_cluster: LensDetector, *, novelty: bool = False) -> None:
        check_has_novelty(galaxy_cluster.novelty_, novelty)
        self._galaxy_cluster, self._cluster_cluster, self._novelty = galaxy_cluster, cluster_cluster, novelty

    @property
    def attrs(self) -> dict[str, Any]:
        """Column attributes of the first detector, whose member columns are used, and of both recalibrations."""
        attrs, second = self._galaxy_cluster.column_attrs(), self._cluster_cluster.column_attrs()
        both = [found["recalibration"] for found in (attrs, second) if "recalibration" in found]
        return attrs | ({"recalibration": "; ".join(both)} if both else {})

    def rows(self, measured: Measured) -> pd.DataFrame:
        """Return the rows of the first detector, with `score_gc` and `score_cc` instead of `score` and its interval."""
        rows = self._galaxy_cluster.score_rows(measured, novelty=self._novelty)
        rows = rows.drop(columns=["score_low", "score_high"])
        if self._novelty:
            measured = flag_unusual(measured, rows["novelty"].to_numpy())
        rows = rows.rename(columns={"score": "score_gc"})
        second = self._cluster_cluster.score_rows(measured)
        # Use the arc candidate of the kind with the higher score.
        other = second["score"] > rows["score_gc"]
        rows.loc[other, list(CANDIDATE_COLUMNS)] = second.loc[other, list(CANDIDATE_COLUMNS)]
        rows["score_cc"] = second["score"].to_numpy()
        # A row that only the second detector could not score has no `p_any`.
        failed = second["status"] == "rejected"
        # A row is also flagged if only the second detector was trained on it.
        trained = second["flags"].to_numpy(dtype=np.int64) & CutoutFlag.TRAINED != 0
        taken = (rows["status"] == "ok") & (failed | trained)
        rows.loc[taken, ["status", "message", "flags"]] = second.loc[taken, ["status", "message", "flags"]]
        return rows

    def settle(self, rows: pd.DataFrame, prevalence: Prevalence) -> tuple[float, str | None]:
        """Return the given prevalence: two prevalences cannot be estimated from one table."""
        if isinstance(prevalence, str) or not 0.0 < prevalence < 1.0:
            raise ValueError(
                f"The 'prevalence' parameter must be between 0 and 1 with two kinds of lenses. Got "
                f"{prevalence!r} instead."
            )
        return prevalence, None

    def key(self, rows: pd.DataFrame, prevalence: float) -> np.ndarray:
        """Return `p_any`."""
        p_gc, p_cc = self._probabilities(rows, prevalence)
        return 1.0 - (1.0 - p_gc) * (1.0 - p_cc)

    def ranked(self, rows: pd.DataFrame, prevalence: float, first: int = 1) -> pd.DataFrame:
        """Return the ranked rows with `p_any`, `p_gc` and `p_cc` at the prevalence."""
        p_gc, p_cc = self._probabilities(rows, prevalence)
        table = rows.assign(p_any=self.key(rows, prevalence), p_gc=p_gc, p_cc=p_cc, prevalence=prevalence)
        return order_table(table, "p_any", first=first)

    def _probabilities(self, rows: pd.DataFrame, prevalence: float) -> list[np.ndarray]:
        scores = (rows[f"score_{kind}"].to_numpy(dtype=np.float64) for kind in self._kinds)
        return [shift_prior(score, EVEN, prevalence) for score in scores]
