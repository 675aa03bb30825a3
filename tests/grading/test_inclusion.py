"""Tests of the weights of objects that were chosen by several queues."""

import numpy as np
import pandas as pd
import pytest

from gridlens.errors import GridlensError
from gridlens.grading import inclusion_weights, make_queue


def items_of(queue_id, rows):
    """Return a table of items from tuples (object, kind, probability, stratum)."""
    frame = pd.DataFrame(rows, columns=["object_id", "kind", "inclusion_probability", "stratum"])
    return frame.assign(queue_id=queue_id, position=np.arange(len(frame)))


def grades_of(queue_id, pairs, day=1):
    frame = pd.DataFrame(pairs, columns=["object_id", "grade"])
    return frame.assign(grader="ada", queue_id=queue_id, t_graded=f"2026-01-{day:02d}T00:00:00.000Z")


FIRST = items_of(
    "q1",
    [("t1", "top", 1.0, None), ("t2", "diverse", 1.0, None), ("r1", "random", 0.1, "1"), ("r2", "random", 0.05, "2"),
     ("g1", "gold", np.nan, None)],
)  # fmt: skip
SECOND = items_of(
    "q2",
    [("t3", "top", 1.0, None), ("r3", "random", 0.2, "1"), ("r4", "random", 0.2, "1"), ("t1", "repeat", np.nan, None)],
)  # fmt: skip
ALL_X = [(name, "X") for name in ("t1", "t2", "r1", "r2", "g1")]


def test_weights_of_one_round():
    weights = inclusion_weights(FIRST, grades_of("q1", ALL_X))
    assert weights.to_dict() == pytest.approx({"t1": 1.0, "t2": 1.0, "r1": 10.0, "r2": 20.0})
    assert weights.attrs == {
        "random_ungraded": 0, "random_unsure": 0, "certain_ungraded": 0, "certain_unsure": 0
    }  # fmt: skip


def test_two_rounds_are_averaged():
    later = grades_of("q2", [("t3", "A"), ("r3", "X"), ("r4", "X"), ("t1", "X")], day=2)
    weights = inclusion_weights(pd.concat([FIRST, SECOND]), pd.concat([grades_of("q1", ALL_X), later]))
    # Half of the random items belong to each round, so both rounds have equal weight.
    expected = {"t1": 1.0, "t2": 1.0, "r1": 5.5, "r2": 10.5, "t3": 0.5, "r3": 2.5, "r4": 2.5}
    assert weights.to_dict() == pytest.approx(expected)


def test_grades_without_queue_ids_are_accepted():
    grades = grades_of("q1", ALL_X)
    plain = inclusion_weights(FIRST, grades.drop(columns=["queue_id", "t_graded"]))
    pd.testing.assert_series_equal(plain, inclusion_weights(FIRST, grades))


def test_labelled_items_represent_unlabelled_ones():
    rows = [("a", "random", 0.1, "1"), ("b", "random", 0.1, "1"), ("c", "random", 0.1, "2"), ("d", "top", 1.0, None)]
    items = items_of("q", [*rows, ("e", "top", 1.0, None)])
    weights = inclusion_weights(items, grades_of("q", [("a", "X"), ("b", "U"), ("c", "X"), ("d", "A")]))
    assert weights.to_dict() == pytest.approx({"a": 20.0, "c": 10.0, "d": 2.0})
    assert weights.attrs["random_unsure"] == 1 and weights.attrs["certain_ungraded"] == 1
    # A stratum without any label is represented by the other stratum.
    weights = inclusion_weights(items, grades_of("q", [("a", "X"), ("b", "X"), ("d", "A"), ("e", "A")]))
    assert weights.to_dict() == pytest.approx({"a": 15.0, "b": 15.0, "d": 1.0, "e": 1.0})


def test_earlier_grades_count_in_all_rounds():
    """Objects graded before the first queue belong to no pool; objects graded later were in the pool."""
    grades = grades_of("q1", ALL_X, day=5)
    more = [grades_of(None, [("early", "A")], day=1), grades_of(None, [("late", "A")], day=9)]
    weights = inclusion_weights(FIRST, pd.concat([grades, *more], ignore_index=True))
    assert weights["early"] == 1.0 and weights["late"] == 0.0


def test_rounds_without_random_items_do_not_count():
    top = items_of("q0", [("s1", "top", 1.0, None)])
    grades = pd.concat([grades_of("q0", [("s1", "A")], day=1), grades_of("q1", ALL_X, day=2)])
    assert inclusion_weights(pd.concat([top, FIRST]), grades)["s1"] == 1.0
    with pytest.raises(GridlensError, match="strategy mix or random"):
        inclusion_weights(top, grades)


def one_search(seed, n_rounds=3):
    """Grade three queues whose scores follow the labels of the earlier ones; return estimates of lenses and score."""
    rng = np.random.default_rng(seed)
    n = 400
    x = rng.normal(size=n)
    truth = rng.random(n) < 1.0 / (1.0 + np.exp(2.5 - 2.0 * x))
    ids = np.array([f"o{i}" for i in range(n)])
    quality = x + rng.normal(size=n)  # averaged over the lenses
    score, items, grades = x + rng.normal(size=n), [], []
    for r in range(n_rounds):
        done = pd.concat(grades)["object_id"] if grades else []
        batch = make_queue(pd.DataFrame({"object_id": ids, "score": score}), batch=60, graded=done, random_state=seed)
        rows = batch["object_id"].str[1:].astype(int).to_numpy()
        items.append(batch.assign(queue_id=f"q{r}"))
        grades.append(grades_of(f"q{r}", list(zip(ids[rows], np.where(truth[rows], "A", "X"), strict=True)), day=r + 1))
        # The next model prefers objects that resemble the lenses found so far.
        score = score - 2.0 * np.abs(x - x[rows[truth[rows]]].mean()) * (1.0 + truth[rows].mean())
    weights = inclusion_weights(pd.concat(items), pd.concat(grades))
    rows = weights.index.str[1:].astype(int).to_numpy()
    found = truth[rows]
    return [
        weights.to_numpy() @ found - truth.sum(),
        weights.to_numpy() @ (found * quality[rows]) - (truth * quality).sum(),
        n * found.mean() - truth.sum(),
        weights.sum() - n,
    ]


@pytest.mark.slow
def test_weights_make_biased_rounds_unbiased():
    n_seeds = 60
    lenses, quality, unweighted, size = np.mean([one_search(seed) for seed in range(n_seeds)], axis=0)
    # The standard deviations come from 1,200 searches; a few searches would miss rare large estimates.
    assert abs(lenses) < 3.0 * 26.4 / np.sqrt(n_seeds)
    assert abs(quality) < 3.0 * 37.5 / np.sqrt(n_seeds)
    assert unweighted > 60.0
    assert abs(size) < 1e-6
