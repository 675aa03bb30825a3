"""Trial of an untrusted bundle: it is loaded and scores rows of many kinds."""

from pathlib import Path
from typing import Any

import numpy as np

from gridlens.detector import LensDetector
from gridlens.errors import ModelError
from gridlens.features import FEATURE_NAMES
from gridlens.models._manifest import MANIFEST, check_files, checked_manifest
from gridlens.models._state import build_detector, member_classes, read_state

__all__ = ["load_and_score"]

_ROWS = 256
_FEW = 2


def load_and_score(folder: Path, where: str) -> LensDetector:
    """Load the bundle in `folder` and score rows of a wide range; raise an error if that fails."""
    manifest = checked_manifest((folder / MANIFEST).read_bytes(), where)
    check_files(folder, manifest, where)
    state = read_state(folder, manifest, where)
    detector = build_detector(folder, state, member_classes(state, manifest, where), where)
    columns = []
    for name, member in zip(state.members, detector.stack_.members_, strict=True):
        X = _rows() if member.consumes == "features" else _cutouts()
        p = np.asarray(member.predict_proba(X))
        # None of the rows is all NaN. NaN probabilities fail both comparisons.
        if p.shape != (len(X), 2) or not ((p >= 0.0) & (p <= 1.0)).all():
            raise ModelError(f"The member {name!r} of the model in {where} does not return probabilities.")
        columns.append(p[:_FEW, 1])
    if not np.isfinite(detector.calibrated(np.column_stack(columns))).all():
        raise ModelError(f"The stack of the model in {where} does not return probabilities.")
    return detector


def _rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (_ROWS, len(FEATURE_NAMES))
    X = rng.normal(size=shape) * 10.0 ** rng.integers(-3, 5, size=shape)
    X[rng.random(shape) < 0.1] = np.nan
    return X.astype(np.float32)


def _cutouts() -> Any:
    from gridlens.cutouts import CutoutSet

    return CutoutSet(np.random.default_rng(0).normal(size=(_FEW, 64, 64, 3)).astype(np.float32))
