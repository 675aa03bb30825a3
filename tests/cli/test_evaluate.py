"""Tests of `gridlens evaluate`: tables are joined, unmatched rows are counted and named, and a report is written."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from skies import DEC, RA, gnomonic, write_image

from gridlens.cli import main

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


def run(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments), "--draws", "20"])


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    label = np.repeat([1, 0], [80, 600])
    ids = [f"c{k:04d}" for k in range(680)]
    score = 1 / (1 + np.exp(-(3 * label - 1.5 + rng.normal(size=680))))
    scores = pd.DataFrame({"id": ids, "p_lens": score / 100, "score": score, "status": "ok"})
    truth = pd.DataFrame(
        {
            "id": ids,
            "label": label,
            "theta_e": rng.uniform(10, 30, 680),
            "survey": rng.choice(["des", "hsc"], 680),
            "richness": rng.uniform(10, 90, 680),
            "bcg_mag_r": rng.normal(18, 1, 680),
            "cluster": np.arange(680) // 2,
        }
    )
    return scores, truth


@pytest.fixture
def written(tables, tmp_path):
    def write(scores=None, truth=None):
        paths = tmp_path / "scores.csv", tmp_path / "truth.csv"
        for path, table, other in zip(paths, (scores, truth), tables, strict=True):
            (other if table is None else table).to_csv(path, index=False)
        return paths

    return write


def test_a_report_is_written(written, tables, tmp_path):
    scores, _ = tables
    shuffled = scores.sample(frac=1, random_state=0)
    result = run(*written(shuffled), "--out", tmp_path / "report", "--groups", "cluster", "--seconds-per-cutout", 5)
    assert result.exit_code == 0, result.stderr
    first, *metrics, last = result.stdout.splitlines()
    assert first == "680 cutouts, 80 of them lenses; 95 % intervals in brackets"
    assert [re.split("  +", line)[0] for line in metrics] == [
        "TPR at FPR 1e-3",
        "TPR at FPR 1e-2",
        "precision at 100",
        "precision at 100 at prevalence 1e-3",
        "AUROC",
        "calibration error",
    ]
    assert all(re.fullmatch(r".*\d \[\S+, \S+\]|.* not resolvable with \d+ \w+", line) for line in metrics)
    assert last == f"{tmp_path / 'report'}/index.html"
    numbers = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert (numbers["rows"], numbers["positives"], numbers["groups"], numbers["prevalence"]) == (680, 80, 340, 1e-3)
    assert set(numbers["controls"]) == {"model", "brightness and richness", "metadata"}
    assert set(numbers["strata"]) == {"Einstein radius [arcsec]", "richness", "survey"}
    assert numbers["metrics"]["AUROC"]["value"] > 0.9
    assert "Not stratified by arc_snr, seeing" in result.stderr
    page = (tmp_path / "report" / "index.html").read_text()
    assert "hours of review" in page and "Einstein radius" in page


def test_weights_are_reported(written, tables, tmp_path):
    _, truth = tables
    weight = np.where(truth["label"] == 1, 1.0, 2.0 + np.arange(680) % 2)
    options = ("--out", tmp_path / "report", "--weights", "w", "--draws", 20)
    result = run(*written(truth=truth.assign(w=weight)), *options)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[1] == "weighted: effective numbers of 80.0 lenses and 576.9 non-lenses"
    page = (tmp_path / "report" / "index.html").read_text()
    assert "are 80.0 lenses and 576.9 non-lenses" in page and "column w of the labels" in page
    numbers = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert numbers["sample_weight"] == "w" and round(numbers["effective_negatives"], 1) == 576.9
    result = run(*written(), "--out", tmp_path / "other", "--weights", "w")
    assert result.exit_code == 1
    assert "must name a column of the truth table. Got 'w' instead" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".votable"])
def test_tables_of_every_format_are_read(tables, tmp_path, suffix):
    from gridlens._tables import write_table

    paths = [tmp_path / f"{name}{suffix}" for name in ("scores", "truth")]
    for path, table in zip(paths, tables, strict=True):
        write_table(table, path)
    result = run(*paths, "--out", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["positives"] == 80


def test_two_score_tables_are_compared(written, tables, tmp_path):
    worse = tables[0].assign(score=np.random.default_rng(1).permutation(tables[0]["score"]))
    worse.iloc[5:].to_csv(tmp_path / "worse.csv", index=False)
    result = run(*written(), "--against", tmp_path / "worse.csv", "--out", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    assert "5 cutouts without a score in the other table are omitted" in result.stderr
    numbers = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert numbers["rows"] == 675
    assert numbers["comparison"]["AUROC"]["difference"]["high"] < -0.2
    assert numbers["mcnemar"]["p_value"] < 1e-6


def test_unmatched_rows_are_counted_and_named(written, tables, tmp_path):
    scores, truth = tables
    scores = scores.iloc[3:].copy()
    truth = truth.iloc[:-7]
    scores.loc[scores.index[:4], ["score", "status"]] = [np.nan, "rejected"]
    result = run(*written(scores, truth), "--out", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    assert (
        "7 ids in the score table have no truth and are omitted: c0673, c0674, c0675, c0676, c0677, ..."
        in result.stderr
    )
    assert "3 ids in the truth table have no score and are omitted: c0000, c0001, c0002." in result.stderr
    assert "4 cutouts were rejected and have no score, among them 4 of 77 lenses" in result.stderr
    numbers = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert numbers["rows"] == 666
    assert numbers["counts"] == {"joined": 670, "lenses": 77, "rejected": 4, "rejected_lenses": 4}


def test_scores_need_not_be_probabilities(written, tables, tmp_path):
    scores = tables[0][["id"]].assign(score=100 * tables[0]["score"])
    result = run(*written(scores), "--out", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    assert "its scores are used for ranking only, and calibration is not evaluated" in result.stderr
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["reliability"] is None


def of(column, value, rows=slice(None)):
    def change(table):
        table = table.astype({column: object}) if column in table else table
        table.loc[table.index[rows], column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("scores", "truth", "words"),
    [
        (None, of("label", 1), "must contain both 0 and 1. Got only 1 in 680 rows"),
        (
            None,
            of("label", -1, slice(5)),
            "'label' of the truth table must be 1 or 0. Got '-1' in the row c0000 instead, and others in 4 more",
        ),
        (None, of("label", None, slice(2)), "must be 1 or 0. Got a blank in the row c0000 instead"),
        (None, lambda t: t.rename(columns={"label": "s"}), "Got 's' instead, which says which rows were labelled"),
        (None, lambda t: t.drop(columns="label"), "truth table must have the column label"),
        (
            None,
            lambda t: t.assign(id="x" + t["id"]),
            "No id of the score table .c0000, .* in the truth table .xc0000",
        ),
        (
            None,
            lambda t: pd.concat([t, t.iloc[:2]]),
            "must name each id once. Got 2 repeated ids: c0000, c0001",
        ),
        (lambda t: t.drop(columns="score"), None, "score table must have the columns id and score"),
        (of("score", 0.5), None, "'score' of the score table must not be constant"),
        (of("score", 1.5, slice(1)), None, "must hold probabilities from 0 to 1. Got 1.5 instead"),
    ],
)
def test_invalid_tables_are_refused(written, tables, tmp_path, scores, truth, words):
    changed = [
        table if change is None else change(table.copy()) for table, change in zip(tables, (scores, truth), strict=True)
    ]
    result = run(*written(*changed), "--out", tmp_path / "report")
    assert result.exit_code == 1
    assert pd.Series([result.stderr]).str.contains(words).all(), result.stderr
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--prevalence", 0], 2, "--prevalence"),
        (["--prevalence", 1], 2, "--prevalence"),
        (["--groups", "field"], 1, "must name a column of the truth table. Got 'field' instead"),
        (["--hours-per-follow-up", 2], 2, "all three"),
        (["--against", "nowhere.csv"], 1, "There is no table nowhere.csv"),
    ],
)
def test_invalid_options_are_refused(written, tmp_path, arguments, status, words):
    result = run(*written(), "--out", tmp_path / "report", *arguments)
    assert result.exit_code == status
    assert words in result.stderr


@pytest.mark.parametrize("library", ["matplotlib", "jinja2"])
def test_a_missing_library_is_reported_early(written, tmp_path, monkeypatch, library):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    result = run(tmp_path / "nowhere.csv", tmp_path / "nowhere.csv", "--out", tmp_path / "report")
    assert result.exit_code == 1
    assert f"need the package {library}: pip install 'gridlens[explain]'" in result.stderr


def test_invalid_files_and_folders_are_refused(written, tmp_path):
    scores, truth = written()
    assert "There is no table" in run(tmp_path / "absent.csv", truth, "--out", tmp_path / "r").stderr
    assert "A table must end in" in run(tmp_path / "scores.xlsx", truth, "--out", tmp_path / "r").stderr
    (tmp_path / "broken.parquet").write_text("no table")
    assert "cannot be read" in run(tmp_path / "broken.parquet", truth, "--out", tmp_path / "r").stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("here")
    result = run(scores, truth, "--out", tmp_path / "full")
    assert result.exit_code == 1 and "full" in result.stderr


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Return a folder of survey images in three bands, their catalogue, cutouts and features, and a truth table."""
    folder = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(5)
    size = 500
    y, x = np.indices((size, size)) - (size - 1) / 2
    galaxy = 300.0 * np.exp(-np.hypot(x, y) / 12.0)
    for band, colour in zip("gri", (0.4, 1.0, 1.5), strict=True):
        image = (rng.normal(size=(size, size)) + colour * galaxy).astype(np.float32)
        write_image(folder / f"t_{band}.fits", image, gnomonic(0.2, size), MAGZERO=27.0)
    shifts = [(k % 3 - 1) * 0.002 for k in range(6)]
    rows = [f"{k},{RA + shift},{DEC + (k // 3) * 0.002},{20 + k}" for k, shift in enumerate(shifts)]
    (folder / "c.csv").write_text("\n".join(["id,ra,dec,richness", *rows]))
    (folder / "truth.csv").write_text("id,label\n" + "".join(f"{k},{k % 2}\n" for k in range(6)))
    for command, out in (("score", "scores.csv"), ("features", "features.parquet"), ("cutouts", "cutouts")):
        result = CliRunner().invoke(main, [command, *images_of(folder), "--out", str(folder / out)])
        assert result.exit_code == 0, result.stderr
    return folder


def images_of(folder):
    images = [word for band in "gri" for word in ("--image", f"{band}={folder / f't_{band}.fits'}")]
    return ["--catalog", str(folder / "c.csv"), *images, "--size", "64arcsec", "--npix", "96"]


def metrics_in(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.slow
def test_every_source_has_the_metrics_of_its_table(survey, tmp_path):
    truth = survey / "truth.csv"
    assert run(survey / "scores.csv", truth, "--out", tmp_path / "table").exit_code == 0
    expected = metrics_in(tmp_path / "table")
    shards = sorted((survey / "cutouts").glob("*.npz"))
    for name, arguments in {
        "images": [truth, *images_of(survey)],
        "features": [survey / "features.parquet", truth],
        "folder": [survey / "cutouts", truth, "--catalog", survey / "c.csv"],
        "files": [*shards, truth, "--catalog", survey / "c.csv"],
    }.items():
        result = run(*arguments, "--out", tmp_path / name, "--jobs", 1)
        assert result.exit_code == 0, result.stderr
        found = metrics_in(tmp_path / name)
        assert found["metrics"] == expected["metrics"], name
        assert found["strata"] == expected["strata"], name
        assert found["model"] == "default"
    assert metrics_in(tmp_path / "images")["scores"][0] == {"path": str(survey / "t_g.fits"), "band": "g"}


@pytest.mark.slow
def test_an_interrupted_evaluation_is_resumed(survey, tmp_path, monkeypatch):
    out = tmp_path / "report"
    command = [survey / "truth.csv", *images_of(survey), "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr("gridlens.reports.write_evaluation", stop)
        result = run(*command)
    assert result.exit_code == 1
    assert f"The finished parts are kept in {out}.parts; resume the command with --resume" in result.stderr
    result = run(*command)
    assert result.exit_code == 1
    assert "Resume it with --resume" in result.stderr
    # The cutouts are not scored again; only the worst errors are cut out for their pictures.
    with monkeypatch.context() as patch:
        patch.setattr("gridlens.engine._score.ScoreWork.table", stop)
        result = run(*command, "--resume")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [".report.run.json", "report"]
    page = (out / "index.html").read_text()
    assert page.count("<img") > 0
    done = run(*command, "--resume")
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"{out} is complete, there is nothing left to do" in done.stderr
    other = run(*command, "--resume", "--prevalence", 0.1)
    assert other.exit_code == 1
    assert "belongs to another run, with other values of prevalence. " in other.stderr
    taken = run(*command)
    assert taken.exit_code == 1
    assert "replace it with --overwrite" in taken.stderr
    (out / "index.html").write_text("")
    assert run(*command, "--overwrite").exit_code == 0
    assert (out / "index.html").stat().st_size == len(page.encode())


def test_the_parts_folder_of_the_other_scores_is_reported(survey, tmp_path, monkeypatch):
    out = tmp_path / "report"
    monkeypatch.setattr("gridlens.reports.write_evaluation", stop)
    result = run(survey / "scores.csv", survey / "truth.csv", "--against", survey / "features.parquet", "--out", out)
    assert result.exit_code == 1
    assert f"kept in {out}.against.parts; resume the command with --resume" in result.stderr


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_resuming_checks_the_inputs_of_the_report(written, tables, tmp_path):
    out = tmp_path / "report"
    command = [*written(), "--out", out]
    assert run(*command).exit_code == 0
    assert "nothing left to do" in run(*command, "--resume").stderr
    written(tables[0].iloc[1:])
    assert "with other values of scores." in run(*command, "--resume").stderr
    assert run(*command, "--overwrite").exit_code == 0
    assert metrics_in(out)["rows"] == 679


def test_a_folder_with_other_files_is_left_alone(written, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").touch()
    for option in ("--overwrite", "--resume"):
        result = run(*written(), "--out", tmp_path / "own", option)
        assert result.exit_code == 1
        assert "contains files other than a page, such as notes.txt" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--survey", "hsc"], 1, "Got --survey with them. Remove the options"),
        (["--catalog", "c.csv", "--image", "g=g.fits"], 2, "or survey images with --image"),
        (["--resume", "--overwrite"], 1, "--resume and --overwrite are mutually exclusive"),
    ],
)
def test_options_that_do_not_apply_to_tables_are_refused(written, tmp_path, arguments, status, words):
    result = run(*written(), "--out", tmp_path / "report", *arguments)
    assert result.exit_code == status
    assert words in result.stderr


def test_a_truth_table_without_scores_is_refused(written, tmp_path):
    result = run(written()[1], "--out", tmp_path / "report")
    assert result.exit_code == 2
    assert "Name SCORES or PATHS before TRUTH, or survey images with --image." in result.stderr
