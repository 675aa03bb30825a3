"""Tests of the score, its reasons and the statistics, which are shown after the grade."""

import pandas as pd
import pytest
from triage_page import opened, table_of

from gridlens.grading import GradeBook
from gridlens.triage._measuring import _blue_map, _reasons


def test_a_score_is_hidden_until_the_grade(page):
    refused = page.post_json("/api/reveal", object_id="c002")
    assert refused.status_code == 409 and "after your grade" in refused.json()["error"]
    page.post_json("/api/grade", object_id="c002", grade="B")
    said = page.post_json("/api/reveal", object_id="c002").json()
    expected = table_of(40).iloc[2]
    assert said["p_lens"] == pytest.approx(expected["p_lens"]) and said["rank"] == 3
    assert said["p_low"] < said["p_lens"] < said["p_high"]
    assert [link["name"] for link in said["links"]] == ["Legacy Survey", "Aladin", "SIMBAD", "NED"]
    assert said["terms"] == [] and "model" in said["note"] and said["others"] == [] and said["kind"] is None
    with GradeBook.open("grades.sqlite") as book:
        assert book.current()["blind"].tolist() == [True]


def test_a_score_that_is_revealed_early_is_recorded(page):
    assert page.post_json("/api/reveal", object_id="c002", before_grade=True).status_code == 200
    page.post_json("/api/grade", object_id="c002", grade="B", blind=True)
    page.post_json("/api/grade", object_id="c003", grade="B", blind=True)
    page.post_json("/api/grade", object_id="c004", grade="B", blind=False)
    with GradeBook.open("grades.sqlite") as book:
        assert book.current()["blind"].tolist() == [False, True, False]


def test_without_blindness_nothing_is_hidden(folder):
    with opened(blind=False) as browser:
        page = browser("ada")
        assert page.post_json("/api/reveal", object_id="c002").json()["score"] is not None
        page.post_json("/api/grade", object_id="c002", grade="B")
    with GradeBook.open("grades.sqlite") as book:
        assert book.current()["blind"].tolist() == [False]


def test_the_strongest_terms_match_the_explanation(folder):
    table_of(40).assign(score=0.5, context_theta_e=12.5, known_lens="Abell 1703", other=1.0).to_parquet(
        "scores.parquet"
    )
    with opened(model="default") as browser:
        page = browser("ada")
        assert page.get("/api/session").json()["context"]
        page.post_json("/api/grade", object_id="c002", grade="B")
        said = page.post_json("/api/reveal", object_id="c002").json()
    assert len(said["terms"]) == 9 and all(set(term) == {"text", "log_odds"} for term in said["terms"])
    assert said["because"].endswith(".") and "as in the table" in said["note"]
    assert said["context"] == {"context_theta_e": 12.5, "known_lens": "Abell 1703"}


def test_an_arc_has_a_circle(noise):
    from gridlens.cutouts import CutoutSet

    pixels = noise(1)
    pixels[0, 10:12, 20:40] += 30.0
    cutout = CutoutSet(pixels)
    (arc,) = {patch: found for patch in (1,) if (found := _reasons(cutout, None, patch, None).arc)}.values()
    assert (arc["x"] == pytest.approx(29.5, abs=3.0) and arc["y"] < 16.0 and arc["r"] > 5.0) or arc["fits"]
    assert _reasons(cutout, None, None, None).arc is None
    assert _reasons(cutout, "no-such-model", None, None).note.startswith("The score cannot be explained")
    assert _blue_map((pixels[0], cutout.bcg_xy[0], 0.5)).shape == (64, 64)
    assert _blue_map((pixels[0, :20, :20], (9.5, 9.5), 0.5)) is None


def test_progress_and_agreement(folder):
    with opened(("ada", "bob")) as browser:
        ada, bob = browser("ada"), browser("bob")
        nothing = ada.get("/api/progress").json()
        assert nothing["n_graded"] == 0 and nothing["left"]["value"] is None
        queue = ada.send_queue(batch=20)
        for item in queue["items"]:
            grade = "A" if item["object_id"] < "c006" else "X"
            for client in (ada, bob):
                place = {"queue_id": queue["queue_id"], "position": item["position"]}
                assert (
                    client.post_json("/api/grade", object_id=item["object_id"], grade=grade, **place).status_code == 200
                )
        said = ada.get("/api/progress").json()
        assert said["n_graded"] == 20 and said["discovery"][-1] == [20, 6] and said["per_100"] == [[20, 30.0]]
        assert said["left"]["low"] <= said["left"]["value"] <= said["left"]["high"]
        assert {line["kind"] for line in said["by_kind"]} >= {"top"}
        agreement = bob.get("/api/agreement").json()
        assert agreement["kappa"]["value"] == pytest.approx(1.0) and agreement["pairs"][0]["n_objects"] == 20


def test_objects_outside_the_table_are_unknown(page):
    for name in ("nobody", "../shard.npz", "%2e%2e%2fshard.npz", "/etc/passwd", "shard.npz"):
        assert page.get(f"/api/image/{name}").status_code == 404
    assert page.post_json("/api/grade", object_id="nobody", grade="A").status_code == 404
    assert page.post_json("/api/reveal", object_id="nobody").status_code == 404
    assert page.get("/api/history").json() == []


def test_gold_objects_from_other_files_are_shown(folder):
    (folder / "shard.npz").rename("gold.npz")
    gold = pd.DataFrame({"object_id": ["c001", "g9"], "path": ["gold.npz", "gone.npz"], "truth": 1, "kind": "injected"})
    table_of(40).drop(index=1).to_parquet("scores.parquet")
    with opened(gold=gold) as browser:
        page = browser("ada")
        assert page.image("c001", views="raw")[0]["id"] == "c001"
        assert "gone.npz" in page.get("/api/image/g9").json()["error"]


@pytest.mark.slow
def test_blue_maps_survive_the_end_of_the_measuring_process(page):
    values = page.image("c000", views="blue")[1]
    assert values[0, 0].min() < values[0, 0].max() < 65535
    (worker,) = page.triage.measuring._pool._processes.values()
    worker.kill()
    worker.join()
    assert (page.image("c000", views="blue")[1] == values).all()
