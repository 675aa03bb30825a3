"""Tests of `evaluate_scores`: tables joined by id, strata and controls from columns, and reports of unmatched rows."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table
from partitions import Numbers

import gridlens
from gridlens import evaluate_scores
from gridlens.calibration import shift_prior
from gridlens.engine import measure_files, score_files
from gridlens.errors import GridlensError
from gridlens.evaluation import Strata, evaluate
from gridlens.sources import FileSource

DRAWS = {"n_boot": 20}


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    label = np.repeat([1, 0], [80, 400])
    ids = [f"c{k:04d}" for k in range(480)]
    score = 1 / (1 + np.exp(-(3 * label - 1.5 + rng.normal(size=480))))
    scores = pd.DataFrame({"id": ids, "p_lens": score / 100, "score": score, "seeing": rng.uniform(0.5, 1.2, 480)})
    truth = pd.DataFrame(
        {
            "id": ids,
            "label": label,
            "theta_e": rng.uniform(10, 30, 480),
            "richness": rng.uniform(10, 90, 480),
            "bcg_mag_r": rng.normal(18, 1, 480),
            "cluster": np.arange(480) // 2,
        }
    )
    return scores, truth


def test_numbers_match_evaluate(tables):
    scores, truth = tables
    found = evaluate_scores(scores.sample(frac=1, random_state=1), truth, groups="cluster", prevalence=0.01, **DRAWS)
    label = truth["label"].to_numpy()
    expected = evaluate(
        label,
        scores["score"],
        0.01,
        p=shift_prior(scores["score"].to_numpy(), 0.5, label.mean()),
        groups=truth["cluster"],
        strata={
            "Einstein radius [arcsec]": Strata(truth["theta_e"].where(label == 1), (10.0, 15.0, 25.0, 30.0)),
            "seeing [arcsec]": Strata(scores["seeing"], (0.0, 0.7, 0.9, 1.1, np.inf)),
            "richness": Strata(truth["richness"], (0.0, 20.0, 40.0, 80.0, np.inf)),
        },
        controls={
            "brightness and richness": truth[["bcg_mag_r", "richness"]],
            "metadata": pd.concat([truth[["bcg_mag_r", "richness"]], scores["seeing"]], axis=1),
        },
        match_on=truth[["richness", "bcg_mag_r"]],
        **DRAWS,
    )
    assert found.evaluation.to_json() == expected.to_json()
    assert found.evaluation.bins is not None
    assert found.notes == (
        "The control of brightness and richness uses bcg_mag_r, richness.",
        "The control of metadata uses bcg_mag_r, richness, seeing.",
        "Not stratified by arc_snr, survey: the truth table has no such column.",
    )


def test_context_is_a_control(tables):
    scores, truth = tables
    scores["context_theta_e_p50"] = np.random.default_rng(3).uniform(1, 20, 480)
    scores["context_n_known"] = 0
    found = evaluate_scores(scores, truth, **DRAWS)
    assert "The control of catalogue context uses context_theta_e_p50, context_n_known." in found.notes
    assert "catalogue context" in found.evaluation.controls


def test_rows_of_the_truth_have_score_and_label(tables):
    scores, truth = tables
    scores.loc[2, "score"] = np.nan
    found = evaluate_scores(scores.sample(frac=1, random_state=1), truth.astype({"label": bool}), **DRAWS)
    assert found.rows.index.tolist() == truth["id"].drop(2).tolist()
    assert found.rows["label"].dtype == np.int64
    np.testing.assert_array_equal(found.rows["label"], truth["label"].drop(2))
    np.testing.assert_array_equal(found.rows["score"], scores["score"].drop(2))
    assert {"theta_e", "cluster", "p_lens", "seeing"} < set(found.rows)
    assert found.counts == {"joined": 480, "lenses": 80, "rejected": 1, "rejected_lenses": 1}
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.counts = {}


def test_tables_and_paths_are_equivalent(tables, tmp_path):
    scores, truth = tables
    scores.to_csv(tmp_path / "scores.csv", index=False)
    truth.to_parquet(tmp_path / "truth.parquet")
    read = evaluate_scores(tmp_path / "scores.csv", str(tmp_path / "truth.parquet"), **DRAWS)
    given = evaluate_scores(scores, truth, **DRAWS)
    assert read.evaluation.to_json() == given.evaluation.to_json()
    assert read.record == {
        "gridlens": gridlens.__version__,
        "scores": str(tmp_path / "scores.csv"),
        "truth": str(tmp_path / "truth.parquet"),
        "sample_weight": None,
        "against": None,
        "model": None,
        "counts": read.counts,
    }
    assert given.record["scores"] is None


def test_the_other_scores_are_compared_on_the_same_rows(tables):
    scores, truth = tables
    worse = scores.assign(score=np.random.default_rng(1).permutation(scores["score"]))
    found = evaluate_scores(scores, truth, against=worse.iloc[5:], **DRAWS)
    assert len(found.rows) == 475
    assert "5 cutouts without a score in the other table are omitted." in found.notes
    assert found.evaluation.comparisons["AUROC"].difference.high < -0.2


def test_impossible_metadata_are_unknown(tables):
    scores, truth = tables
    truth.loc[3, "richness"] = -99
    found = evaluate_scores(scores, truth, **DRAWS)
    assert np.isnan(found.rows["richness"].iloc[3])
    assert any("implausible and are treated as unknown: 1 in 'richness'" in note for note in found.notes)


@pytest.fixture
def scored(shards, model, tmp_path):
    """Return a source, the path of the table of its scores, and its labels."""
    source = FileSource(shards / "01.npz")
    score_files(source, tmp_path / "scores.csv", models=(str(model),), n_jobs=1)
    ids = pd.read_csv(tmp_path / "scores.csv", dtype={"id": str})["id"].sort_values()
    return source, tmp_path / "scores.csv", pd.DataFrame({"id": ids, "label": np.arange(len(ids)) % 2})


def test_cutouts_and_caches_are_scored_by_the_model(shards, scored, model, tmp_path):
    source, table, truth = scored
    measure_files(source, tmp_path / "features.parquet", n_jobs=1)
    expected = evaluate_scores(table, truth, **DRAWS)
    path = str(shards / "01.npz")
    for scores, record in (
        (tmp_path / "features.parquet", str(tmp_path / "features.parquet")),
        (path, path),
        (iter([path]), [{"path": path}]),
        (str(shards / "[0]1.npz"), str(shards / "[0]1.npz")),
        (source, [{"path": path}]),
    ):
        found = evaluate_scores(scores, truth, model=model, n_jobs=1, **DRAWS)
        np.testing.assert_allclose(found.rows["score"], expected.rows["score"], rtol=1e-6)
        assert found.evaluation.to_json()["metrics"] == expected.evaluation.to_json()["metrics"]
        assert found.record["model"] == str(model)
        assert found.record["scores"] == record


def test_options_apply_to_the_given_cutouts(shards, scored, model, tmp_path):
    source, table, truth = scored
    measure_files(source, tmp_path / "features.parquet", n_jobs=1)
    options = {"model": model, "n_jobs": 1, "pixel_scale": 1.5, **DRAWS}
    first = evaluate_scores(table, truth, **DRAWS).rows["score"]
    for other in (table, tmp_path / "features.parquet", source):
        found = evaluate_scores(shards / "01.npz", truth, against=other, **options)
        assert (found.rows["score"] != first).mean() > 0.9
        assert "AUROC" in found.evaluation.comparisons
    found = evaluate_scores(table, truth, against=shards / "01.npz", **options)
    assert found.record["against"] == str(shards / "01.npz")
    assert found.record["model"] == str(model)
    np.testing.assert_array_equal(found.rows["score"], first)


class Interrupted(Numbers):
    """Source whose reading is interrupted at the partition that starts at `stop`, or never if `stop` is None."""

    def __init__(self, n, stop=None):
        super().__init__(n)
        self.stop = stop
        self.was_read = []

    def read(self, partition, gaps=None):
        if partition.rows[0] == self.stop:
            raise KeyboardInterrupt
        self.was_read.append(partition.rows[0])
        yield from super().read(partition, gaps)


@pytest.mark.parametrize("name", ["scores", "against"])
def test_an_interrupted_evaluation_continues(model, tmp_path, name):
    truth = pd.DataFrame({"id": [str(k) for k in range(40)], "label": np.arange(40) % 2})
    table = pd.DataFrame({"id": truth["id"], "score": np.linspace(0.1, 0.9, 40)})
    out = tmp_path / "report"

    def evaluated(source, **options):
        scores, other = (source, table) if name == "scores" else (table, source)
        return evaluate_scores(scores, truth, against=other, model=model, out=out, n_jobs=1, **options, **DRAWS)

    with pytest.raises(KeyboardInterrupt):
        evaluated(Interrupted(40, stop=20))
    folder = tmp_path / {"scores": "report.parts", "against": "report.against.parts"}[name]
    assert len(list(folder.glob("part-*.parquet"))) == 4
    with pytest.raises(GridlensError, match=r"finished parts of an earlier run\. Resume it with resume=True"):
        evaluated(Numbers(40))
    rest = Interrupted(40)
    resumed = evaluated(rest, resume=True)
    assert rest.was_read == [20, 25, 30, 35]
    assert not list(tmp_path.iterdir())
    assert resumed.evaluation.to_json() == evaluated(Numbers(40)).evaluation.to_json()


def test_parts_are_kept_until_the_evaluation_has_ended(scored, model, tmp_path):
    source, _, truth = scored
    out = tmp_path / "report"
    arguments = {"model": model, "out": out, "n_jobs": 1, **DRAWS}
    with pytest.raises(GridlensError, match="must contain both 0 and 1"):
        evaluate_scores(source, truth.assign(label=0), **arguments)
    assert list((tmp_path / "report.parts").glob("part-*.parquet"))
    with pytest.raises(GridlensError, match=r"was started with other values of .*cutouts"):
        evaluate_scores(Numbers(40), truth, resume=True, **arguments)
    evaluate_scores(source, truth, overwrite=True, **arguments)
    assert not list(tmp_path.glob("*report*"))


def write_fits(path, *hdus):
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path


def test_a_fits_file_is_read_as_table_or_cutout(tables, scored, model, tmp_path, noise):
    scores, truth = tables
    rows = fits.BinTableHDU(Table.from_pandas(scores[["id", "score"]]))
    image = fits.ImageHDU(np.zeros((3, 48, 48), dtype=np.float32))
    other = fits.BinTableHDU(Table({"band": ["g", "r", "i"]}))
    expected = evaluate_scores(scores, truth, **DRAWS).evaluation.metrics["AUROC"]
    for name, hdus in (("table", [rows]), ("both", [image, rows])):
        found = evaluate_scores(write_fits(tmp_path / f"{name}.fits", *hdus), truth, **DRAWS)
        assert found.evaluation.metrics["AUROC"] == expected
        assert found.record["model"] is None
    folder = tmp_path / "cutouts"
    folder.mkdir()
    truth = pd.DataFrame({"id": [str(k) for k in range(6)], "label": np.arange(6) % 2})
    for k, pixels in enumerate(noise(6)):
        image = fits.ImageHDU(np.moveaxis(pixels, -1, 0), name="SCI")
        write_fits(folder / f"{k}.fits", image, other)
    paths = sorted(map(str, folder.iterdir()))
    arguments = {"model": model, "n_jobs": 1, "pixel_scale": 0.5, "bands": "gri", **DRAWS}
    found = evaluate_scores(paths, truth, **arguments)
    assert found.evaluation.metrics["AUROC"] == evaluate_scores(folder, truth, **arguments).evaluation.metrics["AUROC"]
    assert found.counts["joined"] == 6
    with pytest.raises(GridlensError, match=r"must contain both 0 and 1\. Got only 0 in 1 rows"):
        evaluate_scores(paths[0], truth, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"scores": None}, TypeError, "'scores' and 'images' must be given"),
        ({"survey": "hsc"}, GridlensError, r"for reading cutouts\. Got survey= with them"),
        ({"scores": ["a.csv", "b.csv"]}, GridlensError, r"'scores' parameter must be one score table, .* Got 'a\.csv'"),
        (
            {"against": ["cutouts", "b.fits"]},
            GridlensError,
            r"'against' parameter must be one score table, .* Got 'b\.fits'",
        ),
        ({"scores": "nowhere"}, GridlensError, "There is no file or folder nowhere"),
        ({"scores": "nowhere.csv"}, GridlensError, r"There is no table nowhere\.csv"),
        ({"scores": "nowhere.xlsx"}, GridlensError, "A table must end in"),
        ({"resume": True, "overwrite": True}, GridlensError, "mutually exclusive"),
    ],
)
def test_scores_that_are_neither_tables_nor_cutouts_are_refused(tables, arguments, error, said):
    scores, truth = tables
    with pytest.raises(error, match=said):
        evaluate_scores(**{"scores": scores, "truth": truth, **DRAWS, **arguments})


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"prevalence": 0.0}, ValueError, "'prevalence' parameter must be a number between 0 and 1"),
        ({"n_boot": 0}, ValueError, "'n_boot' parameter must be an integer of at least 1"),
        ({"groups": "field"}, GridlensError, r"'groups' parameter must name a column of the truth table\. Got 'field'"),
    ],
)
def test_invalid_arguments_are_refused(tables, arguments, error, said):
    with pytest.raises(error, match=said):
        evaluate_scores(*tables, **{**DRAWS, **arguments})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda s, t: (s.assign(score=np.nan), t),
            r"must hold a score for a row of the truth table\. Got none",
        ),
        (lambda s, t: (s.assign(score=0.5), t), r"'score' of the score table must not be constant\. Got 0\.5 in all"),
        (lambda s, t: (s.assign(score=-1.0 * t.label), t), r"must hold probabilities from 0 to 1\. Got -1 instead"),
        (lambda s, t: (s, t.assign(label=0)), r"must contain both 0 and 1\. Got only 0 in 480 rows"),
        (lambda s, t: (s, t.assign(label="maybe")), r"must be 1 or 0\. Got 'maybe' in the row c0000"),
        (lambda s, t: (s.assign(id="x" + s.id), t), r"No id of the score table \(xc0000"),
        (lambda s, t: (s.drop(columns="id"), t), r"score table must have the columns id and score\. Got p_lens"),
    ],
)
def test_invalid_tables_are_refused(tables, change, said):
    with pytest.raises(GridlensError, match=said):
        evaluate_scores(*change(*tables), **DRAWS)


def test_weights_are_a_column_of_the_truth(tables):
    scores, truth = tables
    weight = np.where(truth["richness"] > 50, 1.0, 4.0)
    weight[:10] = 0.0
    found = evaluate_scores(scores, truth.assign(w=weight), sample_weight="w", prevalence=0.01, **DRAWS)
    kept = weight > 0
    label = truth["label"].to_numpy()[kept]
    own = np.average(label, weights=weight[kept])
    expected = evaluate(
        label,
        scores["score"][kept],
        0.01,
        p=shift_prior(scores["score"].to_numpy()[kept], 0.5, own),
        sample_weight=weight[kept],
        **DRAWS,
    )
    assert found.evaluation.metrics == expected.metrics
    assert found.evaluation.fraction == pytest.approx(own)
    assert "10 cutouts have a weight of 0 and are omitted." in found.notes
    assert found.record["sample_weight"] == "w"
    assert len(found.rows) == 470


def test_rejected_lenses_count_as_their_weight(tables):
    scores, truth = tables
    scores.loc[0, "score"] = np.nan
    found = evaluate_scores(scores, truth.assign(w=np.where(truth.index == 0, 81.0, 1.0)), sample_weight="w", **DRAWS)
    assert any("is found is 0.494 times" in note for note in found.notes)


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        (
            np.r_[np.ones(479), -2.0],
            r"'w' of the truth table must hold a finite weight of at least 0 .* Got -2\.0 for c0479",
        ),
        (np.r_[np.nan, np.ones(479)], r"Got nan for c0000 instead\. Remove rows without a weight"),
        (["1"] * 479 + ["much"], "Got much for c0479"),
        (np.zeros(480), "must hold a score for a row of the truth table with a weight above 0"),
    ],
)
def test_invalid_weights_are_refused(tables, weight, said):
    scores, truth = tables
    with pytest.raises(GridlensError, match=said):
        evaluate_scores(scores, truth.assign(w=weight), sample_weight="w", **DRAWS)
    with pytest.raises(GridlensError, match=r"'sample_weight' parameter must name a column .* Got 'v' instead"):
        evaluate_scores(scores, truth, sample_weight="v", **DRAWS)
