"""Tests of queues of objects to grade."""

import time

import numpy as np
import pandas as pd
import pytest

from gridlens.errors import GridlensError
from gridlens.grading import make_queue


def candidates(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    described = ("arc_distance", "arcness", "arc_color_gr", "arc_snr")
    table = pd.DataFrame(
        {
            "id": [f"c{k:04d}" for k in range(n)],
            "score": score,
            "p_lens": score / 10.0,
            "status": "ok",
            "disagreement": rng.random(n),
            **{name: rng.normal(size=n) for name in described},
        }
    )
    table.loc[::50, ["score", "p_lens", "disagreement"]] = np.nan
    table.loc[::50, "status"] = "rejected"
    table.loc[::7, "arcness"] = np.nan
    return table


GOLD, DONE = [f"g{k}" for k in range(20)], [f"c{k:04d}" for k in range(1, 200) if k % 50]


def queue(**changes):
    return make_queue(candidates(), **{"gold": GOLD, "graded": DONE, "repeats": DONE, **changes})


def test_the_mix_of_a_hundred():
    items = queue()
    assert list(items) == ["position", "object_id", "kind", "p", "score", "inclusion_probability", "stratum"]
    assert items["kind"].value_counts().to_dict() == {
        "top": 75, "committee": 8, "diverse": 5, "random": 5, "gold": 4, "repeat": 3
    }  # fmt: skip
    assert items["object_id"].is_unique
    assert items["position"].tolist() == list(range(100))
    assert items.attrs["notes"] == []
    assert items.attrs["n_pool"] == 2000 - 40 - len(DONE)


def test_items_match_their_kind():
    table, items = candidates().set_index("id"), queue()
    of = {kind: part["object_id"] for kind, part in items.groupby("kind")}
    free = table[(table["status"] == "ok") & ~table.index.isin(DONE)].sort_values("score", ascending=False)
    assert set(of["top"]) == set(free.index[:75])
    others = free[75:].drop(of["committee"])
    upper = others[: 10 * 100 - 75 - 8]
    assert table.loc[of["committee"], "disagreement"].min() > upper["disagreement"].max()
    assert set(of["gold"]) <= set(GOLD)
    assert set(of["repeat"]) <= set(DONE)
    assert not set(items["object_id"]) & set(table.index[table["status"] == "rejected"])
    assert not set(items.loc[items["kind"] != "repeat", "object_id"]) & set(DONE)
    kept = items[items["kind"] == "top"].set_index("object_id")
    np.testing.assert_array_equal(kept["score"], table.loc[kept.index, "score"])
    np.testing.assert_array_equal(kept["p"], table.loc[kept.index, "p_lens"])


def test_random_items_have_their_inclusion_probability():
    items = queue()
    chosen = items[items["kind"] == "random"].sort_values("stratum")
    n_rest = items.attrs["n_pool"] - 88
    assert chosen["stratum"].tolist() == ["1", "2", "3", "4", "5"]
    assert (1.0 / chosen["inclusion_probability"]).sum() == pytest.approx(n_rest)
    assert chosen["score"].is_monotonic_decreasing
    certain = items[items["kind"].isin(["top", "committee", "diverse"])]
    assert (certain["inclusion_probability"] == 1.0).all() and certain["stratum"].isna().all()
    assert items.loc[items["kind"].isin(["gold", "repeat"]), "inclusion_probability"].isna().all()


def test_inclusion_probabilities_match_the_draws():
    table = candidates(60).assign(disagreement=np.nan)
    drawn = pd.Series(0.0, index=table["id"])
    for seed in range(150):
        items = make_queue(table, strategy="random", batch=7, random_state=seed)
        drawn[items["object_id"]] += 1.0 / items["inclusion_probability"].to_numpy() / 150
    usable = drawn[table["status"].to_numpy() == "ok"]
    assert usable.mean() == pytest.approx(1.0)
    assert (usable - 1.0).abs().max() < 1.0  # more than 4 standard deviations of 0.22


@pytest.mark.parametrize("batch", [1, 2, 10, 37, 250, 1000])
def test_other_sizes(batch):
    items = queue(batch=batch)
    assert len(items) == batch
    assert items["object_id"].is_unique


@pytest.mark.parametrize(("strategy", "kind"), [("top", "top"), ("random", "random")])
def test_other_strategies(strategy, kind):
    items = queue(strategy=strategy)
    assert items["kind"].value_counts().to_dict() == {kind: 93, "gold": 4, "repeat": 3}
    alone = make_queue(candidates(), strategy=strategy)
    assert set(alone["kind"]) == {kind}
    assert len(alone) == 100
    assert "0 of 4 gold objects" in alone.attrs["notes"][0]


def test_relabels_replace_top_objects():
    items = queue(relabel=DONE[:10])
    assert items["kind"].value_counts()[["top", "relabel"]].tolist() == [65, 10]
    many = queue(relabel=DONE[:120])
    assert many["kind"].value_counts()["relabel"] == 75
    assert "45 of 120 objects to relabel have no place" in many.attrs["notes"][0]


def test_gold_is_never_chosen_for_its_score():
    best = candidates().sort_values("score", ascending=False)["id"][:5].tolist()
    items = queue(gold=best)
    assert set(items.loc[items["object_id"].isin(best), "kind"]) == {"gold"}
    assert items["kind"].value_counts()["gold"] == 4
    assert set(queue(gold=GOLD, graded=GOLD[:16]).query("kind == 'gold'")["object_id"]) == set(GOLD[16:])


def test_unfilled_places_are_given_to_top_objects():
    plain = candidates()[["id", "score"]]
    items = make_queue(plain)
    assert items["kind"].value_counts().to_dict() == {"top": 95, "random": 5}
    assert items["p"].isna().all()
    assert len(items.attrs["notes"]) == 4


def test_a_small_pool_gives_a_shorter_queue():
    items = make_queue(candidates(30), batch=100)
    assert len(items) == 29
    assert "29 objects instead of 100" in items.attrs["notes"][-1]
    empty = make_queue(candidates(0))
    assert len(empty) == 0 and empty.attrs["n_pool"] == 0


def test_the_order_hides_the_kind_and_is_reproducible():
    pd.testing.assert_frame_equal(queue(random_state=3), queue(random_state=3))
    again, later = (queue(graded=done).query("kind == 'gold'")["object_id"].tolist() for done in (DONE, DONE[1:]))
    assert again != later, "rounds with the same seed draw the same objects"
    places = np.array([queue(random_state=s).query("kind == 'random'")["position"].mean() for s in range(20)])
    assert abs(places.mean() - 49.5) < 4 * 29 / np.sqrt(100)
    large = queue(batch=400, gold=[f"g{k}" for k in range(50)])
    top = large[large["kind"] == "top"]
    assert top["score"][top["position"] < 100].min() > top["score"][top["position"] >= 100].max()
    assert (large.groupby(large["position"] // 100)["kind"].nunique() > 3).all()


def test_diverse_objects_differ():
    items, table = queue(), candidates().set_index("id")
    names = ["arc_distance", "arcness", "arc_color_gr", "arc_snr"]
    diverse = table.loc[items.query("kind == 'diverse'")["object_id"], names].abs().max(axis=1)
    top = table.loc[items.query("kind == 'top'")["object_id"], names].abs().max(axis=1)
    assert diverse.min() > top.median()


def test_ties_of_a_calibrated_probability_are_ordered_by_score():
    table = candidates().assign(p_lens=0.1)
    assert set(make_queue(table, strategy="top", batch=10)["object_id"]) == set(table.nlargest(10, "score")["id"])


def test_invalid_input_has_a_clear_message():
    table = candidates(20)
    with pytest.raises(TypeError, match="'candidates' parameter must be a DataFrame"):
        make_queue(["a"])
    with pytest.raises(GridlensError, match="columns object_id or id, and score or p_lens"):
        make_queue(table[["id"]])
    with pytest.raises(GridlensError, match="Got c0003 twice"):
        make_queue(pd.concat([table, table[3:4]]))
    with pytest.raises(GridlensError, match="Got a blank instead"):
        make_queue(table.assign(id=[None, *table["id"][1:]]))
    with pytest.raises(ValueError, match="'strategy' parameter must be one of mix, top, random"):
        make_queue(table, strategy="best")
    with pytest.raises(ValueError, match="'batch' parameter"):
        make_queue(table, batch=0)


@pytest.mark.slow
def test_half_a_million_candidates():
    table = candidates(500_000)
    begin = time.perf_counter()
    make_queue(table, graded=DONE, gold=GOLD)
    assert time.perf_counter() - begin < 10.0
