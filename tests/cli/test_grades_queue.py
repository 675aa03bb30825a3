"""Tests of `gridlens grades queue` and `gridlens grades agreement`."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gridlens.cli import main
from gridlens.cutouts import CutoutSet, write_npz
from gridlens.grading import GradeBook, consensus, inclusion_weights, lenses_left

N = 300


def run(*arguments):
    return CliRunner().invoke(main, ["grades", *map(str, arguments)])


def ask(folder, *options, scores="scores.csv", out="queue.csv"):
    return run("queue", folder / scores, "--grades", folder / "grades.sqlite", "--out", folder / out, *options)


def fill_in(path, grade="X", grader="ada"):
    """Grade all objects of a table, as a grader would, and return the table."""
    table = pd.read_csv(path, dtype={"object_id": str})
    table.assign(grade=grade, grader=grader).to_csv(path, index=False)
    return table


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"{k:04d}" for k in range(N)]
    table = pd.DataFrame({"id": ids, "ra": 10.0, "dec": 5.0, "path": "", "score": rng.random(N), "status": "ok"})
    table.assign(disagreement=rng.random(N)).to_csv(tmp_path / "scores.csv", index=False)
    gold = pd.DataFrame({"id": [f"g{k}" for k in range(20)], "label": [1, 0] * 10, "arc_snr": 12.0})
    gold.to_csv(tmp_path / "gold.csv", index=False)
    return tmp_path


def test_a_queue_graded_elsewhere_is_imported(folder):
    result = ask(folder, "--gold", folder / "gold.csv")
    assert result.exit_code == 0, result.output
    assert "0 of 3 objects to repeat" in result.stderr
    table = fill_in(folder / "queue.csv")
    assert set(table) == {
        "object_id", "path", "ra", "dec", "grade", "subclass", "confidence", "note", "queue_id", "position"
    }  # fmt: skip
    assert table["grade"].isna().all() and table["position"].tolist() == list(range(100))
    assert table.loc[~table["object_id"].str.startswith("g"), "ra"].eq(10.0).all()
    assert run("import", folder / "grades.sqlite", folder / "queue.csv").exit_code == 0
    with GradeBook.open(folder / "grades.sqlite", read_only=True) as book:
        grades, items = book.current(), book.queue_items()
        assert book.gold()["kind"].value_counts().to_dict() == {"known_lens": 10, "known_nonlens": 10}
    assert sorted(grades["kind"].unique()) == ["committee", "gold", "random", "top"]
    weights = inclusion_weights(items, grades)
    assert weights.sum() == pytest.approx(N)
    q = consensus(grades).objects.set_index("object_id")["q_grades"]
    assert 0.0 <= lenses_left(items, grades, q).value < lenses_left(items, grades, q).high < N


def test_the_next_queue_contains_other_objects(folder):
    ask(folder)
    first = fill_in(folder / "queue.csv")
    run("import", folder / "grades.sqlite", folder / "queue.csv")
    result = ask(folder, out="second.csv")
    assert result.exit_code == 0, result.output
    second = pd.read_csv(folder / "second.csv", dtype={"object_id": str})
    assert len(set(second["object_id"]) & set(first["object_id"])) == 3  # repeated objects
    result = ask(folder, out="third.csv")
    assert "97 objects of earlier queues have no grade" in result.stderr


def test_queues_are_reproducible_with_a_seed(folder):
    ask(folder, "--random-state", 4)
    again = run(
        "queue", folder / "scores.csv", "--grades", folder / "b.sqlite", "--out", folder / "b.csv", "--random-state", 4
    )
    assert again.exit_code == 0
    one, other = (pd.read_csv(folder / name)["object_id"].tolist() for name in ("queue.csv", "b.csv"))
    assert one == other


def test_another_pool_is_refused(folder):
    ask(folder)
    pd.read_csv(folder / "scores.csv", dtype={"id": str})[:-1].to_csv(folder / "fewer.csv", index=False)
    result = ask(folder, scores="fewer.csv", out="second.csv")
    assert result.exit_code == 1
    assert "differ from those from which 1 queues" in result.stderr and "start another grade book" in result.stderr
    assert not (folder / "second.csv").exists()
    with GradeBook.open(folder / "grades.sqlite", read_only=True) as book:
        assert len(book.queues()) == 1


def test_grades_in_a_table_are_not_overwritten(folder):
    ask(folder)
    result = ask(folder)
    assert result.exit_code == 1 and "may contain grades" in result.stderr
    pd.DataFrame({"a": [1]}).to_csv(folder / "gold.csv")
    result = ask(folder, "--gold", folder / "gold.csv", out="second.csv")
    assert result.exit_code == 1 and "must have the columns id, and truth or label" in result.stderr


def test_nothing_left_to_grade(folder):
    ask(folder, "--batch", N)
    fill_in(folder / "queue.csv")
    run("import", folder / "grades.sqlite", folder / "queue.csv")
    with GradeBook.open(folder / "grades.sqlite") as book:
        book.add_gold(pd.DataFrame({"object_id": book.objects()["object_id"], "truth": 0, "kind": "known_nonlens"}))
    result = ask(folder, out="second.csv")
    assert result.exit_code == 0, result.output  # only gold objects are left
    assert set(pd.read_csv(folder / "second.csv")["position"]) == set(range(4))


@pytest.mark.slow
def test_sheets_are_named_by_position_and_blind(folder):
    pytest.importorskip("matplotlib")
    pixels = np.random.default_rng(0).normal(size=(3, 101, 101, 3)).astype(np.float32)
    write_npz(folder / "three.npz", CutoutSet(pixels, ids=["a/b", "b", "c"], pixel_scale=1.0))
    table = pd.DataFrame(
        {"id": ["a/b", "b", "c", "d"], "path": str(folder / "three.npz"), "score": [0.1, 0.2, 0.3, 0.4]}
    )
    table.to_csv(folder / "scores.csv", index=False)
    result = ask(folder, "--batch", 4, "--sheets", folder / "sheets")
    assert result.exit_code == 0, result.output
    assert "1 objects have no picture" in result.stderr
    place = pd.read_csv(folder / "queue.csv").set_index("object_id")["position"]
    found = sorted(path.name for path in (folder / "sheets").iterdir())
    assert len(found) == 3
    with GradeBook.open(folder / "grades.sqlite") as book:
        hashes = book.objects().set_index("object_id")["pixels_sha256"]
        assert hashes[["a/b", "b", "c"]].str.len().eq(64).all() and not hashes["d"]
    assert f"{place['b']}-b.png" in found and any(name.startswith(f"{place['a/b']}-a_b") for name in found)


@pytest.mark.slow
def test_changed_pixels_of_an_object_are_reported(folder):
    pytest.importorskip("matplotlib")
    pixels = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    path = folder / "two.npz"
    pd.DataFrame({"id": ["a", "b"], "path": str(path), "score": [0.1, 0.2]}).to_csv(folder / "scores.csv", index=False)
    results = []
    for k in range(2):
        write_npz(path, CutoutSet(pixels + k, ids=["a", "b"], pixel_scale=1.0))
        results.append(ask(folder, "--sheets", folder / "sheets", out=f"{k}.csv"))
        with GradeBook.open(folder / "grades.sqlite") as book:
            if k == 0:
                book.add("a", "ada", "A")
    sentence = "The pixels of 2 objects changed. Their 1 grades belong to the pixels before"
    assert [sentence in result.stderr for result in results] == [False, True]


def test_agreement_is_printed_and_written(folder):
    ask(folder, "--gold", folder / "gold.csv", "--batch", 100)
    grades = np.resize(["A", "X", "X", "C", "X"], 100)
    for grader in ("ada", "ben"):
        fill_in(folder / "queue.csv", grades, grader)
        run("import", folder / "grades.sqlite", folder / "queue.csv")
    result = run("agreement", folder / "grades.sqlite", "--out", folder / "agreement.json")
    assert result.exit_code == 0, result.output
    assert "kappa of all graders: 1.000" in result.stdout
    assert "not resolvable with 0 repeats" in result.stdout
    written = json.loads((folder / "agreement.json").read_text())
    assert written["kappa"]["value"] == 1.0
    assert written["pairs"][0]["n_objects"] == 100
    assert written["completeness"][-1]["snr_high"] is None
    stated = run("agreement", folder / "grades.sqlite", "--snr", folder / "gold.csv")
    assert stated.stdout == result.stdout
    assert sum(row["n_objects"] for row in written["completeness"]) == sum(
        row["A"] + row["X"] + row["C"] for row in written["gold"] if row["truth"] == 1 and row["grader"] == "ada"
    )
    with GradeBook.open(folder / "empty.sqlite"):
        pass
    assert "not resolvable with 0 shared objects" in run("agreement", folder / "empty.sqlite").stdout
