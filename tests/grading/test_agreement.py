"""Tests of the agreement of graders with each other, with themselves and with gold."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from gridlens.errors import GridlensError
from gridlens.grading import agreement


def grades_of(grader, grades, ids=None, **columns):
    ids = [f"o{k}" for k in range(len(grades))] if ids is None else ids
    return pd.DataFrame({"object_id": ids, "grader": grader, "grade": list(grades), **columns})


def two_graders(n=200, seed=0, agree=0.7):
    rng = np.random.default_rng(seed)
    one = rng.choice(list("ABCX"), n, p=[0.1, 0.2, 0.2, 0.5])
    other = np.where(rng.random(n) < agree, one, rng.choice(list("ABCX"), n))
    return grades_of("ada", one), grades_of("ben", other)


def test_kappa_matches_scikit_learn():
    ada, ben = two_graders()
    found = agreement(pd.concat([ada, ben.sample(frac=1.0, random_state=0)]))
    theirs = cohen_kappa_score(ada["grade"], ben["grade"], labels=list("ABCX"), weights="quadratic")
    line = found.pairs.iloc[0]
    assert (line["grader"], line["other"], line["n_objects"]) == ("ada", "ben", 200)
    assert line["kappa"].value == pytest.approx(theirs)
    # For two exchangeable graders, each pair counts in both orders.
    both = cohen_kappa_score(
        np.r_[ada["grade"], ben["grade"]], np.r_[ben["grade"], ada["grade"]], labels=list("ABCX"), weights="quadratic"
    )
    assert found.kappa.value == pytest.approx(both)
    assert found.kappa.low < both < found.kappa.high


def test_the_interval_matches_a_bootstrap_of_objects():
    ada, ben = two_graders(120)
    line = agreement(pd.concat([ada, ben]), n_boot=4000).pairs.iloc[0]
    rng = np.random.default_rng(1)
    rows = rng.integers(120, size=(500, 120))
    pairs = [(ada["grade"].to_numpy()[r], ben["grade"].to_numpy()[r]) for r in rows]
    slow = [cohen_kappa_score(*pair, labels=list("ABCX"), weights="quadratic") for pair in pairs]
    np.testing.assert_allclose(line["kappa"][1:3], np.quantile(slow, [0.025, 0.975]), atol=0.03)


def test_few_objects_are_not_resolvable():
    ada, ben = two_graders(9)
    found = agreement(pd.concat([ada, ben]))
    assert str(found.kappa) == str(found.pairs.loc[0, "kappa"]) == "not resolvable with 9 shared objects"
    same = agreement(pd.concat([grades_of("ada", "X" * 20), grades_of("ben", "X" * 20)]))
    assert str(same.kappa) == "not resolvable with one grade in all 20 shared objects"
    perfect = agreement(pd.concat([grades_of("ada", "AX" * 10), grades_of("ben", "AX" * 10)])).kappa
    assert perfect.value == perfect.high == 1.0 and 0.8 < perfect.low < 0.9
    assert "0 gold lenses" not in str(found.gold) and found.gold.empty and found.completeness.empty


def test_repeats_are_compared_with_the_previous_label():
    times = [f"2026-01-0{k}T00:00:00.000Z" for k in (3, 1, 2, 1, 2)]
    grades = grades_of("ada", "AABXU", ids=["a", "a", "a", "b", "b"], t_graded=times)
    found = agreement(pd.concat([grades, grades_of("ben", "X", ids=["a"], t_graded=times[:1])])).repeats
    # In order of time the labels are A, B, A; U is not a label.
    assert found["n_repeats"].tolist() == [2, 0]
    assert found.loc[0, "same"].value == 0.0
    assert str(found.loc[1, "same"]) == "not resolvable with 0 repeats"
    assert agreement(grades_of("ada", "AA", ids=["a", "a"])).repeats.loc[0, "same"].value == 1.0


def test_gold_confusion_and_completeness():
    ids = [f"g{k}" for k in range(8)]
    gold = pd.DataFrame({"object_id": ids, "truth": [1] * 5 + [0] * 3})
    grades = pd.concat([grades_of("ada", "ABCXUXXA", ids=ids), grades_of("ben", "AAAA", ids=ids[:4])])
    found = agreement(grades, gold, snr=pd.Series([30.0, 30.0, 3.0, 3.0, 12.0], index=ids[:5]))
    ada = found.gold.set_index(["grader", "truth"]).loc["ada"]
    assert ada.loc[1, list("ABCXU")].tolist() == [1, 1, 1, 1, 1]
    assert ada.loc[0, list("ABCXU")].tolist() == [1, 0, 0, 2, 0]
    assert ada.loc[1, "found"].value == pytest.approx(0.4)
    assert ada.loc[0, "found"].value == pytest.approx(1 / 3)
    assert (
        str(found.gold.set_index(["grader", "truth"]).loc[("ben", 0), "found"])
        == "not resolvable with 0 other gold objects"
    )
    table = found.completeness.set_index("snr_low")
    assert table["n_objects"].tolist() == [2, 0, 1, 2, 0]
    assert table.loc[20.0, "completeness"].value == 1.0
    assert table.loc[0.0, "completeness"].value == 0.5
    assert table.loc[10.0, "completeness"].value == 0.0


def test_median_seconds():
    shown = ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:10.000Z", ""]
    graded = ["2026-01-01T00:00:02.500Z", "2026-01-01T00:00:15.500Z", "2026-01-01T00:00:20.000Z"]
    found = agreement(grades_of("ada", "AXX", t_shown=shown, t_graded=graded)).seconds
    assert found.loc[0].tolist() == ["ada", 2, 4.0]
    assert agreement(grades_of("ada", "AX")).seconds.loc[0, "n_images"] == 0


def test_no_grades_and_bad_input():
    found = agreement(pd.DataFrame(columns=["object_id", "grader", "grade", "t_shown", "t_graded"]))
    assert str(found.kappa) == "not resolvable with 0 shared objects"
    assert found.pairs.empty and found.repeats.empty and found.seconds.empty
    with pytest.raises(GridlensError, match="It lacks grade"):
        agreement(pd.DataFrame({"object_id": ["1"], "grader": ["ada"]}))
