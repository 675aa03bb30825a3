"""Tests of models of graded cutouts: labels from the consensus, rows that represent the pool, and acceptance."""

import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gridlens.training._graded_old as graded_old
from gridlens import LensDetector, load_model, train
from gridlens.calibration import IsotonicCalibrator
from gridlens.cli import main
from gridlens.errors import GridlensError
from gridlens.evaluation import auroc
from gridlens.features import FEATURE_NAMES, FeatureCacheWriter, Measured
from gridlens.grading import GradeBook
from gridlens.grading._next_queue import add_next_queue
from gridlens.grading._oracle import simulated_grades
from gridlens.models import read_manifest
from gridlens.sources import open_source
from gridlens.stacking._meta import fit_meta
from gridlens.training._accepted import Scored, accepted_or_kept
from gridlens.training._graded_rows import _sampled, graded_rows, labelled_twice
from gridlens.training._grades import read_grades
from gridlens.training._kept import KeptRows
from gridlens.training._replay import WITHOUT, measured_pool, replay_grading

LINEAR = ("linear(turns=False)",)
LABELLED = 300
pytestmark = pytest.mark.filterwarnings("ignore:.* fewer than the:UserWarning")


def pool_rows(n=1500, seed=1, prevalence=0.08):
    """Return rows and labels: one column shows lenses and their impostors, and a second column only the impostors."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(FEATURE_NAMES))).astype(np.float32)
    y = (rng.random(n) < prevalence).astype(int)
    y[:LABELLED] = np.arange(len(y[:LABELLED])) % 3 == 0
    impostor = (y == 0) & (rng.random(n) < 0.15) & (np.arange(n) >= LABELLED)
    X[:, FEATURE_NAMES.index("patch0_arc_snr")] += 3.0 * (y | impostor)
    X[:, FEATURE_NAMES.index("patch0_arc_distance")] += 5.0 * impostor
    ids = np.array([f"c{k:04d}" for k in range(n)], dtype=object)
    nothing = np.full(n, "", dtype=object)
    rows = Measured(ids, nothing, X, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool), nothing, np.ones(n))
    return rows, y


class World:
    """A pool, a model fitted to its first rows, and a book of queues that this model filled."""

    def __init__(self, folder):
        self.rows, self.y = pool_rows()
        self.truth = dict(zip(self.rows.ids, self.y.tolist(), strict=True))
        self.cache, self.labels = folder / "pool.parquet", folder / "labels.csv"
        with FeatureCacheWriter(self.cache, "a test") as writer:
            writer.add(self.rows)
        known = pd.DataFrame({"id": self.rows.ids[:LABELLED], "label": self.y[:LABELLED]})
        known.to_csv(self.labels, index=False)
        self.old = folder / "old"
        train(self.cache, self.labels, out=self.old, members=LINEAR, n_jobs=1)
        self.table = load_model(self.old).score_cutouts(self.rows[LABELLED:])
        self.book = self.graded(folder / "grades.sqlite", 3)

    def graded(self, path, rounds, batch=100, strategy="mix"):
        with GradeBook.open(path) as book:
            for _ in range(rounds):
                items = add_next_queue(book, self.table, batch=batch, strategy=strategy)
                book.add_many(simulated_grades(items, self.truth, ["ada", "ben"]))
        return path


@pytest.fixture(scope="module", autouse=True)
def few_trees():
    """Compare weights with small forests and few bootstrap draws, to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gridlens.training._tuned._TREES", 10)
        patch.setattr("gridlens.training._card._DRAWS", 20)
        patch.setattr("gridlens.training._accepted._DRAWS", 100)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("graded"))


@pytest.fixture(scope="module")
def first(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("first") / "model"
    return train(world.cache, world.labels, grades=world.book, init_model=world.old, out=out, members=LINEAR, n_jobs=1)


def test_grades_correct_the_false_positives_of_the_old_model(world, first):
    assert first.accepted
    assert first.path is not None
    new = load_model(first.path)
    with GradeBook.open(world.book, read_only=True) as book:
        done = set(book.current()["object_id"])
    left = np.array([name not in done for name in world.rows.ids]) & (np.arange(len(world.y)) >= LABELLED)
    old, new = (auroc(world.y[left], one.decision_function(world.rows)[left]) for one in (load_model(world.old), new))
    assert new.value > old.value + 0.05


def test_the_card_and_the_manifest_state_the_origin_of_the_labels(world, first):
    card = first.card
    assert card.startswith("This model is accepted: it is not worse than the old model,")
    assert re.search(r"29\d graded cutouts: \d+ are more likely lenses than not", card)
    assert "300 labelled cutouts remain in the training with a weight of " in card
    assert "Calibrated on out-of-fold scores of the" in card
    assert re.search(r"Quadratic kappa of all pairs of graders: 0\.\d+ \[", card)
    assert re.search(r"have effective numbers of \d+\.\d lenses and \d+\.\d non-lenses", card)
    assert "| graded objects, weighted to represent the pool | AUROC |" in card
    record = read_manifest(first.path)["training"]["graded"]
    assert record["base"] == str(world.old)
    assert record["recipe"] is None
    assert record["old_weight"] in (0.05, 0.25, 1.0)
    assert len(record["grades"]["sha256"]) == 64


def test_a_second_round_builds_on_the_model_of_the_first_one(world, first, tmp_path):
    book = tmp_path / "more.sqlite"
    world.graded(book, 4)
    second = train(
        world.cache, world.labels, grades=book, init_model=first.path, out=tmp_path / "m", members=LINEAR, n_jobs=1
    )
    record = read_manifest(second.path or first.path)["training"]["graded"]
    assert record["base"] == str(world.old)
    assert record["old"]["model"] == str(first.path)


def test_probabilities_follow_the_pool_not_the_queue(world, tmp_path):
    """Half of a queue are lenses, but 8 % of the pool; unweighted rows would give a prevalence of one half."""
    book = world.graded(tmp_path / "many.sqlite", 3, 250, strategy="random")
    trained = train(
        world.cache, world.labels, grades=book, init_model=world.old, out=tmp_path / "m", members=LINEAR, n_jobs=1
    )
    assert "Calibrated on weighted out-of-fold scores of the graded rows that represent the pool" in trained.card
    pool = world.y[LABELLED:]
    assert trained.detector.calibration_prevalence_ == pytest.approx(pool.mean(), abs=0.05)
    p = trained.detector.predict_proba(world.rows[LABELLED:])[:, 1]
    assert p.mean() == pytest.approx(pool.mean(), abs=0.05)
    assert trained.detector.class_scores_ is None


@pytest.mark.slow
def test_scenes_of_the_old_recipe_remain_in_the_training(world, tmp_path, monkeypatch):
    monkeypatch.setattr(graded_old, "_SCENES", 60)
    done = []
    book = world.graded(tmp_path / "g.sqlite", 1)
    trained = train(world.cache, grades=book, members=LINEAR, out=tmp_path / "m", n_jobs=1, progress=done.append)
    assert sum(done) == len(world.rows) + 120
    assert "60 simulated scenes of the recipe of default remain in the training" in trained.card
    assert "Calibrated on 60 other simulated scenes, since the graded objects that represent" in trained.card
    record = read_manifest(trained.path)["training"]["graded"]
    assert record["recipe"]["n_train"] == 32768


@pytest.mark.slow
def test_a_replay_compares_strategies_on_a_labelled_pool(world, monkeypatch):
    monkeypatch.setattr(graded_old, "_SCENES", 60)
    source = open_source(world.cache)
    pool = measured_pool(source, n_jobs=1, progress=lambda count: None)
    assert pool.ids.tolist() == world.rows.ids.tolist()
    names = []
    table = replay_grading(
        pool,
        world.truth,
        source,
        strategies=["mix"],
        batch=60,
        rounds=1,
        n_jobs=1,
        progress=lambda count, name: names.append(name),
    )
    assert table["strategy"].tolist() == [WITHOUT] * 2 + ["mix"] * 2
    assert table["n_graded"].tolist() == [0, 60, 0, 60]
    assert (table["recall"] == table["lenses_found"] / world.y.sum()).all()
    assert table["lenses_per_100"].isna().tolist() == [True, False, True, False]
    assert names[0] == f"{WITHOUT}, round 1 of 1"
    with pytest.raises(GridlensError, match=r"must contain each object of the pool\. Got none for 1 of 1500"):
        replay_grading(pool, {name: y for name, y in world.truth.items() if name != "c0007"}, source)


def scored(new, old=None, n=400, lens=(), gold=False):
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], n // 2)
    noise = rng.normal(size=n)
    old = noise + 2.0 * y if old is None else old
    mask = np.zeros(n, dtype=bool)
    mask[list(lens)] = True
    pool = rng.normal(size=5000)
    return Scored(
        y,
        np.arange(n),
        old,
        new(noise, y),
        np.ones(n),
        np.full(n, gold) | mask,
        mask,
        np.array([f"c{k}" for k in range(n)]),
        pool,
        pool,
    )


def test_a_better_model_is_accepted_and_a_worse_one_is_not():
    better = accepted_or_kept(scored(lambda noise, y: noise + 3.0 * y), "default")
    worse = accepted_or_kept(scored(lambda noise, y: noise + 1.0 * y), "default")
    same = accepted_or_kept(scored(lambda noise, y: noise + 2.0 * y), "default")
    assert (better.accepted, worse.accepted, same.accepted) == (True, False, True)
    assert worse.verdict.startswith(
        "This model is not accepted, and the old model, default, is kept: it is worse in AUROC"
    )
    assert "+0." in better.table


def test_a_model_that_is_worse_on_gold_is_rejected():
    found = accepted_or_kept(scored(lambda noise, y: noise + 1.0 * y, gold=True), "default")
    assert not found.accepted
    assert "on gold objects" in found.verdict


def test_a_model_that_loses_a_known_lens_is_rejected():
    def down(noise, y):
        new = noise + 3.0 * y
        new[3] = -5.0
        return new

    old = np.random.default_rng(0).normal(size=400) + 2.0 * np.repeat([1, 0], 200)
    old[3] = 9.0
    found = accepted_or_kept(scored(down, old, lens=[3]), "default")
    assert not found.accepted
    assert "it loses 1 known lenses from the top 1% of the pool (c3)" in found.verdict
    assert accepted_or_kept(scored(down, old), "default").accepted


def test_too_few_rows_cannot_be_compared():
    found = accepted_or_kept(scored(lambda noise, y: noise, n=6), "default")
    assert found.accepted
    assert found.table == ""
    assert "could not be compared" in found.verdict


def test_an_uncertain_consensus_has_both_labels(world, tmp_path):
    graded = read_grades(world.book)
    graded = graded._replace(objects=graded.objects.assign(q=np.linspace(0.0, 1.0, len(graded.objects))))
    kept = KeptRows(tmp_path, "graded")
    kept.add(world.rows[: len(graded.objects)], np.arange(len(graded.objects)))
    table = labelled_twice(kept, graded)
    q = graded.objects["q"].to_numpy()
    assert len(table) == len(kept.store) == len(q) + ((q > 0.1) & (q < 0.9)).sum()
    weight = table.pivot_table(index="place", columns="label", values="weight", aggfunc="sum").fillna(0.0)
    np.testing.assert_allclose(weight.sum(axis=1), 1.0)
    between = (q > 0.1) & (q < 0.9)
    np.testing.assert_allclose(weight[1][between], q[between])


def test_a_sample_of_a_stream_is_uniform(monkeypatch):
    monkeypatch.setattr("gridlens.training._graded_rows._SAMPLE", 100)
    rows, _ = pool_rows(400)
    counts = np.zeros(400)
    for seed in range(200):
        rng, kept, n = np.random.default_rng(seed), [], 0
        for start in range(0, 400, 80):
            n += 80
            kept = _sampled([*kept, rows[start : start + 80]], n, rng)
        taken = [int(name[1:]) for part in kept for name in part.ids]
        assert len(set(taken)) == len(taken) == 100
        counts[taken] += 1
    # Each row is expected in a quarter of the samples; 4000 draws per block give a precision of 2 %.
    assert np.abs(counts.reshape(5, 80).mean(axis=1) / 50.0 - 1.0).max() < 0.1


def test_rows_of_weight_zero_are_ignored_by_stack_and_calibration(world):
    X, y = world.rows.features, world.y
    weight = (np.arange(len(y)) >= LABELLED).astype(float)
    detector = LensDetector(("linear(turns=False)", "ranked(n_estimators=5)"), meta="logistic", random_state=0)
    detector.fit(X, y, meta_weight=weight, calibration_weight=weight)
    assert detector.calibration_prevalence_ == pytest.approx(y[LABELLED:].mean())
    log_odds = detector.stack_.out_of_fold_[LABELLED:]
    assert detector.stack_.weights_ == pytest.approx(fit_meta("logistic", log_odds, y[LABELLED:]).weights, rel=1e-4)
    alone = IsotonicCalibrator().fit(detector.stack_.combine(log_odds), y[LABELLED:])
    np.testing.assert_allclose(
        detector.calibrator_.predict(np.linspace(-5, 5)), alone.predict(np.linspace(-5, 5)), atol=1e-6
    )
    with pytest.raises(ValueError, match="'meta_weight' parameter must contain a finite"):
        detector.fit(X, y, meta_weight=-weight)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"grades": "g.sqlite"}, ValueError, "'source' parameter must be the pool"),
        (
            {"source": "x", "grades": "g", "positive_unlabelled": True},
            ValueError,
            "be given without 'positive_unlabelled'",
        ),
        ({"inject_into": "x", "grades": "g"}, ValueError, "be given without 'inject_into'"),
        ({"source": "x", "grades": "missing.sqlite"}, GridlensError, "missing.sqlite"),
    ],
)
def test_incompatible_parameters_are_refused(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        train(**options)


def test_too_few_grades_and_missing_calibration_rows_are_refused(world, tmp_path):
    few = world.graded(tmp_path / "few.sqlite", 1, batch=12)
    with pytest.raises(GridlensError, match="at least 10 objects that are likely lenses"):
        train(world.cache, world.labels, grades=few, init_model=world.old)
    some = world.graded(tmp_path / "some.sqlite", 1)
    with pytest.raises(GridlensError, match="Give the labels that it was trained on with the 'labels' parameter"):
        train(world.cache, grades=some, init_model=world.old, members=LINEAR)
    marked = pd.read_csv(world.labels).assign(calibration=1)
    with pytest.raises(GridlensError, match="must not mark calibration rows if 'grades' is given"):
        train(world.cache, marked, grades=some, init_model=world.old)


def test_grades_of_other_objects_are_refused(world, tmp_path):
    rows, _ = pool_rows(200, seed=3)
    rows.ids[:] = [f"x{k}" for k in range(200)]
    with FeatureCacheWriter(tmp_path / "other.parquet", "a test") as writer:
        writer.add(rows)
    labels = pd.DataFrame({"id": rows.ids[:60], "label": np.arange(60) % 2})
    with pytest.raises(GridlensError, match=r"No graded object .* is among the cutouts"):
        train(tmp_path / "other.parquet", labels, grades=world.book, init_model=world.old, members=LINEAR)


def test_a_label_in_the_table_overrides_the_grades(world, tmp_path):
    with GradeBook.open(world.book, read_only=True) as book:
        graded = book.current()["object_id"].unique()[:20]
    known = pd.read_csv(world.labels)
    more = pd.DataFrame({"id": graded, "label": [world.truth[name] for name in graded]})
    trained = train(
        world.cache, pd.concat([known, more]), grades=world.book, init_model=world.old, members=LINEAR, n_jobs=1
    )
    assert "20 graded objects also have a label in the table, which overrides their grades." in trained.notes
    assert "320 labelled cutouts remain" in trained.card


def test_the_command_line_trains_on_grades(world, tmp_path, monkeypatch):
    words = ["train", "--data", str(world.cache), "--labels", str(world.labels), "--grades", str(world.book)]
    words += ["--from", str(world.old), "--members", "linear(turns=False)", "--jobs", "1"]
    done = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "m")])
    assert done.exit_code == 0, done.stderr
    assert "This model is accepted" in done.stderr
    assert (tmp_path / "m" / "card.md").is_file()
    monkeypatch.setattr("gridlens.training._accepted._lost", lambda rows: ["c1"])
    done = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "n")])
    assert done.exit_code == 1
    assert "is not accepted" in done.stderr
    assert "Nothing was written" in done.stderr
    assert not (tmp_path / "n").exists()
    done = CliRunner().invoke(main, ["train", "--grades", str(world.book)])
    assert done.exit_code == 2
    assert "--grades needs --data" in done.stderr


def test_a_known_lens_is_not_a_graded_negative(world, tmp_path, monkeypatch):
    """The rows have no positions, so one of them is declared a known lens here."""
    with GradeBook.open(world.book, read_only=True) as book:
        first = book.current()["object_id"].iloc[0]
    graded = read_grades(world.book)
    graded = graded._replace(objects=graded.objects.assign(q=np.where(graded.objects.index == first, 0.01, 0.99)))
    monkeypatch.setattr(
        "gridlens.training._context._lenses_of",
        lambda measured: dict.fromkeys(np.flatnonzero(measured.ids == first).tolist(), 0),
    )
    rows = graded_rows([(None, world.rows)], graded, None, "image", tmp_path)
    assert first not in rows.graded.ids
    assert len(rows.graded.ids) == len(graded.objects) - 1
    assert [note[:25] for note in rows.notes] == ["1 known lenses (lenscat 1"]
