"""Tests of reading grades from tables and writing them to tables."""

import pandas as pd
import pytest

from gridlens._tables import read_table, write_table
from gridlens.errors import GridlensError
from gridlens.grading import GradeBook

GRADES = pd.DataFrame(
    {
        "object_id": ["a", "b", "c", "d"],
        "grade": ["A", "x", "", "U"],
        "subclass": ["", "Ring", "", ""],
        "confidence": [0.5, None, None, 1.0],
        "note": ["", "blue", "", ""],
    }
)


@pytest.fixture
def book(tmp_path):
    with GradeBook.open(tmp_path / "grades.sqlite") as opened:
        yield opened


def write(tmp_path, text, name="table.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def current(book):
    return book.current().set_index("object_id")["grade"].to_dict()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".fits", ".votable"])
def test_a_table_of_any_format_is_imported_once(book, tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    write_table(GRADES, path)
    assert book.import_grades(path, grader="alice") == (3, 0, 1)
    assert book.import_grades(path, grader="alice") == (0, 3, 1)
    found = book.current()
    assert found["grade"].tolist() == ["A", "X", "U"]
    assert found["subclass"].tolist() == ["", "ring galaxy", ""]
    assert found["confidence"].fillna(-1).tolist() == [0.5, -1, 1.0]
    # The same rows in another format count as the same grades.
    write_table(GRADES, tmp_path / "again.csv")
    assert book.import_grades(tmp_path / "again.csv", grader="alice") == (0, 3, 1)
    assert book.import_grades(path, grader="bob") == (3, 0, 1)


def test_a_longer_table_adds_only_new_rows(book, tmp_path):
    book.import_grades(write(tmp_path, "id,grade\na,A\nb,\n"), grader="alice")
    changed = write(tmp_path, "id,grade\na,A\nb,C\n")
    assert book.import_grades(changed, grader="alice") == (1, 1, 0)
    changed = write(tmp_path, "id,grade\na,X\nb,C\n")
    assert book.import_grades(changed, grader="alice") == (1, 1, 0)
    assert current(book) == {"a": "X", "b": "C"}
    earlier = write(tmp_path, "id,grade\na,A\nb,C\n")
    with pytest.warns(UserWarning, match=r"1 grades of the table .* were replaced or withdrawn since"):
        assert book.import_grades(earlier, grader="alice") == (0, 2, 0)
    assert current(book) == {"a": "X", "b": "C"}
    later = write(tmp_path, "id,grade,t_graded\na,A,2099-01-01\n")
    assert book.import_grades(later, grader="alice") == (1, 0, 0)
    assert current(book) == {"a": "A", "b": "C"}


def test_a_repeated_row_is_a_separate_row(book, tmp_path):
    path = write(tmp_path, "id,grade\na,A\na,X\na,A\n")
    assert book.import_grades(path, grader="alice").added == 3
    assert current(book) == {"a": "A"}


def test_unknown_grades_write_nothing(book, tmp_path):
    path = write(tmp_path, "id,grade\na,A\nb,maybe\nc,maybe\nd,?\n")
    with pytest.raises(
        GridlensError, match=r"3 rows of .* unknown grades: 'maybe', '\?'. Nothing was imported"
    ) as caught:
        book.import_grades(path, grader="alice")
    assert 'translate={"maybe": GRADE}' in str(caught.value)
    assert len(book.history()) == len(book.objects()) == len(book.graders()) == 0
    assert book.import_grades(path, grader="alice", translate={"maybe": "C", "?": ""}) == (3, 0, 1)
    assert current(book) == {"a": "A", "b": "C", "c": "C"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,grade,grader\na,A,\nb,B,bob\n", "1 rows of the table .* do not say who graded. Name .* grader=NAME"),
        ("name,mark\na,A\n", "must have the columns object_id .or id. and grade"),
        ("id,grade,grader,confidence\na,A,bob,high\n", "'confidence' column must be a number from 0 to 1. Got 'high'"),
        ("id,grade,grader,t_graded\na,A,bob,noon\n", "'t_graded' column must be a time in ISO 8601. Got 'noon'"),
        ("id,grade,grader,queue_id\na,A,bob,q\n", "The queue q is not in the grade book"),
        ("id,grade,grader\n,A,bob\n", "'object_id' column must be an id. Got a blank"),
        ("id,grade,grader,grade_id\na,A,bob,17\n", "'grade_id' column must be a UUID"),
    ],
)
def test_tables_that_cannot_be_imported(book, tmp_path, text, said):
    with pytest.raises(GridlensError, match=said):
        book.import_grades(write(tmp_path, text))
    assert len(book.history()) == 0
    assert len(book.objects()) == 0


def test_the_csv_of_a_queue_is_imported_with_its_items(book, tmp_path):
    items = pd.DataFrame({"position": [0, 1], "object_id": ["a", "b"], "kind": ["top", "gold"]})
    queue_id = book.add_queue(items, strategy="top", params={}, seed=0, model_id=None, n_pool=2, pool_sha256="0")
    sheet = book.queue_items(queue_id).assign(grade=["B", ""], note="")
    sheet.to_csv(tmp_path / "queue.csv", index=False)
    assert book.import_grades(tmp_path / "queue.csv", grader="alice") == (1, 0, 1)
    row = book.current().iloc[0]
    assert row[["queue_id", "position", "kind"]].tolist() == [queue_id, 0, "top"]
    sheet.assign(object_id=["b", "a"], grade="A").to_csv(tmp_path / "queue.csv", index=False)
    with pytest.raises(GridlensError, match=f"The item 0 of the queue {queue_id} is a, not b"):
        book.import_grades(tmp_path / "queue.csv", grader="alice")


QT_SINGLE = """,file_name,classification,subclassification,ra,dec,comment,image_dim,time
0,dir/c1.fits,A,Empty,7.5,36.2,Empty,66,3.2
1,c2.fits,X,Merger,,,two cores,66,1.0
2,c3.fits.gz,X,Comet,,,Empty,66,1.0
3,c4.fits,Empty,Empty,,,Empty,,0
4,c5.png,I,Empty,,,Empty,66,2.0
5,c6.fits,B,Spiral,,,Empty,66,2.0
"""
QT_OLD = """file_name,classification,subclassification,comment
c1_r.fits,NL,NL,NL
c2.fits,FL,FL,FL
c3.fits,None,None,None
"""
QT_MOSAIC = """file_name,classification,grid_pos,page,time
c1.fits,1.0,0,0,5.5
c2.fits,0.0,1,0,5.5
c3.fits,2.0,2,0,5.5
c4.fits,0.0,0,1,0.0
"""


def test_files_of_qt_stamp_visualizer(book, tmp_path):
    assert book.import_grades(write(tmp_path, QT_SINGLE), grader="alice") == (5, 0, 1)
    found = book.current().set_index("object_id")
    assert found["grade"].to_dict() == {"c1": "A", "c2": "X", "c3": "X", "c5": "U", "c6": "B"}
    assert found["subclass"].to_dict() == {"c1": "", "c2": "merger", "c3": "other", "c5": "", "c6": ""}
    assert found["note"].tolist() == ["", "two cores", "subclass: Comet", "", "subclass: Spiral"]
    assert set(found["view"]) == {"Qt-stamp-visualizer"}
    assert book.import_grades(write(tmp_path, QT_OLD), grader="bob") == (2, 0, 1)
    found = book.current().query("grader == 'bob'").set_index("object_id")
    assert found["grade"].to_dict() == {"c1_r": "X", "c2": "C"}
    assert found["note"].tolist() == found["subclass"].tolist() == ["", ""]


def test_a_mosaic_must_state_which_objects_were_shown(book, tmp_path):
    assert book.import_grades(write(tmp_path, QT_MOSAIC), grader="alice") == (3, 0, 1)
    assert current(book) == {"c1": "C", "c2": "X", "c3": "U"}
    lacking = pd.read_csv(tmp_path / "table.csv").drop(columns="time")
    lacking.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(GridlensError, match=r"does not say which objects were shown"):
        book.import_grades(tmp_path / "table.csv", grader="alice")
    path = write(tmp_path, QT_MOSAIC)
    assert book.import_grades(path, grader="bob", translate={"1": "B", "0": "", "2": "X"}) == (2, 0, 2)


def test_files_of_astrorank(book, tmp_path):
    ranks = write(tmp_path, "qso_run1_100.27_-67.36.jpg\t3\nb.jpg\t0\nc.jpg\t2\n", "rankings.txt")
    assert book.import_grades(ranks, grader="alice") == (3, 0, 0)
    assert current(book) == {"qso_run1_100.27_-67.36": "A", "b": "X", "c": "B"}
    comments = write(tmp_path, 'b.jpg\t1\ta "quoted" comment\nc.jpg\t1\t\n', "rankings_comments.txt")
    assert book.import_grades(comments, grader="bob") == (2, 0, 0)
    assert book.current()["note"].tolist()[-2:] == ['a "quoted" comment', ""]
    with pytest.raises(GridlensError, match=r"'7'"):
        book.import_grades(write(tmp_path, "b.jpg\t7\n", "rankings.txt"), grader="bob")
    with pytest.raises(GridlensError, match=r"must hold a file name, a tab and a rank"):
        book.import_grades(write(tmp_path, "id,grade\n", "rankings.txt"), grader="bob")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".fits", ".votable"])
@pytest.mark.filterwarnings("ignore:Text in a FITS table")
def test_an_export_is_recognised_on_import(book, tmp_path, suffix):
    book.add("Abell-é", "Zoë", "X", subclass="spiral", confidence=0.25, note="=1\n\x1bλ")
    book.add("b", "bob", "U", blind=False)
    out = tmp_path / f"out{suffix}"
    assert book.export(out) == 2
    table = read_table(out)
    assert list(table) == list(book.current())
    assert table["grade"].tolist() == ["X", "U"]
    assert table["blind"].astype(bool).tolist() == [True, False]
    assert book.import_grades(out) == (0, 2, 0)
    with GradeBook.open(tmp_path / "other.sqlite") as other:
        assert other.import_grades(out) == (2, 0, 0)
        pd.testing.assert_frame_equal(other.current(), book.current())


def test_an_edited_export_is_refused(book, tmp_path):
    book.add("a", "alice", "A")
    book.export(tmp_path / "out.csv")
    table = read_table(tmp_path / "out.csv")
    table.assign(grade="X").to_csv(tmp_path / "out.csv", index=False)
    with pytest.raises(GridlensError, match=r"has X for a as the grade .*, which is A for a in the book. Blank"):
        book.import_grades(tmp_path / "out.csv")
    table.assign(grade="X", grade_id="", t_graded="").to_csv(tmp_path / "out.csv", index=False)
    assert book.import_grades(tmp_path / "out.csv").added == 1
    assert current(book) == {"a": "X"}


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".fits", ".votable"])
def test_a_book_without_grades_is_exported(book, tmp_path, suffix):
    assert book.export(tmp_path / f"out{suffix}") == 0
    assert (tmp_path / f"out{suffix}").is_file()


def test_labels_match_the_consensus(book, tmp_path):
    for grader in ("alice", "bob", "cleo"):
        for k in range(12):
            book.add(f"lens{k}", grader, "A")
            book.add(f"spiral{k}", grader, "X")
    book.add("between", "alice", "A")
    book.add("between", "bob", "X")
    book.add("unsure", "bob", "U")
    book.add("arcs", "bob", "A")
    book.add_gold(pd.DataFrame({"object_id": ["arcs", "lens0"], "truth": 1, "kind": ["injected", "known_lens"]}))
    book.add_objects(pd.DataFrame({"object_id": ["lens0", "lens1"], "cluster_id": "c"}))
    assert book.export(tmp_path / "labels.csv", labels=True) == 26
    table = read_table(tmp_path / "labels.csv").set_index("id")
    assert list(table) == ["label", "cluster", "q_grades"]
    assert table.loc["lens3", "label"] == 1.0
    assert table.loc["spiral3", "label"] == 0.0
    assert pd.isna(table.loc[["between", "unsure"], "label"]).all()
    assert table.loc[["lens0", "lens2"], "cluster"].tolist() == ["c", ""]
    assert "arcs" not in table.index


def test_an_invalid_output_format_is_refused(book, tmp_path):
    with pytest.raises(GridlensError, match=r"The output must end in .csv"):
        book.export(tmp_path / "out.txt")
