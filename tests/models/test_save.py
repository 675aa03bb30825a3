"""Tests of `LensDetector.save` and `LensDetector.load`."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from gridlens import LensDetector, load_model
from gridlens.errors import GridlensError, ModelError
from gridlens.models import describe_model, read_manifest


@pytest.mark.parametrize("name", ["model", "model.zip"])
def test_a_loaded_detector_scores_identically(detector, calibration_rows, tmp_path, name):
    X, _ = calibration_rows
    detector.save(tmp_path / name, training={"seed": 1})
    for loaded in (LensDetector.load(tmp_path / name), load_model(tmp_path / name)):
        np.testing.assert_array_equal(loaded.predict_proba(X), detector.predict_proba(X))
    with pytest.raises(GridlensError, match="not empty" if name == "model" else "exists"):
        detector.save(tmp_path / name)


def test_the_card_says_how_it_was_made(detector, tmp_path):
    detector.save(tmp_path / "first")
    card = describe_model(tmp_path / "first").card
    row = detector.members_.iloc[0]
    assert f"| {row['auroc_in_sample']:.3f} |" in card
    assert f"a prevalence of {detector.calibration_prevalence_:.3g}" in card
    assert "No metrics on held-out rows are recorded" in card
    # Only the fitted detector knows the scores of its members, not a loaded one.
    LensDetector.load(tmp_path / "first").save(tmp_path / "second")
    assert "AUROC" not in describe_model(tmp_path / "second").card
    detector.save(tmp_path / "third", card="# Mine\n")
    assert describe_model(tmp_path / "third").card == "# Mine\n"
    assert read_manifest(tmp_path / "third")["training"] == {}


def test_unfitted_detectors_and_missing_bundles_are_refused(tmp_path):
    with pytest.raises(NotFittedError):
        LensDetector().save(tmp_path / "model")
    with pytest.raises(ModelError, match="not a model bundle"):
        LensDetector.load(tmp_path / "nowhere")


@pytest.mark.slow
def test_saving_requires_no_further_import():
    code = "from gridlens import LensDetector; assert LensDetector._writer and LensDetector._reader"
    subprocess.run([sys.executable, "-c", code], check=True)
