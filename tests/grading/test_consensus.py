"""Tests of the consensus of graders."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from gridlens.errors import GridlensError
from gridlens.grading import consensus
from gridlens.grading._em import DECLARED, fit_tables
from gridlens.grading._labels import LABELS


def drawn_grades(seed, n=300, n_graders=3, prevalence=0.3, tables=DECLARED, coverage=0.7):
    """Return grades of `n_graders` with independent errors, and the truth by object id."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < prevalence).astype(int)
    rows = []
    for g in range(n_graders):
        for i in np.flatnonzero(rng.random(n) < coverage):
            rows.append((f"o{i}", f"g{g}", rng.choice(list(LABELS), p=tables[1 - truth[i]])))
    frame = pd.DataFrame(rows, columns=["object_id", "grader", "grade"])
    return frame.sample(frac=1.0, random_state=seed, ignore_index=True), pd.Series(
        truth, index=[f"o{i}" for i in range(n)]
    )


def gold_of(truth, ids):
    return pd.DataFrame({"object_id": ids, "truth": truth[ids].to_numpy(), "kind": "injected"})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # crowd-kit uses deprecated features of pandas
def test_consensus_without_shrinkage_matches_dawid_and_skene():
    DawidSkene = pytest.importorskip("crowdkit.aggregation").DawidSkene
    tables = np.array([[0.85, 0.0, 0.0, 0.15], [0.05, 0.0, 0.0, 0.95]])
    grades, _ = drawn_grades(0, n=150, tables=tables, n_graders=5, coverage=0.9)
    # The tolerance is negative, so that rounding does not stop the iteration before the maximum.
    theirs = DawidSkene(n_iter=60, tol=-1.0).fit(
        grades.rename(columns={"object_id": "task", "grader": "worker", "grade": "label"})
    )
    ours = consensus(grades, shrinkage=0.0, tempering=0.0)
    q = ours.objects.set_index("object_id")["q_grades"]
    np.testing.assert_allclose(q, theirs.probas_["A"].reindex(q.index), atol=1e-6)
    errors = theirs.errors_["A"].unstack()["A"].reindex(ours.graders["grader"])
    np.testing.assert_allclose(ours.graders["lens_A"], errors, atol=1e-6)
    assert ours.prevalence == pytest.approx(theirs.priors_["A"], abs=1e-6)


def naive(grades, gold, shrinkage, steps):
    """Compute the consensus in slow loops, first with one table for all graders, then with one table for each."""
    objects, graders = list(dict.fromkeys(grades["object_id"])), list(dict.fromkeys(grades["grader"]))
    given = {o: list(zip(g["grader"], g["grade"], strict=True)) for o, g in grades.groupby("object_id")}
    start = 0.2 * DECLARED[0] / (0.2 * DECLARED[0] + 0.8 * DECLARED[1])
    q = {o: gold.get(o, np.mean([start[LABELS.index(x)] for _, x in given[o]])) for o in objects}

    told = [o for o in objects if len(given[o]) > 1 or o in gold]

    def climb(q, name_of, prior):
        for _ in range(steps):
            tables = {name: prior.copy() for name in {name_of(g) for g in graders}}
            for o in told:
                for g, x in given[o]:
                    tables[name_of(g)][:, LABELS.index(x)] += np.array([q[o], 1.0 - q[o]])
            tables = {name: t / t.sum(axis=1, keepdims=True) for name, t in tables.items()}
            share = np.mean([q[o] for o in told if o not in gold])
            for o in objects:
                cells = [tables[name_of(g)][:, LABELS.index(x)] for g, x in given[o]]
                ratio = sum(np.log(cell[0] / cell[1]) for cell in cells)
                q[o] = gold.get(o, expit(logit(share) + ratio))
        return q, tables, share

    q, common, _ = climb(q, lambda g: "all", 4.0 * DECLARED)
    q, _, last = climb(q, lambda g: g, shrinkage * common["all"])
    evidence = {o: logit(q[o]) - logit(last) for o in objects if o not in gold}
    share = last
    for _ in range(steps):
        free = [expit(logit(share) + one) for one in evidence.values()]
        share = (np.sum(free) + 0.2 * 20.0) / (len(free) + 20.0)
    return gold | {o: expit(logit(share) + one) for o, one in evidence.items()}


@pytest.mark.parametrize(
    ("counts", "lens", "other"),
    [((12, 40), 0.9, 0.1), ((18, 6), 0.9, 0.15), ((12, 12), 0.9, 0.1), ((3, 97), 0.6, 0.05)],
)
def test_a_single_grader_is_assumed_to_err_as_declared(counts, lens, other):
    """Any table explains the labels of a single grader; a fitted table could put all objects into one class."""
    grade = ["A"] * counts[0] + ["X"] * counts[1]
    grades = pd.DataFrame({"object_id": [f"o{k}" for k in range(len(grade))], "grader": "ada", "grade": grade})
    q = consensus(grades).objects["q_grades"].to_numpy()
    assert (q[: counts[0]] > lens).all()
    assert (q[counts[0] :] < other).all()


def test_objects_with_one_label_change_no_table():
    grades, _ = drawn_grades(5, n=80, coverage=1.0)
    single = pd.DataFrame({"object_id": [f"s{k}" for k in range(200)], "grader": "g0", "grade": "C"})
    alone, beside = (consensus(one).graders for one in (grades, pd.concat([grades, single], ignore_index=True)))
    tables = [name for name in alone if name.startswith(("lens_", "other_"))]
    np.testing.assert_allclose(alone[tables], beside[tables])


def test_consensus_matches_the_slow_loop():
    grades, truth = drawn_grades(3, n=60)
    gold = gold_of(truth, [f"o{i}" for i in range(12)])
    slow = naive(grades, dict(zip(gold["object_id"], gold["truth"], strict=True)), 20.0, steps=120)
    found = consensus(grades, gold=gold, tempering=0.0).objects
    np.testing.assert_allclose(found["q_grades"], [slow[o] for o in found["object_id"]], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    data=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 3)),
        min_size=1,
        max_size=60,
        unique_by=lambda row: row[:2],
    ),
    shrinkage=st.sampled_from([0.0, 1.0, 20.0]),
    n_gold=st.integers(0, 4),
)
def test_the_posterior_never_decreases(data, shrinkage, n_gold):
    object_of, grader_of, label_of = np.array(data).T
    truth = np.full(10, np.nan)
    truth[:n_gold] = np.arange(n_gold) % 2
    found = fit_tables(object_of, grader_of, label_of, truth, n_graders=4, prevalence=None, shrinkage=shrinkage)
    assert np.all(np.diff(found.history) > -1e-7)
    assert np.all((found.q >= 0.0) & (found.q <= 1.0))
    np.testing.assert_allclose(found.tables.sum(axis=2), 1.0)


def test_classes_are_not_swapped():
    grades, truth = drawn_grades(5, prevalence=0.8)
    found = consensus(grades).objects
    assert np.corrcoef(found["q_grades"], truth[found["object_id"]])[0, 1] > 0.7


def test_u_is_a_missing_label():
    grades, _ = drawn_grades(0, n=40)
    more = pd.DataFrame({"object_id": ["o1", "new"], "grader": ["g9", "g0"], "grade": ["U", "U"]})
    plain, found = consensus(grades), consensus(pd.concat([grades, more], ignore_index=True))
    assert np.isnan(found.objects["q_grades"].iloc[-1])
    assert found.objects["n_graders"].iloc[-1] == 0
    assert found.objects["n_grades"].iloc[-1] == 1
    np.testing.assert_allclose(found.objects["q_grades"][:-1], plain.objects["q_grades"], atol=1e-9)


def test_the_latest_of_two_grades_counts():
    grades, _ = drawn_grades(0, n=40)
    grades["t_graded"] = "2026-01-02T00:00:00.000Z"
    first = grades.iloc[[0]].assign(grade="A" if grades["grade"][0] != "A" else "X")
    found = consensus(pd.concat([grades, first.assign(t_graded="2026-01-01T00:00:00.000Z")], ignore_index=True))
    pd.testing.assert_series_equal(found.objects["q_grades"], consensus(grades).objects["q_grades"])
    assert found.objects["n_grades"][0] == consensus(grades).objects["n_grades"][0] + 1


def test_gold_is_fixed_and_informs_the_tables():
    tables = np.array([[0.6, 0.2, 0.1, 0.1], [0.01, 0.04, 0.05, 0.9]])
    grades, truth = drawn_grades(7, n=2000, tables=tables, coverage=1.0)
    gold = gold_of(truth, [f"o{i}" for i in range(1500)])
    found = consensus(grades, gold=gold)
    objects = found.objects.set_index("object_id")
    np.testing.assert_array_equal(objects.loc[gold["object_id"], "q_grades"], gold["truth"])
    measured = found.graders[[f"lens_{x}" for x in LABELS] + [f"other_{x}" for x in LABELS]].to_numpy()
    np.testing.assert_allclose(measured, np.tile(tables.ravel(), (3, 1)), atol=0.05)
    assert (found.graders["n_gold"] == 1500).all()


def test_a_new_grader_is_like_the_others():
    grades, _ = drawn_grades(1)
    one = pd.DataFrame({"object_id": ["o3"], "grader": ["new"], "grade": ["A"]})
    found = consensus(pd.concat([grades, one], ignore_index=True)).graders.set_index("grader")
    columns = [name for name in found if name.startswith(("lens_", "other_"))]
    assert np.abs(found.loc["new", columns] - found.loc["g0", columns]).max() < 0.15


def test_tempering_weakens_several_grades_and_not_one():
    """At a tempering of 0.5, three grades by object count half as much, and single grades are unchanged."""
    grades, _ = drawn_grades(2, coverage=1.0)
    prior = logit(consensus(grades).prevalence)
    plain, half = (logit(consensus(grades, tempering=t).objects["q_grades"]) - prior for t in (0.0, 0.5))
    np.testing.assert_allclose(half, plain / 2.0, rtol=1e-6)
    single = grades[grades["grader"] == "g0"]
    pd.testing.assert_frame_equal(consensus(single, tempering=1.0).objects, consensus(single, tempering=0.0).objects)


def test_probabilities_of_a_single_grader_follow_the_grades():
    grades, _ = drawn_grades(2, n_graders=1, coverage=1.0)
    grade = grades.set_index("object_id")["grade"]
    found = consensus(grades).objects.set_index("object_id").assign(grade=grade)
    by_grade = found.groupby("grade")["q_grades"].first()
    assert by_grade["A"] > 0.9 > by_grade["B"] > by_grade["C"] > 0.1 > by_grade["X"]


def test_tempering_from_gold():
    grades, truth = drawn_grades(4, n=800, coverage=1.0)
    gold = gold_of(truth, [f"o{i}" for i in range(400)])
    assert consensus(grades, gold=gold, tempering="gold").tempering < 0.1
    # Each grader copies the first one, so all labels of an object count as one.
    first = grades[grades["grader"] == "g0"].set_index("object_id")["grade"]
    copied = grades.assign(grade=first[grades["object_id"]].to_numpy())
    assert consensus(copied, gold=gold, tempering="gold").tempering > 0.95
    assert consensus(grades, gold=gold[:20], tempering="gold").tempering == 0.3


def test_the_model_is_used_as_a_prior():
    grades, truth = drawn_grades(6, n=400)
    p = pd.Series(np.where(truth == 1, 0.8, 0.2), index=truth.index)
    p["o5"] = np.nan
    found = consensus(grades, p=p, shift=False)
    table = found.objects.set_index("object_id")
    odds = logit(table["q_grades"]) - logit(found.prevalence) + logit(p[table.index])
    np.testing.assert_allclose(table["q_all"], expit(odds), atol=1e-9)
    assert np.isnan(table["q_all"]["o5"]) and not np.isnan(table["q_grades"]["o5"])
    pd.testing.assert_series_equal(consensus(grades).objects["q_grades"], found.objects["q_grades"])
    assert consensus(grades).objects["q_all"].isna().all()


def test_the_shift_corrects_the_prevalence_of_the_model():
    grades, truth = drawn_grades(6, n=3000, coverage=1.0)
    right = np.where(np.random.default_rng(0).random(3000) < np.where(truth == 1, 0.8, 0.2), 0.63, 0.097)
    p = pd.Series(expit(logit(right) - 3.0), index=truth.index)
    assert consensus(grades, p=p).shift == pytest.approx(3.0, abs=0.35)


@pytest.mark.parametrize("columns", [["object_id", "grader", "grade"], ["object_id", "grader", "grade", "t_graded"]])
def test_no_grades(columns):
    found = consensus(pd.DataFrame(columns=columns), p=pd.Series(dtype=float))
    assert len(found.objects) == len(found.graders) == 0
    assert list(found.objects) == ["object_id", "n_grades", "n_graders", "q_grades", "q_all"]
    assert np.isnan(found.prevalence)


def test_unanimous_x_grades_leave_no_lens():
    grades = pd.DataFrame(
        {"object_id": np.repeat(np.arange(50).astype(str), 2), "grader": ["a", "b"] * 50, "grade": "X"}
    )
    assert consensus(grades).objects["q_grades"].max() < 0.05


def test_invalid_input_has_a_clear_message():
    grades, _ = drawn_grades(0, n=20)
    with pytest.raises(GridlensError, match="Got 'D' instead in 1 rows"):
        consensus(pd.concat([grades, grades[:1].assign(grade="D")]))
    with pytest.raises(GridlensError, match="It lacks grader"):
        consensus(grades.drop(columns="grader"))
    with pytest.raises(TypeError, match="must be a DataFrame"):
        consensus([("o1", "g", "A")])
    with pytest.raises(GridlensError, match="Got two for o1"):
        consensus(grades, gold=pd.DataFrame({"object_id": ["o1", "o1"], "truth": [0, 1]}))
    with pytest.raises(GridlensError, match="truth of 1"):
        consensus(grades, gold=pd.DataFrame({"object_id": ["o1"], "truth": [2]}))
    with pytest.raises(ValueError, match="'tempering' parameter"):
        consensus(grades, tempering=2.0)
    with pytest.raises(ValueError, match="'shrinkage' parameter"):
        consensus(grades, shrinkage=-1.0)
    with pytest.raises(ValueError, match="'prevalence' parameter"):
        consensus(grades, prevalence=0.0)
    with pytest.raises(ValueError, match=r"from 0 to 1\. Got 7"):
        consensus(grades, p=pd.Series([7.0], index=[grades["object_id"][0]]))
    with pytest.raises(TypeError, match="Series by object id"):
        consensus(grades, p=[0.5])
