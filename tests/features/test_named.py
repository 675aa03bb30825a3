"""Tests of features in tables: columns are found by name, and a wrong order never passes silently."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from gridlens import CutoutSet, GridPatchExtractor
from gridlens.errors import GridlensError
from gridlens.explain import Explainer, permutation_importance
from gridlens.features import FEATURE_NAMES, dihedral
from gridlens.features._named import in_contract_order
from gridlens.features._shown import shown_value
from gridlens.members import Novelty


@pytest.fixture
def X(calibration_rows):
    return calibration_rows[0][:50]


@pytest.fixture
def shuffled(X):
    order = np.random.default_rng(0).permutation(len(FEATURE_NAMES))
    return pd.DataFrame(X, columns=FEATURE_NAMES).iloc[:, order]


def test_columns_in_another_order_are_found_by_name(detector, X, shuffled):
    member = detector.stack_.members_[0]
    np.testing.assert_array_equal(in_contract_order(shuffled), X)
    np.testing.assert_array_equal(detector.predict_proba(shuffled), detector.predict_proba(X))
    np.testing.assert_array_equal(member.predict_proba(shuffled), member.predict_proba(X))
    np.testing.assert_array_equal(dihedral(shuffled), dihedral(X))
    arrow = pa.Table.from_pandas(shuffled, preserve_index=False)
    np.testing.assert_array_equal(detector.predict_proba(arrow), detector.predict_proba(X))
    explainer = Explainer(detector)
    np.testing.assert_array_equal(explainer.explain(shuffled).values, explainer.explain(X).values)
    of = {"names": ["arc shape"], "n_repeats": 1}
    pd.testing.assert_frame_equal(
        permutation_importance(detector, shuffled, **of), permutation_importance(detector, X, **of)
    )


def test_numbered_columns_are_read_as_an_array(detector, X):
    np.testing.assert_array_equal(detector.predict_proba(pd.DataFrame(X)), detector.predict_proba(X))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([*FEATURE_NAMES[:-1], "mass"], "lacks dec and has mass, which is not in the contract"),
        ([*FEATURE_NAMES[:-1], "ra"], "lacks dec instead"),
        ([f"f{k}" for k in range(315)], "has f0, f1, f2 and 312 more"),
    ],
)
def test_other_names_are_refused(detector, X, names, said):
    for score in (detector.predict_proba, detector.stack_.members_[0].predict_proba, dihedral):
        with pytest.raises(ValueError, match=said):
            score(pd.DataFrame(X, columns=names))


def test_a_reference_with_named_columns_checks_the_names(X, shuffled):
    novelty = Novelty().fit(pd.DataFrame(X, columns=FEATURE_NAMES))
    assert np.isfinite(novelty.p_values(pd.DataFrame(X, columns=FEATURE_NAMES))).all()
    with pytest.raises(ValueError, match="names"):
        novelty.p_values(shuffled)


@pytest.mark.parametrize(("metadata", "width"), [("image", 225), ("survey", 228), ("all", 234)])
def test_constant_columns_are_dropped_on_request(noise, detector, metadata, width):
    cutouts = CutoutSet(noise(3), pixel_scale=1.0, metadata={"redshift": 0.3, "richness": 40.0})
    whole = GridPatchExtractor(metadata).transform(cutouts)
    extractor = GridPatchExtractor(metadata, drop_constant=True)
    names = extractor.get_feature_names_out()
    assert names.shape == (width,)
    assert not [name for name in names if "position" in name]
    rows = extractor.fit_transform(cutouts)
    np.testing.assert_array_equal(rows, whole[:, [FEATURE_NAMES.index(name) for name in names]])
    assert extractor.extract(cutouts).features.shape == (3, 315)
    table = make_pipeline(extractor, FunctionTransformer()).set_output(transform="pandas").fit_transform(cutouts)
    assert table.columns.tolist() == names.tolist()
    with pytest.raises(GridlensError, match=r"\(drop_constant=True\) are for other estimators"):
        detector.predict_proba(rows)
    for score, kind in ((detector.predict_proba, table), (detector.stack_.members_[0].predict_proba, rows)):
        with pytest.raises(ValueError, match=r"\(drop_constant=True\) are for other estimators"):
            score(kind)


def test_the_signal_to_noise_ratio_is_shown_without_its_transformation():
    for name in ("arc_snr", "patch4_arc_snr"):
        np.testing.assert_allclose(shown_value(name, np.arcsinh([85.0, np.nan])), [85.0, np.nan])
    assert shown_value("arc_snr_of_mine", 2.0) == shown_value("patch4_arcness", 2.0) == 2.0
