"""Output files of a training: the bundle, and the ranking beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gridlens._files import atomic_path
from gridlens.detector import LensDetector
from gridlens.errors import GridlensError
from gridlens.models import save_model
from gridlens.models._zip import is_zip_name

__all__ = ["ranking_path", "write_bundle", "write_ranking"]


def ranking_path(bundle: Path) -> Path:
    """Return the path of the ranking beside a bundle."""
    name = bundle.stem if is_zip_name(bundle) else bundle.name
    return bundle.with_name(f"{name}.ranking.csv")


def write_ranking(ranking: pd.DataFrame | None, path: Path) -> None:
    """Write the ranking of positive-unlabelled learning atomically; do nothing for None."""
    if ranking is not None:
        with atomic_path(path) as temporary:
            ranking.to_csv(temporary, index=False)


def write_bundle(detector: LensDetector, out: Path, card: str, training: Mapping[str, Any], overwrite: bool) -> None:
    """Write the bundle atomically."""
    if not (overwrite and out.exists()):
        save_model(detector, out, card=card, training=training)
        return
    with tempfile.TemporaryDirectory(prefix=f".{out.name[:40]}-", dir=out.absolute().parent) as folder:
        fresh = Path(folder) / out.name
        save_model(detector, fresh, card=card, training=training)
        try:
            if out.is_dir():
                out.rename(fresh.with_name(f"{out.name}.old"))
            fresh.rename(out)
        except OSError as exc:
            raise GridlensError(f"Cannot replace {out}: {exc.strerror or exc}. Choose another output.") from exc
