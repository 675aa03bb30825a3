"""`evaluate` and its report: the same numbers as the functions, in the page and in the file of record."""

import json
import math
from functools import partial
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from gridlens.errors import GridlensError
from gridlens.evaluation import (
    Estimate,
    Strata,
    auroc,
    compare,
    discovery_curve,
    evaluate,
    evaluate_ranking,
    mcnemar,
    tpr_at_fpr,
    write_report,
)

DRAWS = 50


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [150, 1500])
    size = rng.normal(size=1650) + 0.8 * y
    score = rng.normal(size=1650) + 2.0 * y
    p = 1 / (1 + np.exp(-(2 * score - 2 + math.log(0.1))))
    radius = np.where(y == 1, rng.uniform(9, 30, 1650), np.nan)
    survey = rng.choice(["des", "hsc", "tiny"], 1650, p=[0.5, 0.49, 0.01])
    return y, score, p, pd.DataFrame({"size": size}), radius, survey


@pytest.fixture(scope="module")
def found(rows):
    y, score, p, columns, radius, survey = rows
    done = []
    result = evaluate(
        y,
        score,
        0.01,
        p=p,
        groups=np.arange(1650) // 2,
        strata={"radius": Strata(radius, (10.0, 15.0, 25.0, math.inf)), "survey": Strata(survey)},
        controls={"size": columns},
        match_on=columns,
        other=score + np.random.default_rng(1).normal(size=1650),
        n_boot=DRAWS,
        random_state=3,
        progress=done.append,
    )
    assert sum(done) == 5
    return result


def test_numbers_are_those_of_the_functions(rows, found):
    y, score, p, *_ = rows
    groups = np.arange(1650) // 2
    options = {"n_boot": DRAWS, "random_state": 3}
    assert found.metrics == evaluate_ranking(y, score, groups, 0.01, p, **options)
    assert found.controls["model"]["AUROC"] == auroc(y, score, groups, **options)
    assert found.curve.half == discovery_curve(y, score, 0.01, groups, **options).half
    other = found.scores["other"]
    metrics = {"TPR at FPR 1e-2": partial(tpr_at_fpr, fpr=1e-2)}
    assert (
        found.comparisons["TPR at FPR 1e-2"] == compare(y, score, other, metrics, groups, **options)["TPR at FPR 1e-2"]
    )
    assert found.disagreement == mcnemar(y, score, other, fpr=1e-2)
    assert (found.n_rows, found.n_positive, found.n_groups) == (1650, 150, 825)


def test_a_control_that_knows_something_is_beside_the_model_and_nothing_on_matched_rows(found):
    alone = found.controls["size"]["AUROC"]
    assert alone.low > 0.6 and alone.high < found.controls["model"]["AUROC"].low
    assert found.matched_metrics["size"]["AUROC"].value == pytest.approx(0.5, abs=0.06)
    assert found.matched_metrics["model"]["AUROC"].value > 0.85


def test_strata_that_lenses_alone_have_are_held_against_all_negatives(found):
    radius, survey = found.strata["radius"], found.strata["survey"]
    assert set(radius["against"]) == {"all"} and set(survey[survey["stratum"] == "des"]["against"]) == {"own"}
    assert radius["stratum"].unique().tolist() == ["all", "10 to 15", "15 to 25", "25 and over", "none"]
    assert survey[survey["stratum"] == "tiny"]["value"].isna().all()
    assert "TPR0" in set(radius["metric"])


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text, self.links, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def report(found, tmp_path_factory):
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("report") / "report"
    costs = {"seconds_per_cutout": 36.0, "hours_per_follow_up": 2.0, "cost_per_hour": 1000.0}
    write_report(
        found,
        folder,
        title="A title <& more",
        positives="lenses",
        rows="cutouts",
        notes=["One thing."],
        record={"scores": "x"},
        costs=costs,
    )
    page = _Page()
    page.feed((folder / "index.html").read_text())
    return folder, page, " ".join(" ".join(page.text).split())


def test_the_page_stands_alone(report):
    folder, page, text = report
    assert "script" not in page.tags and "link" not in page.tags and "img" not in page.tags
    assert all(link.startswith("#") for link in page.links)
    assert len(set(page.ids)) == len(page.ids)
    assert page.tags.count("svg") == 6
    assert "A title <& more" in text and "One thing." in text
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "metrics.json"]


def test_the_page_says_what_the_record_says(report, found):
    folder, _, text = report
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["prevalence"] == 0.01 and "prevalence of 0.01" in text
    assert numbers["scores"] == "x" and numbers["positives"] == 150
    for name, estimate in found.metrics.items():
        recorded = numbers["metrics"][name]
        if math.isnan(estimate.value):
            assert recorded["value"] is None and recorded["note"] in text
        else:
            assert recorded == {k: getattr(estimate, k) for k in ("value", "low", "high", "note")}
            value, interval = str(Estimate(*estimate[:3])).split(" ", 1)
            assert value in text and interval in text
    assert "not resolvable with 1500 negatives" in text
    assert "10 hours" not in text and "hours of review" in text
    # 36 seconds for each of 1,000 are ten hours.
    assert numbers["comparison"]["AUROC"]["difference"]["high"] < 0
    assert numbers["matched"]["unmatched"] == len(found.matched.unmatched)
    assert numbers["strata"]["survey"][0]["stratum"] == "all"


def test_the_same_evaluation_makes_the_same_files(report, found, tmp_path):
    write_report(found, tmp_path / "again", title="A title <& more", positives="lenses", rows="cutouts")
    write_report(found, tmp_path / "twice", title="A title <& more", positives="lenses", rows="cutouts")
    for name in ("index.html", "metrics.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()
    with pytest.raises(GridlensError, match="again"):
        write_report(found, tmp_path / "again", title="x")


def test_without_anything_beside_the_scores(rows, tmp_path):
    pytest.importorskip("matplotlib")
    y, score, *_ = rows
    found = evaluate(y, score, 0.01, n_boot=DRAWS)
    assert found.matched is None and found.bins is None and found.strata == {} and found.comparisons == {}
    write_report(found, tmp_path / "plain", title="Plain")
    assert "there are no columns to make them of" in (tmp_path / "plain" / "index.html").read_text()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"y": np.ones(1650)}, "must hold both 0 and 1. Got 1650 rows of 1 alone"),
        ({"y": np.zeros(1650)}, "must hold both 0 and 1. Got 1650 rows of 0 alone"),
        ({"score": np.full(1650, 0.5)}, r"'score' parameter must not be constant. Got 0\.5 in all rows"),
        ({"score": np.full(1650, np.nan)}, "'score' parameter must be without NaN"),
        ({"p": np.full(1650, 1.5)}, "'p' parameter must be probabilities"),
        ({"prevalence": 0.0}, "'prevalence' parameter must be a number between 0 and 1"),
        ({"prevalence": 1.0}, "'prevalence' parameter must be a number between 0 and 1"),
    ],
)
def test_what_is_refused(rows, changed, words):
    with pytest.raises(ValueError, match=words):
        evaluate(**{"y": rows[0], "score": rows[1], "prevalence": 0.01, "n_boot": DRAWS, **changed})
