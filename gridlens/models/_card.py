"""The model card: what a model was trained on, how it scores, where it ends."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gridlens.calibration import expected_calibration_error
from gridlens.detector import LensDetector
from gridlens.evaluation import auroc, compare, tpr_at_fpr
from gridlens.features import CONTRACT_VERSION, FEATURE_NAMES
from gridlens.models._mine import Mined, describe_mined

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
{target}
- Deep images crowd: where everything is connected above the noise, an arc is no component of its own.
- `p_lens` holds at the prevalence that is declared, for clusters like the simulated ones in canonical cutouts. It does
  not measure how many lenses there are.
- The image alone is looked at. Redshift, richness, mass and position are masked: known lenses were chosen by them.
"""
_TARGETS = {
    "galaxy-cluster": """\
- Made for arcs 8 to 32 arcsec from the BCG, in cutouts 30 to 90 arcsec across. It finds no galaxy-scale lenses.""",
    "cluster-cluster": """\
- Made for a background cluster imaged 20 to 50 arcsec from the BCG, in cutouts 60 to 120 arcsec across. **No real
  example backs it**: no sample of such lenses is known to train or to test on, and what it was shown, six to fifteen
  red members at one redshift, is what somebody imagines.""",
}
_GEOMETRY = {
    "galaxy-cluster": "64 arcsec at 0.5 arcsec per pixel",
    "cluster-cluster": "115 arcsec at 0.6 arcsec per pixel",
}
_SOURCE = {"galaxy-cluster": "a lens", "cluster-cluster": "a background cluster as the source of a lens"}


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


def write_card(detector: LensDetector, recipe: "Recipe", test: "SceneRows", mined: Mined | None = None) -> str:
    """Card of `detector` in Markdown, its scores computed on `test`, scenes of a seed of their own."""
    members = detector.member_probabilities(test.inputs_with(recipe.metadata))
    usable, label = np.isfinite(members).all(axis=1), test.label
    members = members[usable]
    p = detector.calibrated(members, prevalence=float(label[usable].mean()))
    label, snr = label[usable], test.truth["arc_snr"].to_numpy()[usable]
    rows = "\n".join(
        f"| {name} | {count} | {' | '.join(measures)} |" for name, count, measures in scores_by_snr(label, snr, p)
    )
    error = expected_calibration_error(label, p, n_bins=15)
    return f"""\
# A model for {recipe.target} lenses

{_what(detector, recipe)}

## Trained on

{recipe.n_train:,} simulated scenes (seed {recipe.train_seed}), half of them with {_SOURCE[recipe.target]},
drawn from the presets {", ".join(recipe.surveys)}; a third of them away from the
canonical geometry ({_GEOMETRY[recipe.target]}) in size, scale, depth and seeing.
Lenses with arcs of S/N under {recipe.faint_snr:g} weigh {recipe.faint_weight:g}.
Calibrated on {recipe.n_calibrate:,} scenes of the canonical geometry (seed {recipe.calibrate_seed}), all alike; \
{detector.calibration_prevalence_:.3g} of them have a lens.
{describe_mined(mined)}
## Scores on {len(label):,} simulated scenes that it has not seen (seed {recipe.test_seed}), of the canonical geometry

| arc S/N | lenses | AUROC | TPR at FPR 0.01 | TPR at FPR 0.001 |
|---|---|---|---|---|
{rows}

Brackets are 95 % intervals. Expected calibration error at these scenes' share of lenses, 15 bins of equal mass:
{error:.4f}.
{_members(detector, label, members, p)}
{_LIMITS.format(target=_TARGETS[recipe.target])}"""


def _what(detector: LensDetector, recipe: "Recipe") -> str:
    names = ", ".join(detector.member_names_)
    members = f"One member, {names}," if len(detector.member_names_) == 1 else f"A stack of {names}"
    return (
        f"{members} on the {len(FEATURE_NAMES)} features of contract version {CONTRACT_VERSION}, metadata\n"
        f'"{recipe.metadata}"; isotonic calibration on other scenes.'
    )


def _members(detector: LensDetector, label: np.ndarray, members: np.ndarray, p: np.ndarray) -> str:
    """The members on the same scenes, and whether the stack is better than its first member alone."""
    names = detector.member_names_
    if len(names) == 1:
        return ""
    weights = detector.stack_.weights_
    lines = [
        f"| {name} | {weights[k]:.2f} | {auroc(label, members[:, k])} | {tpr_at_fpr(label, members[:, k], 0.01)} |"
        for k, name in enumerate(names)
    ]
    metrics: dict[str, Any] = {"AUROC": auroc, "TPR at FPR 0.01": partial(tpr_at_fpr, fpr=0.01)}
    found = compare(label, members[:, 0], p, metrics, n_boot=300)
    said = []
    for name, comparison in found.items():
        gain = comparison.difference
        if gain.note:
            said.append(f"In {name} the stack and {names[0]} alone are not to be compared here: {gain.note}.")
            continue
        verdict = "better than" if gain.low > 0.0 else "worse than" if gain.high < 0.0 else "not told from"
        said.append(
            f"In {name} the stack is {verdict} {names[0]} alone: {gain.value:+.3f} "
            f"[{gain.low:+.3f}, {gain.high:+.3f}], paired."
        )
    head = "| member | weight of its log-odds | AUROC | TPR at FPR 0.01 |\n|---|---|---|---|"
    return "\n".join(["", "## Its members on the same scenes", "", head, *lines, "", *said, ""])
