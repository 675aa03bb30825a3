"""Known lenses in a pool of cutouts, by id or by position."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from gridlens.cutouts import CutoutSet
from gridlens.cutouts._conventions import CatalogLike
from gridlens.cutouts.catalogs import read_catalog

__all__ = ["KnownLenses", "read_known_lenses"]

# Match radius between the position of a cluster and a known lens, arcsec.
_RADIUS = 60.0


@dataclass(frozen=True)
class KnownLenses:
    """Known lenses.

    Parameters
    ----------
    ids : frozenset of str, default=frozenset()
    radec : tuple of (ra, dec), default=()
        Degrees.
    """

    ids: frozenset[str] = frozenset()
    radec: tuple[tuple[float, float], ...] = ()

    def among(self, cutouts: CutoutSet) -> np.ndarray:
        """Return a mask of the cutouts that show a known lens, by id or within 60 arcsec of its position."""
        known = np.array([name in self.ids for name in cutouts.ids], dtype=bool)
        placed = np.isfinite(cutouts.bcg_radec).all(axis=1)
        if self.radec and placed.any():
            # Chords on the unit sphere are valid at the poles and across right ascension 0.
            reach = 2.0 * np.sin(0.5 * np.radians(_RADIUS / 3600.0))
            distance, _ = KDTree(_on_sphere(np.array(self.radec))).query(_on_sphere(cutouts.bcg_radec[placed]))
            known[placed] |= distance <= reach
        return known

    def digest(self) -> str:
        """Return a digest of the ids and positions."""
        return hashlib.sha256(repr((sorted(self.ids), self.radec)).encode()).hexdigest()


def read_known_lenses(known_lenses: CatalogLike | None, ids: Collection[str] = ()) -> KnownLenses:
    """Read a table of known lenses with ids, positions or both, and add further ids.

    Raises
    ------
    GridlensError
        The table cannot be read, or has neither ids nor positions.
    """
    if known_lenses is None:
        return KnownLenses(frozenset(ids))
    table: Any = read_catalog(known_lenses)
    named = {str(name) for name in table["id"] if name} if "id" in table else set()
    radec = table[["ra", "dec"]].to_numpy(dtype=float) if {"ra", "dec"} <= set(table) else np.empty((0, 2))
    placed = radec[np.isfinite(radec).all(axis=1)]
    return KnownLenses(frozenset(named | set(ids)), tuple((float(ra), float(dec)) for ra, dec in placed))


def _on_sphere(radec: np.ndarray) -> np.ndarray:
    ra, dec = np.radians(radec).T
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
