"""Real images that the benchmarks look at: lenses with plain arcs, and a field without a known lens."""

from pathlib import Path

import numpy as np

from gridlens import CutoutSet, GridPatchExtractor
from gridlens.simulate import load_backgrounds
from gridlens.simulate._backgrounds import Backgrounds

__all__ = ["NARROW", "PLAIN_LENSES", "image_features", "plain_lenses", "real_field"]

# Where a person sees an arc, as the pages of the surveys name them.
PLAIN_LENSES = {
    "ps1": ("J014656-092952", "SDSSJ1209_2640", "SDSSJ1148_1930", "J1059_4251", "SL2SJ085446-012137"),
    "des_j0330": ("DESJ033056.9318-522813.0188",),
}
# The lenses' cutouts are 26 to 30 arcsec across: the field is cut as narrow, or its width would tell. Pixels.
NARROW = 88
# The field's header has no pixel scale. Arcsec.
_FIELD_SCALE = 0.34


def plain_lenses(folder: Path) -> list[CutoutSet]:
    """Real lenses with plain arcs, a set of cutouts for each survey."""
    every = {survey: CutoutSet.read(folder / survey) for survey in PLAIN_LENSES}
    return [cutouts[np.isin(cutouts.ids, PLAIN_LENSES[survey])] for survey, cutouts in every.items()]


def real_field(folder: Path, size: int = NARROW) -> Backgrounds:
    """Windows of a real field without a known lens, `size` pixels wide."""
    return load_backgrounds(folder / "kids_field", pixel_scale=_FIELD_SCALE, size=size)


def image_features(cutouts: CutoutSet) -> np.ndarray:
    """Features of the image, with the metadata that the recipes look at."""
    return GridPatchExtractor(n_jobs=-1).transform(cutouts)
