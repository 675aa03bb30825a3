"""Tests of the grade book: the values that it keeps, and the values that it refuses."""

import sqlite3
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlens.errors import GridlensError
from gridlens.grading import GradeBook

COLUMNS = [
    *("grade_id", "object_id", "grader", "grade", "subclass", "confidence", "note", "view", "blind", "t_shown"),
    *("t_graded", "queue_id", "position", "kind"),
]
ITEMS = pd.DataFrame(
    {
        "position": [0, 1, 2],
        "object_id": ["a", "b", "a"],
        "kind": ["top", "random", "repeat"],
        "p": [0.9, 0.1, 0.9],
        "score": [0.9, 0.1, 0.9],
        "inclusion_probability": [1.0, 0.25, np.nan],
        "stratum": ["", "low", ""],
    }
)


@pytest.fixture
def book(tmp_path):
    with GradeBook.open(tmp_path / "grades.sqlite") as opened:
        yield opened


def add_queue(book, items=ITEMS, **changed):
    settings = {"strategy": "mix", "params": {"batch": 3}, "seed": 1, "model_id": None, "n_pool": 9, "pool_sha256": "f"}
    return book.add_queue(items, **(settings | changed))


def test_a_grade_is_returned_unchanged(book):
    grade_id = book.add(
        7.0,
        "alice",
        "X",
        subclass="merger",
        confidence=0.75,
        note=" fine\n=1",
        marks=[[1.5, 2]],
        view="mosaic",
        blind=False,
        t_shown="2026-03-01T10:00:00+02:00",
    )
    found = book.current()
    assert list(found) == COLUMNS
    assert isinstance(found.index, pd.RangeIndex)
    row = found.iloc[0]
    assert row["grade_id"] == grade_id
    assert row[["object_id", "grader", "grade", "subclass", "view"]].tolist() == ["7", "alice", "X", "merger", "mosaic"]
    assert row["note"] == " fine\n=1"
    assert row["t_shown"] == "2026-03-01T08:00:00.000Z"
    assert not row["blind"]
    assert found["blind"].dtype == bool
    assert row["confidence"] == 0.75
    assert pd.isna(row["position"])
    assert pd.Timestamp(row["t_graded"]).tzinfo is not None
    assert book.history()["marks_json"].tolist() == ["[[1.5, 2]]"]


def test_an_empty_book_has_empty_tables(book):
    for table in (book.current(), book.history(), book.objects(), book.gold(), book.queues(), book.queue_items()):
        assert len(table) == 0
        assert list(table)
    assert list(book.current()) == COLUMNS
    assert book.current().dtypes[["confidence", "blind"]].tolist() == [float, bool]
    assert book.undo("nobody") is None


def test_a_grade_supersedes_an_earlier_one_of_the_same_grader(book):
    first = book.add("a", "alice", "A")
    book.add("a", "bob", "B")
    book.add("a", "alice", "X")
    assert sorted(book.current()["grade"]) == ["B", "X"]
    history = book.history()
    assert history["grade"].tolist() == ["A", "B", "X"]
    assert history["supersedes"].tolist() == ["", "", first]


def test_undo_withdraws_the_grade_that_is_named(book):
    first, second = book.add("a", "ada", "A"), book.add("b", "ada", "B")
    assert book.undo("bob", first) is None
    assert book.undo("ada", first) == first
    assert book.undo("ada", first) is None
    assert book.current()["grade_id"].tolist() == [second]


def test_a_token_belongs_to_one_grader(book):
    book.set_token("ada", "1" * 64)
    book.set_token("bob", "2" * 64)
    assert book.grader_of("1" * 64) == "ada" and book.grader_of("3" * 64) is None
    book.set_token("ada", "3" * 64)
    assert book.grader_of("1" * 64) is None and book.grader_of("3" * 64) == "ada"


def test_undo_withdraws_one_grade_after_the_other(book):
    ids = [book.add(name, "alice", "A") for name in "abc"]
    book.add("z", "bob", "C")
    assert book.undo("alice") == ids[2]
    assert book.undo("alice") == ids[1]
    assert book.current()["object_id"].tolist() == ["a", "z"]
    assert len(book.history()) == 6
    book.add("b", "alice", "B")
    assert book.current()["object_id"].tolist() == ["a", "z", "b"]


def test_a_withdrawn_grade_does_not_restore_an_earlier_one(book):
    book.add("a", "alice", "A")
    book.add("a", "alice", "X")
    book.undo("alice")
    assert len(book.current()) == 0
    assert book.undo("alice") is None


@pytest.mark.parametrize("statement", ["UPDATE grades SET grade = 'A'", "DELETE FROM grades"])
def test_rows_of_grades_are_never_changed(book, statement):
    book.add("a", "alice", "X")
    with sqlite3.connect(book.path) as other, pytest.raises(sqlite3.IntegrityError, match=r"append-only"):
        other.execute(statement)
    other.close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"grade": "D"}, r"The 'grade' parameter must be one of A, B, C, X, U. Got 'D' instead."),
        ({"grade": None}, "Got a blank instead"),
        ({"object_id": " "}, "The 'object_id' parameter must be an id"),
        ({"grader": ""}, "The 'grader' parameter must be the name"),
        ({"subclass": "comet"}, "The 'subclass' parameter must be one of spiral"),
        ({"subclass": "spiral", "grade": "A"}, "unless the grade is X"),
        ({"confidence": 1.5}, "a number from 0 to 1. Got 1.5"),
        ({"confidence": "high"}, "a number from 0 to 1"),
        ({"position": -1}, "a whole number from 0"),
        ({"kind": "best"}, "one of top, committee"),
        ({"t_shown": "yesterday"}, "a time in ISO 8601"),
        ({"marks": float("inf")}, "must be JSON"),
    ],
)
def test_values_that_are_not_allowed(book, changed, said):
    with pytest.raises(ValueError, match=said):
        book.add(**({"object_id": "a", "grader": "alice", "grade": "X"} | changed))
    assert len(book.history()) == 0
    assert len(book.objects()) == 0


def test_a_table_is_added_completely_or_not_at_all(book):
    table = pd.DataFrame({"object_id": ["a", "b"], "grader": "alice", "grade": ["A", "Q"]})
    with pytest.raises(GridlensError, match=r"The 'grade' column must be .* Got 'Q' instead"):
        book.add_many(table)
    with pytest.raises(GridlensError, match=r"grader is missing"):
        book.add_many(table[["object_id", "grade"]])
    assert len(book.history()) == 0
    assert book.add_many(table.assign(grade="B")) == 2
    assert book.add_many(table[:0]) == 0


def test_an_older_grade_that_arrives_later_is_not_current(book):
    table = pd.DataFrame({"object_id": "a", "grader": "alice", "grade": ["A", "B", "C"]})
    book.add_many(table.assign(t_graded=["2026-01-02", "2026-01-03", "2026-01-01"]))
    assert book.current()["grade"].tolist() == ["B"]
    assert book.add_many(table[:1].assign(t_graded="2020-01-01")) == 1
    assert book.current()["grade"].tolist() == ["B"]
    book.add("a", "alice", "X")
    assert book.current()["grade"].tolist() == ["X"]


def test_a_repeat_is_a_separate_row(book):
    queue_id = add_queue(book)
    book.add("a", "alice", "A", queue_id=queue_id, position=0)
    book.add("a", "alice", "B", queue_id=queue_id, position=2)
    assert book.current()[["grade", "kind"]].to_numpy().tolist() == [["A", "top"], ["B", "repeat"]]
    book.add("a", "alice", "C", queue_id=queue_id, position=2)
    book.add("a", "alice", "X", queue_id=queue_id, position=0)
    assert book.current()[["grade", "kind"]].to_numpy().tolist() == [["C", "repeat"], ["X", "top"]]


def test_queues_are_stored_and_checked(book):
    queue_id = add_queue(book)
    other = add_queue(book, ITEMS.assign(queue_id="second"), strategy="top", seed=None)
    assert other == "second"
    found = book.queue_items(queue_id)
    pd.testing.assert_frame_equal(found.drop(columns="queue_id"), ITEMS, check_dtype=False)
    assert len(book.queue_items()) == 6
    queues = book.queues()
    assert queues["queue_id"].tolist() == [queue_id, "second"]
    assert queues["strategy"].tolist() == ["mix", "top"]
    assert queues["params_json"].tolist() == ['{"batch": 3}'] * 2
    with pytest.raises(GridlensError, match=r"in the book already"):
        add_queue(book, ITEMS.assign(queue_id="second"))
    with pytest.raises(GridlensError, match=r"queue nowhere is not in the grade book"):
        book.add("a", "alice", "A", queue_id="nowhere", position=0)
    with pytest.raises(GridlensError, match=f"The item 1 of the queue {queue_id} is b, not a"):
        book.add("a", "alice", "A", queue_id=queue_id, position=1)
    with pytest.raises(ValueError, match=r"'strategy' parameter must be one of mix"):
        add_queue(book, strategy="best")
    with pytest.raises(GridlensError, match=r"The model m is not in the book"):
        add_queue(book, model_id="m")
    with pytest.raises(GridlensError, match=r"inclusion_probability.*above 0 and at most 1"):
        add_queue(book, ITEMS.assign(inclusion_probability=0.0))
    with pytest.raises(GridlensError, match=r"a position twice"):
        add_queue(book, ITEMS.assign(position=0))
    assert len(book.queues()) == 2


def test_models_and_gold_are_stored(book):
    first = book.add_model("default", sha256="aa", metrics={"auroc": np.float64(0.9)})
    assert book.add_model("moved", sha256="aa") == first
    book.add_model("new", sha256="bb", parent_id=first, trained_at="2026-01-01", recipe={"n": 3})
    models = book.models()
    assert models["parent_id"].tolist() == ["", first]
    assert models["metrics_json"].tolist() == ['{"auroc": 0.9}', "{}"]
    assert models["trained_at"].tolist() == ["", "2026-01-01T00:00:00.000Z"]
    gold = pd.DataFrame({"object_id": ["g", "h"], "truth": [1, 0], "kind": ["injected", "known_nonlens"]})
    book.add_gold(gold.assign(params_json=[{"snr": 4.0}, None]))
    pd.testing.assert_frame_equal(book.gold(), gold.assign(params_json=['{"snr": 4.0}', "{}"]))
    # A table without parameters keeps the parameters in the book.
    book.add_gold(gold)
    book.add_gold(book.gold())
    assert book.gold()["params_json"].tolist() == ['{"snr": 4.0}', "{}"]
    with pytest.warns(UserWarning, match=r"The truth of 1 gold objects was replaced"):
        book.add_gold(gold[1:].assign(truth=1, kind="known_lens"))
    with pytest.raises(GridlensError, match=r"'truth' of the gold objects"):
        book.add_gold(gold.assign(truth=0.5))


def test_objects_are_completed_and_changed_pixels_reported(book):
    book.add("a", "alice", "A")
    book.add_objects(pd.DataFrame({"object_id": ["a", "b"], "ra": [10.0, np.nan], "pixels_sha256": ["p", None]}))
    book.add("a", "bob", "B")
    book.add_objects(pd.DataFrame({"object_id": ["a"], "dec": [-1.0], "cluster_id": "c"}))
    first = book.objects().iloc[0]
    assert first.tolist() == ["a", 10.0, -1.0, "", "p", "c"]
    with pytest.warns(UserWarning, match=r"The pixels of 1 objects changed. Their 2 grades"):
        book.add_objects(pd.DataFrame({"object_id": ["a"], "pixels_sha256": ["q"]}))
    # The first grade was given before the pixels were known, so it stays current.
    with pytest.warns(UserWarning, match=r"1 grades belong to pixels"):
        assert book.current()["grader"].tolist() == ["alice"]
    assert book.current(other_pixels=True)["grader"].tolist() == ["alice", "bob"]
    book.add("a", "bob", "X")
    with pytest.warns(UserWarning, match=r"1 grades"):
        assert book.current()["grade"].tolist() == ["A", "X"]
    book.add_objects(pd.DataFrame({"object_id": ["b"], "pixels_sha256": ["r"]}))
    with pytest.raises(GridlensError, match=r"name each object_id once"):
        book.add_objects(pd.DataFrame({"object_id": ["a", "a"]}))


def test_a_book_belongs_to_one_thread_but_several_threads_can_write(tmp_path):
    """Each thread opens its own connection to the book, as the pages of several graders do."""
    path = tmp_path / "grades.sqlite"
    GradeBook.open(path).close()
    failures = []

    def grade(grader):
        try:
            with GradeBook.open(path) as book:
                for k in range(25):
                    book.add(f"o{k}", grader, "ABCX"[k % 4])
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=grade, args=(name,)) for name in ("alice", "bob", "cleo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with GradeBook.open(path) as book:
        assert book.current()["grader"].value_counts().to_dict() == {"alice": 25, "bob": 25, "cleo": 25}


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from("ABCXU")),
        st.tuples(st.just("undo"), st.sampled_from("ab")),
    ),
    max_size=15,
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(ACTIONS)
def test_any_sequence_of_grades_and_undo_matches_a_list(tmp_path_factory, actions):
    expected = []
    with GradeBook.open(tmp_path_factory.mktemp("book") / "grades.sqlite") as book:
        for action, grader, *rest in actions:
            if action == "add":
                expected = [row for row in expected if row[:2] != (grader, rest[0])]
                expected.append((grader, *rest))
                book.add(rest[0], grader, rest[1])
            else:
                own = [row for row in expected if row[0] == grader]
                assert (book.undo(grader) is None) == (not own)
                if own:
                    expected.remove(own[-1])
        found = book.current()[["grader", "object_id", "grade"]].itertuples(index=False)
        assert [tuple(row) for row in found] == expected
        additions = [action for action in actions if action[0] == "add"]
        assert (book.history()["grade"] != "").sum() == len(additions)
