"""Tests of retraining from the page: start, progress, and the choice between the new and the old model."""

import json
import shutil
import sys
import time

import pytest
from triage_page import N, opened, table_of

from gridlens.errors import GridlensError
from gridlens.grading import GradeBook
from gridlens.triage import _retrain_work as work
from gridlens.triage import _retraining
from gridlens.triage._retraining import Retraining

# Writes the results of a training without training.
STUB = """
import json, pathlib, shutil, sys
folder = pathlib.Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
print("Fitting")
if {fails}:
    sys.exit("Error: too few grades")
if {accepted}:
    shutil.copy("new.parquet", folder / "scores.parquet")
    shutil.copytree({model!r}, folder / "model")
(folder / "result.json").write_text(json.dumps({{"accepted": {accepted}, "verdict": "compared", "card": "# Card"}}))
"""


@pytest.fixture
def stub(folder, monkeypatch):
    """Return a function that makes the next training a stub, whose new table reverses the order of the objects."""
    table = table_of(N)
    for name in ("score", "p_lens"):
        table[name] = table[name].to_numpy()[::-1]
    table.to_parquet("new.parquet")

    def make(accepted=True, fails=False):
        from gridlens.models._bundle import model_folder

        code = STUB.format(accepted=accepted, fails=fails, model=str(model_folder("cluster-cluster")))
        monkeypatch.setattr(_retraining, "_COMMAND", [sys.executable, "-c", code])

    return make


def final_state(page):
    """Return the state of the training once it has ended."""
    for _ in range(600):
        said = page.get("/api/retrain").json()
        if said["state"] != "running":
            return said
        time.sleep(0.05)
    raise AssertionError(said)


def test_an_accepted_model_is_the_base_of_the_next_queue(stub, folder):
    stub()
    with opened() as browser:
        page = browser("ada")
        assert page.get("/api/retrain").json()["state"] == "idle"
        assert page.post_json("/api/retrain/decide", accept=True).status_code == 409
        assert page.post_json("/api/retrain").json() == {"state": "running"}
        said = final_state(page)
        assert said["state"] == "done" and said["accepted"] and said["verdict"] == "compared"
        assert said["log"] == ["Fitting"] and said["card"] == "# Card"
        assert said["before"][:2] == ["c000", "c001"] and said["after"][:2] == ["c039", "c038"]
        assert len(said["after"]) == 20
        assert page.post_json("/api/retrain/decide", accept=True).json() == {"state": "accepted"}
        assert page.post_json("/api/retrain/decide", accept=True).status_code == 409
        assert page.get("/api/session").json()["model"].endswith("model")
        items = page.send_queue(batch=10, strategy="top")["items"]
        assert {item["object_id"] for item in items} == {f"c{k:03d}" for k in range(30, 40)}
    job = json.loads((folder / "grades.models" / "001" / "job.json").read_text())
    assert job["source"] == {"source": ["shard.npz"]} and job["model"] == "default" and len(job["ids"]) == N
    with GradeBook.open("grades.sqlite") as book:
        models = book.models()
        assert len(models) == 2 and models["parent_id"][1] == models["model_id"][0]
        assert book.queues()["model_id"].tolist() == [models["model_id"][1]]


def test_the_old_model_is_kept_if_the_new_one_is_worse(stub, folder):
    stub(accepted=False)
    with opened() as browser:
        page = browser("ada")
        page.post_json("/api/retrain")
        said = final_state(page)
        assert said["state"] == "done" and not said["accepted"] and said["after"] == []
        refused = page.post_json("/api/retrain/decide", accept=True)
        assert refused.status_code == 409 and "worse than the old one" in refused.json()["error"]
        assert page.post_json("/api/retrain/decide", accept=False).json() == {"state": "kept"}
        assert page.get("/api/session").json()["model"] is None
    with GradeBook.open("grades.sqlite") as book:
        assert book.models().empty


def test_a_failed_training_has_a_clear_message(stub, folder):
    stub(fails=True)
    with opened() as browser:
        page = browser("ada")
        page.post_json("/api/retrain")
        said = final_state(page)
        assert said["state"] == "failed" and said["log"][-1] == "Error: too few grades"
        stub()
        assert page.post_json("/api/retrain").status_code == 200 and final_state(page)["state"] == "done"
    assert sorted(path.name for path in (folder / "grades.models").iterdir()) == ["001", "002"]


def test_trainings_run_one_at_a_time_and_end_with_the_server(folder, monkeypatch):
    monkeypatch.setattr(_retraining, "_COMMAND", [sys.executable, "-c", "import time; time.sleep(60)"])
    with opened() as browser:
        page = browser("ada")
        page.post_json("/api/retrain")
        assert page.post_json("/api/retrain").status_code == 409
        process = page.triage.retraining._process
    assert process.poll() is not None


def test_the_job_trains_on_and_scores_only_objects_of_the_table(folder, monkeypatch):
    """The training itself is done by `train`, which has separate tests."""
    import gridlens.training
    from gridlens.models._bundle import model_folder

    job = folder / "job"
    job.mkdir()
    said = {"source": {"source": ["shard.npz"]}, "ids": ["c001", "c002", "c005"], "grades": "grades.sqlite"}
    (job / work.JOB).write_text(json.dumps({**said, "model": "default", "prevalence": 0.01}))

    def trained(source, *, grades, init_model, out, n_jobs, verbose, progress):
        ids = [name for part in source.partitions() for batch in source.read(part) for name in batch.cutouts.ids]
        assert ids == said["ids"] and (grades, init_model) == ("grades.sqlite", "default")
        shutil.copytree(model_folder("default"), out)
        progress(3)
        return gridlens.training.Trained(None, "# Card", ["a note"], out, "not worse", None, True)

    monkeypatch.setattr(gridlens.training, "train", trained)
    monkeypatch.setattr(work, "_workers", lambda: 1)
    work.main(job)
    result = json.loads((job / work.RESULT).read_text())
    assert result == {"accepted": True, "verdict": "not worse", "card": "# Card"}
    from gridlens.triage._scores import ScoreTable

    table = ScoreTable(job / work.SCORES)
    assert sorted(table.ids) == said["ids"]
    assert table.values(["c001"], ["prevalence"]) == {"c001": {"prevalence": 0.01}}
    assert json.loads((job / work.STATUS).read_text())["fraction"] == 1.0


def test_a_read_only_folder_has_a_clear_message(folder):
    (folder / "grades.models").write_text("a file")
    with pytest.raises(GridlensError):
        Retraining("grades.sqlite").start({}, [], [], "default", 1e-3)
