"""The model card: what a model was trained on, how it scores, where it ends."""

from typing import TYPE_CHECKING

import numpy as np

from gridlens.calibration import expected_calibration_error
from gridlens.detector import LensDetector
from gridlens.evaluation import auroc, tpr_at_fpr
from gridlens.features import CONTRACT_VERSION

if TYPE_CHECKING:
    from gridlens.models.recipe import Recipe, SceneRows

__all__ = ["SNR_BINS", "scores_by_snr", "write_card"]

# Bins of the arcs' S/N that every report quotes: name, lowest, highest.
SNR_BINS = (
    ("all arcs", 0.0, np.inf),
    ("over 300", 300.0, np.inf),
    ("100 to 300", 100.0, 300.0),
    ("0 to 100", 0.0, 100.0),
)

_LIMITS = """\
## Limits

- Trained on simulated scenes alone, of the surveys above. Simulated arcs are smoother than real ones, and the real sky
  holds things that nobody simulated: expect more false alarms than the numbers above say, and look at the candidates.
- Made for arcs 8 to 32 arcsec from the BCG, in cutouts 30 to 90 arcsec across. It does not find galaxy-scale lenses.
- Deep images crowd: where everything is connected above the noise, an arc is no component of its own.
- `p_lens` holds at the prevalence that is declared, for clusters like the simulated ones in canonical cutouts. It does
  not measure how many lenses there are.
- The image alone is looked at. Redshift, richness, mass and position are masked: known lenses were chosen by them.
"""


def scores_by_snr(label: np.ndarray, snr: np.ndarray, score: np.ndarray) -> list[tuple[str, int, list[str]]]:
    """AUROC and TPR at FPR 0.01 and 0.001 by arc S/N, each bin against all scenes without a lens.

    Returns one row per bin of `SNR_BINS`: its name, its number of lenses, and the three measures as text.
    """
    rows = []
    for name, low, high in SNR_BINS:
        chosen = (label == 0) | ((snr >= low) & (snr < high))
        y, s = label[chosen], score[chosen]
        measures = [auroc(y, s), tpr_at_fpr(y, s, 0.01), tpr_at_fpr(y, s, 0.001)]
        rows.append((name, int(y.sum()), [str(measure) for measure in measures]))
    return rows


def write_card(detector: LensDetector, recipe: "Recipe", test: "SceneRows") -> str:
    """Card of `detector` in Markdown, its scores computed on `test`, scenes of a seed of their own."""
    X, label = test.features_with(recipe.metadata), test.label
    usable = np.isfinite(X).any(axis=1)
    p = detector.predict_proba(X[usable], prevalence=float(label[usable].mean()))[:, 1]
    label, snr = label[usable], test.truth["arc_snr"].to_numpy()[usable]
    rows = "\n".join(
        f"| {name} | {count} | {' | '.join(measures)} |" for name, count, measures in scores_by_snr(label, snr, p)
    )
    error = expected_calibration_error(label, p, n_bins=15)
    return f"""\
# The default model

Boosted trees (LightGBM) on the {X.shape[1]} features of contract version {CONTRACT_VERSION}, metadata
"{recipe.metadata}", each scene learned in its eight flips and quarter turns; isotonic calibration on other scenes.

## Trained on

{recipe.n_train:,} simulated scenes (seed {recipe.train_seed}), half of them with a lens, drawn from the presets
{", ".join(recipe.surveys)}; a third of them away from the canonical geometry (64 arcsec at 0.5 arcsec per pixel) in
size, scale, depth and seeing. Lenses with arcs of S/N under {recipe.faint_snr:g} weigh {recipe.faint_weight:g}.
Calibrated on {recipe.n_calibrate:,} scenes of the canonical geometry (seed {recipe.calibrate_seed}), all alike; \
{detector.calibration_prevalence_:.3g} of them have a lens.

## Scores on {len(label):,} simulated scenes that it has not seen (seed {recipe.test_seed}), of the canonical geometry

| arc S/N | lenses | AUROC | TPR at FPR 0.01 | TPR at FPR 0.001 |
|---|---|---|---|---|
{rows}

Brackets are 95 % intervals. Expected calibration error at these scenes' share of lenses, 15 bins of equal mass:
{error:.4f}.

{_LIMITS}"""
