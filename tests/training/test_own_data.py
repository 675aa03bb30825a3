"""Tests of models of labelled cutouts, from stored features and from images."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gridlens import CutoutSet, load_model, train
from gridlens.errors import GridlensError, ModelError
from gridlens.features import FEATURE_NAMES, FeatureCacheWriter, Measured
from gridlens.models import read_manifest
from gridlens.training._bundled import beside_bundled
from gridlens.training._labels import read_labels

LINEAR = ("linear(turns=False)",)
pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")


def measured(n, seed=1, first=0):
    """Return two views of each cluster and their labels, which one column reveals; every tenth row is rejected."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(FEATURE_NAMES))).astype(np.float32)
    y = (np.arange(n) // 2) % 2
    X[:, FEATURE_NAMES.index("patch0_arc_snr")] += 4.0 * y
    rejected = np.arange(n) % 10 == 9
    X[rejected] = np.nan
    ids = np.array([f"c{first + k:04d}" for k in range(n)], dtype=object)
    nothing = np.full(n, "", dtype=object)
    return Measured(ids, nothing, X, np.zeros(n, dtype=np.int64), rejected, nothing, np.ones(n)), y


def write_cache(path, rows, source="a test"):
    with FeatureCacheWriter(path, source) as writer:
        writer.add(rows)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_cache(tmp_path_factory.mktemp("caches") / "features.parquet", measured(400)[0])


def table(n=400, **columns):
    rows, y = measured(n)
    return pd.DataFrame({"id": rows.ids, "label": y, "cluster": [f"k{k // 2}" for k in range(n)]} | columns)


@pytest.fixture
def labels(tmp_path):
    def write(frame):
        frame.to_csv(tmp_path / "labels.csv", index=False)
        return tmp_path / "labels.csv"

    return write


def test_a_model_from_a_cache_scores_and_reports_out_of_fold_metrics(cache, labels, tmp_path):
    frame = table()
    frame.loc[[4, 5], "label"] = np.nan
    frame.loc[6, "id"] = "elsewhere"
    done = []
    trained = train(cache, labels(frame), out=tmp_path / "model", members=LINEAR, n_jobs=1, progress=done.append)
    assert sum(done) == 400
    assert trained.notes == [
        "3 cutouts have no label and are left out: c0004, c0005, c0006.",
        "1 labels have no cutout: elsewhere.",
        "40 labelled cutouts were rejected and are left out: c0009, c0019, c0029, c0039, c0049, ....",
    ]
    assert "357 cutouts from feature caches, 179 of them lenses. They show 199 clusters." in trained.card
    assert "## Scores out of fold, 357 rows" in trained.card
    assert "members fitted on the other 4 of 5 folds; all rows of a cluster are in the same fold" in trained.card
    detector = load_model(tmp_path / "model")
    new, y = measured(200, seed=2)
    p = detector.predict_proba(new.features)[:, 1]
    assert np.isnan(p[new.rejected]).all()
    known = ~new.rejected
    assert np.mean(p[known & (y == 1)]) - np.mean(p[known & (y == 0)]) > 0.1
    # The model uses image features only, so other metadata change nothing.
    moved = new.features.copy()
    moved[:, 306:] += 7.0
    np.testing.assert_array_equal(
        detector.score_rows(new)["score"], detector.score_rows(replace(new, features=moved))["score"]
    )
    training = read_manifest(tmp_path / "model")["training"]
    assert training["data"]["train.features"]["shape"] == [357, 315]
    assert training["labelled"]["sources"] == [{"path": str(cache), "rows": 400, "source": "a test"}]
    assert len(training["labelled"]["labels"]["sha256"]) == 64


def test_out_of_fold_metrics_are_not_in_sample(tmp_path, labels):
    """Random labels cannot be predicted; an evaluation on the rows of the fit would claim that they can."""
    rows, _ = measured(300, seed=3)
    frame = pd.DataFrame({"id": rows.ids, "label": np.random.default_rng(0).integers(0, 2, 300)})
    trained = train(
        write_cache(tmp_path / "f.parquet", rows),
        labels(frame),
        out=tmp_path / "model",
        members=("linear(C=100)",),
    )
    line = next(line for line in trained.card.splitlines() if line.startswith("| linear |"))
    assert abs(float(line.split("|")[2].split("[")[0]) - 0.5) < 0.15
    assert "No clusters were given, so each row counts as a separate cluster." in trained.card


def test_calibration_rows_are_not_used_to_fit_members(cache, labels, tmp_path):
    frame = table(calibration=(np.arange(400) >= 240).astype(int))
    trained = train(cache, labels(frame), out=tmp_path / "model", members=(*LINEAR, "ranked(n_estimators=5)"), n_jobs=1)
    assert "216 cutouts from feature caches" in trained.card
    assert "Calibrated on 144 rows that the members have not seen, with clean labels" in trained.card
    assert "## Scores on the 144 rows of the calibration" in trained.card
    assert trained.card.count("| the stack |") == 1
    data = read_manifest(tmp_path / "model")["training"]["data"]
    assert (data["train.label"]["shape"], data["calibrate.label"]["shape"]) == ([216], [144])


def test_positive_unlabelled_models_are_calibrated_on_clean_labels(cache, labels, tmp_path):
    frame = table(calibration=(np.arange(400) >= 240).astype(int))
    frame["s"] = frame["label"] * (np.random.default_rng(0).random(400) < 0.5)
    frame["label"] = frame["label"].astype(object).where(frame["calibration"] == 1, "nobody looked")
    trained = train(cache, labels(frame), out=tmp_path / "model", members=LINEAR, positive_unlabelled=True, n_jobs=1)
    assert "of them known lenses; the others are unlabelled" in trained.card
    detector = load_model(tmp_path / "model")
    assert detector.training_prevalence_ < 0.35
    assert detector.calibration_prevalence_ == pytest.approx(0.5, abs=0.05)
    # No member has seen a calibration row, and each known lens is ranked by members that have not seen it.
    assert trained.ranking["rank"].between(1, 216).all()
    assert trained.ranking["known_lens"].sum() == frame["s"][:240][~measured(240)[0].rejected].sum()
    assert len(trained.ranking) == (~measured(240)[0].rejected).sum()
    with pytest.raises(GridlensError, match=r"must be 1, 0 or blank. Got 'nobody looked'"):
        read_labels(labels(frame.drop(columns="s")), positive_unlabelled=True)


def test_a_model_builds_on_another_and_is_compared_with_the_bundled_one(cache, labels, tmp_path):
    trained = train(cache, labels(table()), out=tmp_path / "model", members=LINEAR, init_model="default", n_jobs=1)
    assert trained.detector.member_names_ == ["linear", "pretrained"]
    assert re.match(
        r"This model is better than the bundled model on these rows: AUROC 0.\d+ against", trained.comparison
    )
    assert trained.card.startswith(f"{trained.comparison}\n\n# A model of labelled cutouts\n")
    assert "The member pretrained is the model 'default' (SHA-256 of its manifest" in trained.card
    assert "## Compared with the bundled model\n\n| measure | this model | the bundled model |" in trained.card
    again = load_model(tmp_path / "model")
    X = measured(100, seed=5)[0].features
    np.testing.assert_array_equal(again.predict_proba(X), trained.detector.predict_proba(X))
    stack = trained.detector.stack_
    rows = measured(400)[0]
    alone = load_model("default").decision_function(rows.features[~rows.rejected])
    assert (np.argsort(stack.out_of_fold_[:, 1]) == np.argsort(alone)).all()


def test_a_base_model_trained_on_the_same_cutouts_is_refused(cache, labels, tmp_path):
    train(cache, labels(table()[:200]), out=tmp_path / "base", members=LINEAR, n_jobs=1)
    with pytest.raises(
        GridlensError, match=r"must not have been trained on the same cutouts.*Got 180 of 360 that were"
    ):
        train(cache, labels(table()), members=LINEAR, init_model=tmp_path / "base")
    marked = table(calibration=(np.arange(400) < 240).astype(int))
    with pytest.raises(GridlensError, match="Got 180 of 360 that were in its training data"):
        train(cache, labels(marked), members=(*LINEAR, f"pretrained(model={str(tmp_path / 'base')!r})"))
    trained = train(cache, labels(table()[200:]), members=LINEAR, init_model=tmp_path / "base", n_jobs=1)
    # The new model was fitted to all 360 rows.
    assert len(trained.detector.training_rows_) == 360


def test_a_base_model_that_uses_hidden_metadata_is_refused(cache, labels, tmp_path):
    train(cache, labels(table()), out=tmp_path / "base", members=LINEAR, metadata="survey", n_jobs=1)
    with pytest.raises(GridlensError, match=r"'metadata' .* must be 'survey' for .*uses depth, redshift, seeing"):
        train(cache, labels(table()), members=LINEAR, init_model=tmp_path / "base")
    with pytest.raises(ModelError, match="is not a model bundle"):
        train(cache, labels(table()), members=LINEAR, init_model=tmp_path / "nowhere")


def test_the_better_model_is_named():
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [60, 300])
    good, poor = y * 3.0 + rng.normal(size=360), y * 0.7 + rng.normal(size=360)
    for score, bundled, said in (
        (
            good,
            poor,
            r"^This model is better than the bundled .* AUROC 0.9\d+ against 0.[67]\d+, a paired difference.* \+",
        ),
        (
            poor,
            good,
            r"^The bundled model is better than this model .* AUROC 0.9\d+ against 0.[67].* -0.*init_model=\"default\"",
        ),
        (good, good + 0.1 * rng.normal(size=360), "^This model and the bundled model cannot be distinguished"),
    ):
        assert re.search(said, beside_bundled(y, score, bundled, None, False).verdict)
    assert "init_model" not in beside_bundled(y, poor, good, None, True).verdict
    some = np.where(np.arange(360) % 3 == 0, np.nan, poor)
    assert (
        "these rows (240 of 360, those that both models score): AUROC"
        in beside_bundled(y, good, some, None, False).verdict
    )
    alike = beside_bundled(y, good, 2.0 * good - 1.0, None, True).verdict
    assert "cannot be distinguished" in alike
    assert "a paired difference of +0.000 [+0.000, +0.000]" in alike
    none = beside_bundled(y, good, np.full(360, np.nan), None, False)
    assert none.verdict.endswith("cannot be compared on these rows: the bundled model scores only 0 of 360.")
    assert none.table == ""


def test_a_pool_is_mined_from_a_cache_without_its_labelled_rows(cache, labels, tmp_path):
    frame = table(calibration=(np.arange(400) >= 240).astype(int))
    pool = measured(300, seed=4, first=350)[0]  # 50 of them are labelled
    path = write_cache(tmp_path / "pool.parquet", pool)
    train(cache, labels(frame), out=tmp_path / "model", members=LINEAR, pool=path, n_jobs=1)
    training = read_manifest(tmp_path / "model")["training"]
    # 13 is a sixteenth of the 216 rows; 250 rows of the pool are new, 225 of them usable.
    assert (training["mined"]["taken"], training["mined"]["pool"]) == (13, 225)
    assert training["data"]["mined.features"]["shape"] == [13, 315]
    with pytest.raises(GridlensError, match=r"learns from a pool must be calibrated on separate rows.*Got none"):
        train(cache, labels(table()), out=tmp_path / "other", members=LINEAR, pool=path, n_jobs=1)


def test_training_with_a_member_on_cutouts(tmp_path, labels, noise):
    pixels = noise(60, 64)
    y = np.arange(60) % 2
    pixels[y == 1, 10:14, 20:44] += 30.0
    pixels[7] = np.nan
    np.savez(tmp_path / "cutouts.npz", pixels=pixels, ids=np.array([f"c{k}" for k in range(60)]), pixel_scale=0.5)
    frame = labels(pd.DataFrame({"id": [f"c{k}" for k in range(60)], "label": y}))
    trained = train(tmp_path / "cutouts.npz", frame, out=tmp_path / "model", members=("polar",), n_jobs=1)
    assert "59 cutouts, 29 of them lenses" in trained.card
    p = load_model(tmp_path / "model").predict_proba(CutoutSet(pixels[:6]))[:, 1]
    assert ((p >= 0) & (p <= 1)).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: t.rename(columns={"label": "s"}),
            "Got 's' instead, which says which rows were labelled; use positive",
        ),
        (lambda t: t.rename(columns={"label": "y"}), "must have the column label. Got id, y, cluster instead"),
        (
            lambda t: t.assign(label=t["label"] + 1),
            r"must be 1, 0 or blank. Got '2' in the row c0002 instead, and others in 199 more",
        ),
        (lambda t: pd.concat([t, t[:2]]), r"must name each id once. Got 2 repeated ids: c0000, c0001"),
        (
            lambda t: t.assign(id="x" + t["id"]),
            r"No id of the table of labels \(xc0000, .*\) matches an id of the cutouts",
        ),
        (lambda t: t.assign(label=0), r"to learn from must contain both classes. Got 0 lenses and 360 others"),
        (
            lambda t: t.assign(calibration=np.arange(400) % 2),
            r"must have the same value in all rows of a cluster.*such as k0",
        ),
        (
            lambda t: t.assign(calibration="perhaps"),
            r"'calibration' .* must be 1, 0 or blank. Got 'perhaps' in the row c0000 instead",
        ),
        (lambda t: t[:16], r"larger than the number of groups with positives"),
    ],
)
def test_invalid_labels_are_refused(cache, labels, tmp_path, change, said):
    with pytest.raises(GridlensError, match=said):
        train(cache, labels(change(table())), out=tmp_path / "model", members=LINEAR, n_jobs=1)
    assert not (tmp_path / "model").exists()


def test_members_on_cutouts_are_refused_for_feature_caches(cache, labels, tmp_path):
    with pytest.raises(GridlensError, match=r"members on features if .* Got 'polar' instead.*give the cutouts"):
        train(cache, labels(table()), out=tmp_path / "model", members=("linear", "polar"))


def test_repeated_cutouts_are_refused(cache, labels, tmp_path):
    with pytest.raises(GridlensError, match=r"each labelled cutout once. Got c0000, c0001, .* again instead"):
        train([cache, cache], labels(table()), out=tmp_path / "model", members=LINEAR)
