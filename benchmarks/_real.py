"""Real images for the benchmarks: lenses with plain arcs, and a field without a known lens."""

from pathlib import Path

import numpy as np

from gridlens import CutoutSet, GridPatchExtractor
from gridlens.simulate import load_backgrounds
from gridlens.simulate._backgrounds import Backgrounds

__all__ = ["NARROW", "PLAIN_LENSES", "image_features", "plain_lenses", "real_field"]

# Lenses with an arc visible by eye, with the names that the surveys use.
PLAIN_LENSES = {
    "ps1": ("J014656-092952", "SDSSJ1209_2640", "SDSSJ1148_1930", "J1059_4251", "SL2SJ085446-012137"),
    "des_j0330": ("DESJ033056.9318-522813.0188",),
}
# Width of the field's windows, pixels. The lenses' cutouts are 26 to 30 arcsec across, and a model must not recognise
# the field by the width of its windows.
NARROW = 88
# Pixel scale of the field, arcsec, which its header lacks.
_FIELD_SCALE = 0.34


def plain_lenses(folder: Path) -> list[CutoutSet]:
    """Return the real lenses with plain arcs, a set of cutouts for each survey."""
    every = {survey: CutoutSet.read(folder / survey) for survey in PLAIN_LENSES}
    return [cutouts[np.isin(cutouts.ids, PLAIN_LENSES[survey])] for survey, cutouts in every.items()]


def real_field(folder: Path, size: int = NARROW) -> Backgrounds:
    """Return windows, `size` pixels wide, of a real field without a known lens."""
    return load_backgrounds(folder / "kids_field", pixel_scale=_FIELD_SCALE, size=size)


def image_features(cutouts: CutoutSet) -> np.ndarray:
    """Return the features of the cutouts, with the metadata that the recipes use."""
    return GridPatchExtractor(n_jobs=-1).transform(cutouts)
