"""Tests of `detector.json`, field by field."""

import json

import numpy as np
import pytest
from bundles import restate, vouch

from gridlens import LensDetector, load_model
from gridlens.calibration import IsotonicCalibrator
from gridlens.errors import ModelError
from gridlens.members import LinearMember
from gridlens.models import save_model
from gridlens.models._trial import load_and_score


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("metadata", None, "metadata must be one of"),
        ("metadata", ["image"], "metadata must be one of"),
        ("members", "lightgbm", "members must be a list of names"),
        ("members", [], "members must be a list of names"),
        ("members", [1], "members must be names"),
        ("members", ["../lightgbm"], "members must be names"),
        ("members", ["lightgbm", "lightgbm"], "must have different names"),
        ("averaged", [], "averaged must be true or false"),
        ("averaged", [0], "averaged must be true or false"),
        ("averaged", [True], "its 'averaged' of 'lightgbm' does not match the files"),
        ("weights", [], "weights must be a number for each"),
        ("weights", ["1"], "weights must be finite"),
        ("weights", [True], "weights must be finite"),
        ("weights", [10**400], "weights must be finite"),
        ("weights", [1e308], "weights are too large"),
        ("intercept", None, "intercept must be finite"),
        ("calibrator", {}, "its calibrator is invalid"),
        ("calibrator", [1, 2], "its calibrator is invalid"),
        ("calibration_prevalence", 1.5, "must be between 0 and 1"),
        ("calibration_prevalence", "0.5", "must be finite"),
        ("training_prevalence", 0, "must be between 0 and 1"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(bundle, field, value, said):
    restate(bundle, **{field: value})
    with pytest.raises(ModelError, match=rf"detector.json in .* is damaged .*{said}.*train the model again"):
        load_model(bundle)


@pytest.mark.parametrize(
    "field", ["metadata", "members", "weights", "intercept", "calibrator", "calibration_prevalence"]
)
def test_a_missing_field_is_named(bundle, field):
    state = json.loads((bundle / "detector.json").read_text())
    del state[field]
    (bundle / "detector.json").write_text(json.dumps(state))
    vouch(bundle)
    with pytest.raises(ModelError, match=field):
        load_model(bundle)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("[]", "it contains list"),
        ('{"a": 1, "a": 2}', "a key occurs twice"),
        ('{"intercept": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "recursion"),
        ('{"intercept": ' + "9" * 5000 + "}", "damaged"),
        ('{"intercept": 1e999}', "damaged"),
        ("\udcff", "utf-8"),
    ],
)
def test_invalid_json_is_refused(bundle, text, said):
    (bundle / "detector.json").write_bytes(text.encode(errors="surrogateescape"))
    vouch(bundle)
    with pytest.raises(ModelError, match=said):
        load_model(bundle)


def test_a_member_with_infinite_coefficients_is_refused(training_rows, calibration_rows, tmp_path):
    member = LinearMember(turns=False)
    made = LensDetector(members=(member,)).fit(*training_rows, calibration=calibration_rows)
    save_model(made, tmp_path / "model", card="", training={})
    path = tmp_path / "model" / "linear" / "weights.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    for value in (np.nan, np.inf):
        np.savez(path, **{**arrays, "coef": np.full(315, value)})
        vouch(tmp_path / "model")
        with pytest.raises(
            ModelError, match=r"The member 'linear' of the model in .* cannot be read \(ValueError: The"
        ):
            load_model(tmp_path / "model")


def test_a_member_that_gives_nan_is_refused(detector, bundle, monkeypatch):
    member = type(detector.stack_.members_[0])
    monkeypatch.setattr(member, "predict_proba", lambda self, X: np.full((len(X), 2), np.nan))
    with pytest.raises(ModelError, match=r"The member 'lightgbm' of the model in .* does not return probabilities"):
        load_and_score(bundle, "x")


def test_a_calibration_that_gives_nan_is_refused(bundle, monkeypatch):
    monkeypatch.setattr(IsotonicCalibrator, "predict", lambda self, scores: np.full(len(scores), np.nan))
    with pytest.raises(ModelError, match=r"The stack of the model in .* does not return probabilities"):
        load_and_score(bundle, "x")


def test_a_member_must_be_a_folder(detector, tmp_path, monkeypatch):
    monkeypatch.setattr(detector, "member_names_", ["../x"])
    with pytest.raises(ModelError, match=r"'../x' cannot be saved"):
        save_model(detector, tmp_path / "model", card="", training={})
    assert not list(tmp_path.iterdir())
