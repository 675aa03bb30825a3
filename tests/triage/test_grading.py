"""Tests of queues, images and grades through the page's server."""

import json
import uuid

import numpy as np
import pytest
from triage_page import N, opened, pixels_of

from gridlens.cutouts import CutoutSet, write_npz
from gridlens.grading import GradeBook


def test_a_session_describes_the_grader_and_the_grades(page):
    said = page.get("/api/session").json()
    assert said["grader"] == "ada" and said["blind"] and said["n_pool"] == N
    assert list(said["grades"]) == list("ABCXU") and len(said["subclasses"]) == 8
    assert said["keys"]["grade_a"] == ["Digit1", "Numpad1", "KeyA"]
    assert [line["grade"] for line in said["criteria"]] == list("ABCXU")


def test_a_queue_is_blind_until_its_last_grade(page):
    assert page.get("/api/queue").json() is None
    queue = page.post_json("/api/queue", batch=5).json()
    assert [item["position"] for item in queue["items"]] == list(range(5))
    assert set(queue["items"][0]) == {
        "position", "object_id", "grade", "subclass", "confidence", "note", "grade_id"
    }  # fmt: skip
    assert page.post_json("/api/queue", batch=7).json()["queue_id"] == queue["queue_id"]
    for item in queue["items"]:
        answer = page.post_json(
            "/api/grade",
            object_id=item["object_id"],
            grade="X",
            subclass="spiral",
            confidence=2,
            queue_id=queue["queue_id"],
            position=item["position"],
            t_shown="2026-01-01T00:00:00Z",
        )
        assert answer.status_code == 200, answer.text
        found = page.get("/api/queue").json()
        if found is not None:
            own = found["items"][item["position"]]
            assert (own["grade"], own["subclass"], own["confidence"]) == ("X", "spiral", 2)
            assert own["grade_id"] == answer.json()["grade_id"]
    assert page.get("/api/queue").json() is None
    following = page.post_json("/api/queue", batch=5).json()
    assert following["queue_id"] != queue["queue_id"]
    assert page.post_json("/api/queue", batch=0).status_code == 422
    assert page.post_json("/api/queue", strategy="best").status_code == 422


def test_an_image_has_the_pixels_to_a_fraction_of_the_noise(page):
    pixels = pixels_of(N)
    header, values = page.image("c003")
    assert header["views"] == ["raw", "subtracted", "blue"] and values.shape == (3, 3, 48, 48)
    low, high = np.array(header["low"]), np.array(header["high"])
    flux = low[0][:, None, None] + values[0] * ((high - low)[0] / 65534)[:, None, None]
    assert np.abs(flux - np.moveaxis(pixels[3], 2, 0)).max() < 0.01
    # In the second view, the light of the BCG is subtracted.
    left = low[1][1] + values[1, 1] * (high - low)[1][1] / 65534
    assert flux[1].max() > 100.0 and np.abs(left).max() < 25.0 and abs(np.median(left)) < 0.5
    header, values = page.image("c003", views="raw", size=24)
    assert values.shape == (1, 3, 24, 24) and header["n_bytes"] == values.nbytes


def test_an_image_is_sent_once(page):
    first = page.get("/api/image/c001?views=raw")
    assert page.get("/api/image/c001?views=raw", headers={"if-none-match": first.headers["etag"]}).status_code == 304
    assert page.get("/api/image/c001?views=blue").headers["etag"] != first.headers["etag"]


def test_thumbnails_are_concatenated(page):
    content = page.get("/api/thumbnails?ids=c000,no%2Cbody,c002&size=24").content
    found = []
    while content:
        length = int.from_bytes(content[:4], "little")
        header = json.loads(content[4 : 4 + length])
        content = content[4 + length + header["n_bytes"] :]
        found.append((header["id"], header["n_bytes"]))
    assert found == [("c000", 3 * 24 * 24 * 2), ("no,body", 0), ("c002", 3 * 24 * 24 * 2)]


def test_a_repeated_grade_is_stored_once_and_undone_once(page):
    name, other = str(uuid.uuid4()), str(uuid.uuid4())
    for grade_id, object_id in ((name, "c000"), (name, "c000"), (other, "c001")):
        assert page.post_json("/api/grade", object_id=object_id, grade="A", grade_id=grade_id).json() == {
            "grade_id": grade_id
        }
    assert len(page.get("/api/history").json()) == 2
    assert page.post_json("/api/undo", grade_id=name).json()["object_id"] == "c000"
    assert page.post_json("/api/undo", grade_id=name).json()["object_id"] is None
    assert page.post_json("/api/undo").json()["object_id"] == "c001"
    assert page.post_json("/api/undo").json()["object_id"] is None
    assert [line["current"] for line in page.get("/api/history").json()] == [False, False]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"grade": "Z"}, "grade"),
        ({"grade": "A", "subclass": "spiral"}, "subclass"),
        ({"grade": "A", "confidence": 7}, "confidence must be 1, 2 or 3"),
        ({"grade": "A", "grade_id": "17"}, "UUID"),
        ({"grade": "A", "queue_id": "none", "position": 0}, "not in the grade book"),
    ],
)
def test_an_invalid_grade_has_a_clear_message(page, values, said):
    answer = page.post_json("/api/grade", object_id="c000", **values)
    assert answer.status_code == 422 and said in answer.json()["error"]
    assert page.get("/api/history").json() == []


def test_graders_do_not_see_the_grades_of_others(folder):
    with opened(("ada", "bob")) as browser:
        ada, bob = browser("ada"), browser("bob")
        queue = ada.post_json("/api/queue", batch=4).json()
        assert bob.get("/api/queue").json()["queue_id"] == queue["queue_id"]
        first = queue["items"][0]["object_id"]
        place = {"queue_id": queue["queue_id"], "position": 0, "object_id": first}
        ada.post_json("/api/grade", grade="A", note="ring", **place)
        assert ada.get("/api/queue").json()["items"][0]["note"] == "ring"
        assert bob.get("/api/queue").json()["items"][0]["grade"] is None
        assert bob.get("/api/disagreement").json()["items"] == []
        bob.post_json("/api/grade", grade="X", **place)
        (item,) = bob.get("/api/disagreement").json()["items"]
        assert {line["grader"]: line["grade"] for line in item["grades"]} == {"ada": "A", "bob": "X"}
        assert bob.post_json("/api/undo").json()["object_id"] == first
        assert ada.get("/api/queue").json()["items"][0]["grade"] == "A"


def test_the_cookie_outlives_the_server(folder):
    with opened() as browser:
        client = browser("ada")
        cookies = dict(client.cookies)
        assert client.post_json("/api/grade", object_id="c000", grade="A").status_code == 200
    with opened() as browser:
        again = browser()
        again.cookies.update(cookies)
        assert len(again.get("/api/history").json()) == 1
    with opened(("bob",)) as browser:
        other = browser()
        other.cookies.update(cookies)
        assert other.get("/api/history").status_code == 401


def test_changed_pixels_are_detected(folder):
    with opened() as browser:
        page = browser("ada")
        assert page.image("c000", views="raw")[0]["note"] == ""
        page.post_json("/api/grade", object_id="c000", grade="A")
    with GradeBook.open("grades.sqlite") as book:
        (line,) = book.objects().to_dict("records")
    assert len(line["pixels_sha256"]) == 64 and line["source"] == "shard.npz" and line["ra"] == 10.0
    pixels = pixels_of(N, seed=1)
    write_npz("shard.npz", CutoutSet(pixels, ids=[f"c{k:03d}" for k in range(N)]))
    with opened() as browser, pytest.warns(UserWarning, match="pixels of 1 objects changed"):
        page = browser("ada")
        assert "pixels of this object changed" in page.image("c000", views="raw")[0]["note"]
        assert page.image("c001", views="raw")[0]["note"] == ""
    with GradeBook.open("grades.sqlite") as book, pytest.warns(UserWarning, match="left out"):
        assert book.current().empty


def test_moved_cutouts_have_a_clear_message(folder):
    (folder / "shard.npz").rename(folder / "other.npz")
    with opened() as browser:
        page = browser("ada")
        answer = page.get("/api/image/c000")
        assert answer.status_code == 404 and "shard.npz" in answer.json()["error"]
    with opened(source=["other.npz"]) as browser:
        assert browser("ada").image("c000")[0]["id"] == "c000"


def test_a_training_round_shows_gold_objects(folder):
    with GradeBook.open("grades.sqlite") as book:
        import pandas as pd

        names = [f"c{k:03d}" for k in range(30)]
        book.add_gold(
            pd.DataFrame({"object_id": names, "truth": [1, 0] * 15, "kind": ["known_lens", "known_nonlens"] * 15})
        )
    with opened() as browser:
        items = browser("ada").get("/api/practice").json()["items"]
    assert len(items) == 10 and sum(item["truth"] for item in items) == 5
