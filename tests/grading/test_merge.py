"""Tests of merging grade books of several people or machines."""

import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlens.errors import GridlensError
from gridlens.grading import GradeBook


@pytest.fixture
def books(tmp_path):
    """Return two books that were copied from the same book."""
    first, second = tmp_path / "first.sqlite", tmp_path / "second.sqlite"
    with GradeBook.open(first) as book:
        book.add("a", "alice", "A")
        book.add("b", "alice", "B")
    shutil.copy(first, second)
    return first, second


def rows(path):
    with GradeBook.open(path, read_only=True) as book:
        return book.current(other_pixels=True)[["object_id", "grader", "grade"]].to_numpy().tolist()


def merge(path, other, **options):
    with GradeBook.open(path) as book:
        return book.merge(other, **options)


def test_merging_is_idempotent(books):
    first, second = books
    with GradeBook.open(second) as book:
        book.add("c", "bob", "C", marks=[1])
        book.undo("alice")
    counts = merge(first, second)
    assert counts == {"graders": 1, "models": 0, "objects": 1, "gold": 0, "queues": 0, "grades": 2}
    assert set(merge(first, second).values()) == {0}
    assert sorted(rows(first)) == [["a", "alice", "A"], ["c", "bob", "C"]]
    merge(second, first)
    assert sorted(rows(second)) == sorted(rows(first))


def test_one_name_for_two_graders_is_refused(tmp_path):
    first, second = tmp_path / "first.sqlite", tmp_path / "second.sqlite"
    for path, grade in ((first, "A"), (second, "X")):
        with GradeBook.open(path) as book:
            book.add("a", "alice", grade)
    said = 'Both grade books have a grader alice.*rename={"alice": "alice-2"}.*rename={"alice": "alice"}'
    with pytest.raises(GridlensError, match=said):
        merge(first, second)
    assert rows(first) == [["a", "alice", "A"]]
    with pytest.raises(GridlensError, match=r"has no grader alise"):
        merge(first, second, rename={"alise": "alice-2"})
    one_person = tmp_path / "one.sqlite"
    shutil.copy(first, one_person)
    merge(first, second, rename={"alice": "alice-2"})
    assert rows(first) == [["a", "alice", "A"], ["a", "alice-2", "X"]]
    # The grader is recognized by her id from then on.
    assert set(merge(first, second).values()) == {0}
    merge(one_person, second, rename={"alice": "alice"})
    assert rows(one_person) == [["a", "alice", "X"]]


def test_the_latest_of_two_grades_of_a_grader_is_kept(books):
    first, second = books
    for path, grade in ((first, "C"), (second, "X")):
        with GradeBook.open(path) as book:
            book.add("a", "alice", grade)
            book.add("new", "alice", grade)
    merge(first, second)
    merge(second, first)
    assert sorted(rows(first)) == [["a", "alice", "X"], ["b", "alice", "B"], ["new", "alice", "X"]]
    assert sorted(rows(second)) == sorted(rows(first))
    with GradeBook.open(first) as one, GradeBook.open(second) as other:
        assert set(one.history()["grade_id"]) == set(other.history()["grade_id"])
    assert set(merge(first, second).values()) == {0}


def test_different_pixels_warn_and_no_grade_is_lost(tmp_path):
    first, second = tmp_path / "first.sqlite", tmp_path / "second.sqlite"
    for path, grader, sha256 in ((first, "alice", "p"), (second, "bob", "q")):
        with GradeBook.open(path) as book:
            book.add_objects(pd.DataFrame({"object_id": ["a", "b"], "pixels_sha256": [sha256, "same"]}))
            book.add("a", grader, "A")
            book.add("b", grader, "B")
    with pytest.warns(UserWarning, match=r"The pixels of 1 objects differ"):
        merge(first, second)
    assert len(rows(first)) == 4
    with GradeBook.open(first) as book, pytest.warns(UserWarning, match=r"1 grades belong to pixels"):
        assert len(book.current()) == 3


def test_queues_models_and_gold_are_merged(books):
    first, second = books
    items = pd.DataFrame({"position": [0], "object_id": ["q"], "kind": "top", "p": np.nan})
    queue = {"strategy": "top", "params": {}, "seed": 0, "n_pool": 1, "pool_sha256": "0"}
    with GradeBook.open(first) as book:
        model = book.add_model("m", sha256="aa")
        book.add_gold(pd.DataFrame({"object_id": ["g"], "truth": 1, "kind": "known_lens"}))
    with GradeBook.open(second) as book:
        other_model = book.add_model("m", sha256="aa")
        child = book.add_model("n", sha256="bb", parent_id=other_model)
        queue_id = book.add_queue(items, model_id=child, **queue)
        named = book.add_queue(items.assign(queue_id="named"), model_id=other_model, **queue)
        book.add("q", "alice", "A", queue_id=queue_id, position=0)
        book.add_gold(pd.DataFrame({"object_id": ["g", "h"], "truth": 0, "kind": "known_nonlens"}))
    with pytest.warns(UserWarning, match=r"1 gold objects have a different truth"):
        counts = merge(first, second)
    assert counts == {"graders": 0, "models": 1, "objects": 2, "gold": 1, "queues": 2, "grades": 1}
    with GradeBook.open(first) as book:
        assert book.queues().set_index("queue_id")["model_id"].to_dict() == {queue_id: child, named: model}
        assert book.models()["parent_id"].tolist() == ["", model]
        assert len(book.queue_items()) == 2
        assert book.gold()["truth"].tolist() == [1, 0]
        assert book.current()["queue_id"].tolist() == ["", "", queue_id]
    third = first.with_name("third.sqlite")
    with GradeBook.open(third) as book:
        book.add_queue(items.assign(queue_id="named"), model_id=None, **queue | {"pool_sha256": "1"})
    with pytest.raises(GridlensError, match=r"The queue named of .* differs from the queue"):
        merge(third, second)
    assert rows(third) == []


def test_books_that_cannot_be_merged(books, tmp_path):
    first, _ = books
    with pytest.raises(GridlensError, match=r"cannot be merged into itself"):
        merge(first, first)
    with pytest.raises(GridlensError, match=r"There is no grade book"):
        merge(first, tmp_path / "absent.sqlite")
    (tmp_path / "text.sqlite").write_text("no book\n" * 200)
    with pytest.raises(GridlensError, match=r"text.sqlite is damaged"):
        merge(first, tmp_path / "text.sqlite")
    cut = tmp_path / "cut.sqlite"
    with GradeBook.open(cut) as book:
        book.add_many(pd.DataFrame({"object_id": range(500), "grader": "zoe", "grade": "A", "note": "n" * 99}))
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    with pytest.raises(GridlensError, match=r"cut.sqlite is damaged"):
        merge(first, cut)
    assert rows(first) == [["a", "alice", "A"], ["b", "alice", "B"]]


STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["alice", "bob"]), st.sampled_from("xy"), st.sampled_from("ABX-")),
    max_size=8,
)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_two_merged_books_agree(tmp_path_factory, steps):
    """Merging in both directions gives the same current grades, at most one per grader and object."""
    folder = tmp_path_factory.mktemp("books")
    paths = [folder / "0.sqlite", folder / "1.sqlite"]
    with GradeBook.open(paths[0]) as book:
        book.add("x", "alice", "C")
        book.add("x", "bob", "C")
    shutil.copy(*paths)
    with GradeBook.open(paths[0]) as first, GradeBook.open(paths[1]) as second:
        for which, grader, name, grade in steps:
            book = (first, second)[which]
            if grade == "-":
                book.undo(grader)
            else:
                book.add(name, grader, grade)
        before = {*first.history()["grade_id"], *second.history()["grade_id"]}
        first.merge(paths[1])
        second.merge(paths[0])
        found = [book.current().sort_values("grade_id", ignore_index=True) for book in (first, second)]
        pd.testing.assert_frame_equal(*found)
        assert not found[0].duplicated(["object_id", "grader"]).any()
        assert before <= set(first.history()["grade_id"])
