"""Compare the bundled model with a network and the classic model: training-like scenes, other skies, calibration.

Run ``python benchmarks/deep.py`` (``--only own``, ``other`` or ``calibration`` for one part; ``--model`` for other
models, where the first is the reference of the comparisons). All models score the same cutouts. Intervals are 95 %,
and differences are paired. Needs ``gridlens[onnx]`` or ``gridlens[deep]``. The scenes of the last part are simulated
in each run, which takes about ten minutes on two cores; `benchmarks/deep_rate.py` measures the speed.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from _scenes import cached_cutouts, usable
from other_skies import print_table
from scipy.special import expit

from gridlens import CutoutSet, LensDetector, load_model
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.evaluation import Estimate, auroc, calibration_error, compare, tpr_at_fpr
from gridlens.features import Measured
from gridlens.stacking._stack import member_log_odds
from gridlens.training._card import SNR_BINS
from gridlens.training._scenes import measured_scenes

HERE = Path(__file__).parent
# No recipe was trained, calibrated or tuned on these scenes.
OWN_SCENES, OWN_SEED = 4096, 8
RARE_SCENES, RARE_SEED, PREVALENCE = 20_000, 11, 0.01
MEASURES = {"AUROC": partial(auroc, n_boot=300), "TPR at FPR 0.01": partial(tpr_at_fpr, fpr=0.01, n_boot=300)}
BATCH = 256


class Part:
    """A part of a model without calibration: its classic stack or its network."""

    def __init__(self, detector: LensDetector, combine: Callable[[np.ndarray], np.ndarray]) -> None:
        self._detector, self._combine = detector, combine

    def predict_proba(self, X: CutoutSet | Measured, prevalence: float | None = None) -> np.ndarray:
        """Return uncalibrated probabilities (n, 2), which only rank the rows; `prevalence` is ignored."""
        p = expit(self._combine(member_log_odds(self._detector.member_probabilities(X))))
        return np.column_stack([1.0 - p, p])


Models = dict[str, LensDetector | Part]


def with_parts(models: dict[str, LensDetector]) -> Models:
    """Return the models, each one with a network followed by its classic members and its network alone."""
    found: Models = {}
    for name, detector in models.items():
        found[name] = detector
        if detector.screen_ is None:
            continue
        classic = detector.screen_.classic
        kept = [member.name in {one.name for one in classic.members_} for member in detector.stack_.members_]
        found[f"{name}, classic members alone"] = Part(detector, lambda z, c=classic, k=kept: c.combine(z[:, k]))
        found[f"{name}, network alone"] = Part(detector, lambda z, k=kept: z[:, k.index(False)])
    return found


def probabilities(detector: LensDetector | Part, measured: Measured, prevalence: float) -> np.ndarray:
    """Return the probabilities (n,), computed in batches because the images of all rows would not fit into memory."""
    return np.concatenate(
        [
            detector.predict_proba(measured[start : start + BATCH], prevalence)[:, 1]
            for start in range(0, len(measured), BATCH)
        ]
    )


def gain(difference: Estimate) -> str:
    """Format a paired difference and its interval."""
    return difference.note or f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def own_skies(models: Models) -> None:
    """Print the metrics of each model on scenes like those of the training."""
    scenes = usable(cached_cutouts(OWN_SCENES, OWN_SEED, SIMULATED_SURVEYS))
    label, snr = scenes.label, scenes.truth["arc_snr"].to_numpy()
    scores = {name: probabilities(detector, scenes.measured, 0.5) for name, detector in models.items()}
    first = next(iter(models))
    print(f"\n### {len(label):,} untouched scenes of the canonical geometry (seed {OWN_SEED})\n")
    head = ["arc S/N", "lenses", "model", *MEASURES, *(f"{name}, against {first}" for name in MEASURES)]
    print(f"| {' | '.join(head)} |\n|" + "---|" * len(head), flush=True)
    for name, low, high in SNR_BINS:
        chosen = (label == 0) | ((snr >= low) & (snr < high))
        y = label[chosen]
        for model, score in scores.items():
            values = [str(measure(y, score[chosen])) for measure in MEASURES.values()]
            gains = ["", ""]
            if model != first:
                found = compare(y, scores[first][chosen], score[chosen], MEASURES, n_boot=300)
                gains = [gain(one.difference) for one in found.values()]
            print(f"| {name} | {int(y.sum()):,} | {model} | {' | '.join([*values, *gains])} |", flush=True)


def calibration(models: dict[str, LensDetector]) -> None:
    """Print the calibration error of each model on scenes where one in a hundred has a lens."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in models}
    label = []
    blocks = measured_scenes(RARE_SCENES, RARE_SEED, canonical=True, lens_fraction=PREVALENCE, pixels=True, n_jobs=-1)
    for measured, truth in blocks:
        kept = np.flatnonzero(~measured.rejected)
        label += [truth[row]["label"] for row in kept]
        for name, detector in models.items():
            found[name].append(probabilities(detector, measured[kept], PREVALENCE))
    y = np.array(label)
    print(f"\n### {len(y):,} scenes, {int(y.sum())} of them with a lens (seed {RARE_SEED}), at a prevalence of 0.01\n")
    print("| model | calibration error | mean probability |\n|---|---|---|", flush=True)
    for name, parts in found.items():
        p = np.concatenate(parts)
        print(f"| {name} | {calibration_error(y, p, n_boot=300)} | {p.mean():.4f} |", flush=True)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", help="a bundled model or the path of a bundle; can be repeated")
    parser.add_argument("--only", choices=["own", "other", "calibration"], help="run only this part")
    parser.add_argument(
        "--real", type=Path, default=HERE.parents[1] / "shared" / "data", help="folder with the real images"
    )
    arguments = parser.parse_args()
    models = {name: load_model(name) for name in arguments.model or ["default", "deep"]}
    if arguments.only in (None, "own"):
        own_skies(with_parts(models))
    if arguments.only in (None, "other"):
        print_table(with_parts(models), arguments.real)
    if arguments.only in (None, "calibration"):
        calibration(models)


if __name__ == "__main__":
    main()
