"""Tests of the number of lenses left and of the run of non-lenses."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from gridlens.grading import lenses_left, make_queue, non_lens_run


def one_round(n=100, k=0, pi=0.1, kinds="random"):
    names = [f"o{i}" for i in range(n)]
    items = pd.DataFrame(
        {"queue_id": "q1", "object_id": names, "kind": kinds, "inclusion_probability": pi, "stratum": "1"}
    )
    grades = pd.DataFrame({"object_id": names, "grader": "ada", "grade": np.where(np.arange(n) < k, "A", "X")})
    return items, grades, pd.Series((np.arange(n) < k).astype(float), index=names)


@pytest.mark.parametrize("k", [0, 1, 7, 50, 100])
def test_one_round_matches_clopper_and_pearson(k):
    found = lenses_left(*one_round(k=k))
    low = beta.ppf(0.025, k, 101 - k) if k else 0.0
    high = beta.ppf(0.975, k + 1, 100 - k) if k < 100 else 1.0
    assert found.value == pytest.approx(10 * k - k)
    assert found.low == pytest.approx(max(1000 * low - k, 0.0), abs=0.05)
    assert found.high == pytest.approx(1000 * high - k, abs=0.05)


def test_no_random_items_are_not_resolvable():
    items, grades, q = one_round(kinds="top", pi=1.0)
    assert str(lenses_left(items, grades, q)) == "not resolvable with 0 random objects"
    items, grades, q = one_round()
    assert "0 random objects" in lenses_left(items, grades.assign(grade="U"), q * np.nan).note


def test_ungraded_items_may_all_be_lenses():
    items, grades, q = one_round()
    more = items[:8].assign(object_id=[f"t{i}" for i in range(8)], kind="top", inclusion_probability=1.0)
    done = grades[:4].assign(object_id=more["object_id"][:4], grade=["A", "X", "X", "X"])
    q = pd.concat([q, pd.Series([1.0, 0.0, 0.0, 0.0], index=done["object_id"])])
    plain, found = lenses_left(items, grades, q), lenses_left(pd.concat([items, more]), pd.concat([grades, done]), q)
    assert found.value == pytest.approx(plain.value + 1.0)
    assert found.high == pytest.approx(plain.high + 4.0, abs=0.05)
    assert found.low == plain.low


def search(seed, n_lenses, n=1500, batch=60):
    """Return the estimate after three rounds, and the number of lenses that are left."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) < n_lenses
    table = pd.DataFrame({"object_id": [f"o{i}" for i in range(n)], "score": rng.normal(size=n) + 1.5 * truth})
    items, done = [], np.zeros(0, dtype=int)
    for r in range(3):
        made = make_queue(table, batch=batch, graded=table["object_id"][done], strategy="mix", random_state=seed)
        items.append(made.assign(queue_id=f"q{r}"))
        done = np.append(done, made["object_id"].str[1:].astype(int))
    names, grade = table["object_id"][done], np.where(truth[done], "A", "X")
    grades = pd.DataFrame({"object_id": names, "grader": "ada", "grade": grade})
    q = pd.Series(truth[done].astype(float), index=names)
    return lenses_left(pd.concat(items), grades, q), n_lenses - truth[done].sum()


@pytest.mark.slow
@pytest.mark.parametrize("n_lenses", [20, 200])
def test_the_interval_covers_the_truth(n_lenses):
    found = [search(seed, n_lenses) for seed in range(20)]
    covered = [one.low <= left <= one.high for one, left in found]
    assert np.mean(covered) >= 0.9
    assert all(np.isfinite(one.high) for one, _ in found)


def test_the_run_of_non_lenses():
    frame = pd.DataFrame({"object_id": list("abcdef"), "grader": "ada", "grade": list("XAXUXX"), "kind": "top"})
    assert non_lens_run(frame) == 3
    assert non_lens_run(frame[:0]) == 0
    gold = pd.DataFrame({"object_id": ["g"], "grader": ["ada"], "grade": ["A"], "kind": ["gold"]})
    assert non_lens_run(pd.concat([frame, gold])) == 3
    times = ["2026-01-01", "2026-01-09", *["2026-01-02"] * 4]
    assert non_lens_run(frame.assign(t_graded=times)) == 0
    assert non_lens_run(frame.assign(grade="X")) == 6
