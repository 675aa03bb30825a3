"""Write the scores of a model's calibration scenes into its bundle, for `gridlens score --recalibrate`.

`gridlens train` writes them itself; run ``python benchmarks/class_scores.py default cluster-cluster deep`` for models
that were trained before it did. The scenes are simulated again from the recipe in the manifest, except for a model
with a screen, which already has their scores. A calibration on these scores must agree with that of the bundle: equal
probabilities at scores that agree within 0.001. The scores that the bundle gives cutouts do not change by a bit.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from gridlens import LensDetector, load_model
from gridlens.calibration import IsotonicCalibrator
from gridlens.detector._recalibrate import learn_class_scores
from gridlens.models._bundle import model_folder, read_manifest
from gridlens.models._manifest import DETECTOR, MANIFEST, sha256_of
from gridlens.training import Recipe
from gridlens.training._scenes import measured_scenes

_TOLERANCE = 1e-3


def calibration_scores(detector: LensDetector, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-odds and labels (n,) of a model's calibration scenes."""
    if detector.screen_ is not None:
        return detector.screen_.rows["full"], detector.screen_.rows["label"]
    scores, labels = [], []
    blocks = measured_scenes(
        recipe.n_calibrate,
        recipe.calibrate_seed,
        recipe.surveys,
        canonical=True,
        lens_fraction=recipe.calibrate_lens_fraction,
        target=recipe.target,
    )
    for measured, truth in blocks:
        scores.append(detector.decision_function(measured))
        labels += [row["label"] for row in truth]
    found, label = np.concatenate(scores), np.array(labels)
    usable = np.isfinite(found)
    return found[usable], label[usable]


def check_same(known: IsotonicCalibrator, found: IsotonicCalibrator) -> float:
    """Return the largest difference in score between two calibrations; raise SystemExit if they do not agree."""
    if not np.array_equal(known.thresholds_y_, found.thresholds_y_) or known.n_positive_ != found.n_positive_:
        raise SystemExit("The calibration on the scenes differs from that of the bundle. Train the model again.")
    pairs = [(known.thresholds_x_, found.thresholds_x_), (known.limits_[0], found.limits_[0])]
    if any(a.shape != b.shape for a, b in pairs):
        raise SystemExit("The intervals from the scenes differ from those of the bundle. Train the model again.")
    off = max(float(np.abs(a - b).max()) for a, b in pairs)
    if off > _TOLERANCE:
        raise SystemExit(f"The scores of the scenes differ from those of the bundle by {off:.2g}. Train it again.")
    return off


def write_class_scores(folder: Path, scores: dict) -> None:
    """Write the scores into a bundle, and the new hash into its manifest."""
    path = folder / DETECTOR
    path.write_text(json.dumps(json.loads(path.read_text()) | {"class_scores": scores}, indent=1) + "\n")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][DETECTOR] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def main() -> None:
    """Write the scores of each of the given models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="names of bundled models or folders of bundles")
    for name in parser.parse_args().models:
        folder = model_folder(name)
        stated = read_manifest(folder)["training"]["recipe"]
        recipe = Recipe(**{key: tuple(value) if isinstance(value, list) else value for key, value in stated.items()})
        detector = load_model(name)
        scores, label = calibration_scores(detector, recipe)
        off = check_same(detector.calibrator_, IsotonicCalibrator().fit(scores, label))
        found = learn_class_scores(scores, label)
        assert found is not None
        write_class_scores(folder, found.to_dict())
        print(f"{name}: {len(label):,} scenes; the calibration agrees with the bundle's, scores within {off:.1g}")


if __name__ == "__main__":
    main()
