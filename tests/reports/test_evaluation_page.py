"""Tests of the evaluation report: the page and the record hold the same numbers, and all text is escaped."""

import datetime
import json
import math
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from gridlens import CutoutSet, evaluate_scores
from gridlens.errors import GridlensError
from gridlens.evaluation import Estimate, Strata, evaluate
from gridlens.reports import write_evaluation
from gridlens.reports._worst import worst_rows

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

DRAWS = 50
HOSTILE = '<script>alert("x")</script>\'"&'


class Page(HTMLParser):
    """The tags, text, links and ids of a page."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.words, self.links, self.ids = [], [], [], []
        self.feed(source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name in ("src", "href"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_data(self, data):
        self.words.append(data)


def page_of(folder):
    return Page((folder / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [150, 1500])
    columns = pd.DataFrame({"size": rng.normal(size=1650) + 0.8 * y})
    score = rng.normal(size=1650) + 2.0 * y
    radius = np.where(y == 1, rng.uniform(9, 30, 1650), np.nan)
    return evaluate(
        y,
        score,
        0.01,
        p=1 / (1 + np.exp(-(2 * score - 2 + math.log(0.1)))),
        groups=np.arange(1650) // 2,
        strata={
            "radius": Strata(radius, (10.0, 15.0, 25.0, math.inf)),
            "survey": Strata(rng.choice(["des", "hsc", "tiny"], 1650, p=[0.5, 0.49, 0.01])),
        },
        controls={"size": columns},
        match_on=columns,
        other=score + np.random.default_rng(1).normal(size=1650),
        n_boot=DRAWS,
        random_state=3,
    )


@pytest.fixture(scope="module")
def report(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "report"
    costs = {"seconds_per_cutout": 36.0, "hours_per_follow_up": 2.0, "cost_per_hour": 1000.0}
    write_evaluation(found, folder, title="A title <& more", costs=costs)
    return folder, page_of(folder)


@pytest.mark.slow
def test_the_page_is_self_contained(report):
    folder, page = report
    assert not {"script", "link", "img"} & set(page.tags)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert page.tags.count("svg") == 6
    assert "A title <& more" in page.text
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "metrics.json"]


def test_the_page_matches_the_record(report, found):
    folder, page = report
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["prevalence"] == 0.01 and "prevalence of 0.01" in page.text
    assert numbers["notes"] == [] and numbers["positives"] == 150
    for name, estimate in found.metrics.items():
        recorded = numbers["metrics"][name]
        if math.isnan(estimate.value):
            assert recorded["value"] is None and recorded["note"] in page.text
        else:
            assert recorded == {k: getattr(estimate, k) for k in ("value", "low", "high", "note")}
            value, interval = str(Estimate(*estimate[:3])).split(" ", 1)
            assert value in page.text and interval in page.text
    assert "not resolvable with 1500 negatives" in page.text
    assert numbers["comparison"]["AUROC"]["difference"]["high"] < 0
    assert numbers["matched"]["unmatched"] == len(found.matched.unmatched)
    assert numbers["strata"]["survey"][0]["stratum"] == "all"


@pytest.fixture
def scored():
    """Return scores and labels of forty cutouts; half of them are lenses, and the first two are missed."""
    rng = np.random.default_rng(0)
    label = np.repeat([1, 0], 20)
    score = np.where(label == 1, 0.9, 0.1) + 0.01 * rng.random(40)
    score[:2], score[-1] = [0.01, 0.02], 0.99
    ids = [f"c{k}" for k in range(40)]
    table = pd.DataFrame({"id": ids, "score": score, "path": "", "arc_patch": -1})
    return table, pd.DataFrame({"id": ids, "label": label, "theta_e": np.where(label == 1, 12.5, np.nan)})


def test_worst_errors_are_shown(scored, tmp_path, noise):
    table, truth = scored
    found = evaluate_scores(table, truth, n_boot=DRAWS)
    misses, alarms = worst_rows(found.rows)
    assert misses["id"][:2].tolist() == ["c0", "c1"] and misses["place"].tolist()[:2] == [40, 39]
    assert alarms["id"].iloc[0] == "c39" and len(misses) == len(alarms) == 10
    cutouts = CutoutSet(noise(n=2, size=64), pixel_scale=1.0, ids=["c0", "c39"])
    write_evaluation(found, tmp_path / "report", date=datetime.date(2026, 1, 31), cutouts=cutouts)
    page = page_of(tmp_path / "report")
    assert page.tags.count("img") == 2
    assert "c0 score 0.01, rank 40 Einstein radius 12 arcsec" in page.text
    assert "Scores a table in memory" in page.text and "Date 2026-01-31" in page.text
    assert "unknown" in page.text and "no pictures" not in page.text
    anchors = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert {"metrics", "errors", "review", "controls"} <= anchors <= set(page.ids)
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["date"] == "2026-01-31"
    write_evaluation(found, tmp_path / "bare", model="mine")
    page = page_of(tmp_path / "bare")
    assert "Model mine" in page.text
    assert "img" not in page.tags and "There are no pictures" in page.text
    assert "date" not in json.loads((tmp_path / "bare" / "metrics.json").read_text())


def test_a_narrow_screen_scrolls_tables_and_not_the_page(found, tmp_path):
    write_evaluation(found, tmp_path / "report")
    source = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert ".scroll { overflow-x: auto; }" in source and "width=device-width" in source
    assert source.count('<div class="scroll"><table') == source.count("<table")


def test_costs_refer_to_the_candidate_list(report, found):
    _, page = report
    found_in_1000 = found.curve.at(1000).value
    # At 36 seconds each, 1,000 candidates take ten hours.
    assert f"10 {2 * found_in_1000:.3g} {2000 * found_in_1000:.3g}" in page.text
    assert "hours of review hours of follow-up cost of follow-up" in page.text


@pytest.mark.slow
def test_the_same_evaluation_makes_the_same_files(found, tmp_path):
    for folder in ("again", "twice"):
        write_evaluation(found, tmp_path / folder)
    for name in ("index.html", "metrics.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()
    with pytest.raises(GridlensError, match="again"):
        write_evaluation(found, tmp_path / "again")


def test_evaluation_without_additional_columns(tmp_path):
    y = np.repeat([1, 0], [50, 500])
    found = evaluate(y, np.random.default_rng(0).normal(size=550) + y, 0.01, n_boot=DRAWS)
    write_evaluation(found, tmp_path / "plain", title="Plain")
    page = page_of(tmp_path / "plain")
    assert "There are no controls" in page.text
    assert "Calibration" not in page.text and "Comparison" not in page.text


def test_text_of_tables_is_escaped(tmp_path):
    """Survey names, ids and paths from tables are text, never markup."""
    rng = np.random.default_rng(0)
    label = np.repeat([1, 0], [60, 300])
    ids = [f"{HOSTILE}{k}" for k in range(360)]
    survey = np.where(np.arange(360) % 2, HOSTILE, "<b>des</b>")
    truth = pd.DataFrame({"id": ids, "label": label, "survey": survey})
    scores = pd.DataFrame({"id": [*ids[2:], HOSTILE], "score": rng.normal(size=359) + np.append(label[2:], 0)})
    paths = tmp_path / "<i>scores.csv", tmp_path / "truth.csv"
    scores.to_csv(paths[0], index=False)
    truth.to_csv(paths[1], index=False)
    found = evaluate_scores(*paths, n_boot=DRAWS)
    write_evaluation(found, tmp_path / "report", title=HOSTILE)
    source = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert HOSTILE not in source and "<script" not in source and "<b>des" not in source
    page = page_of(tmp_path / "report")
    assert not {"script", "i"} & set(page.tags)
    assert page.text.count(HOSTILE) >= 5
    assert "<b>des</b>" in page.text
    assert any(HOSTILE in note for note in found.notes)
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["scores"] == str(paths[0])


@pytest.mark.parametrize("library", ["matplotlib", "jinja2"])
def test_a_missing_library_is_named_with_what_to_install(found, tmp_path, monkeypatch, library):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(GridlensError, match=rf"need the package {library}: pip install 'gridlens\[explain\]'"):
        write_evaluation(found, tmp_path / "report")
    assert not (tmp_path / "report").exists()
