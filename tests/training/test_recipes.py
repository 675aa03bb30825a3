"""Tests of models of simulated scenes."""

import dataclasses

import numpy as np
import pytest

from gridlens import CutoutSet, load_model, train
from gridlens.cutouts import write_npz
from gridlens.errors import GridlensError
from gridlens.features import GridPatchExtractor, Measured, measure
from gridlens.models import read_manifest
from gridlens.simulate import RANDOMISED, SceneSettings, scenes_to_cutouts, simulate_scene
from gridlens.training import RECIPES, Recipe
from gridlens.training._mine import mine
from gridlens.training._scenes import measured_scenes
from gridlens.training._simulated import simulated_set

TINY = Recipe(
    surveys=("hsc",),
    n_train=96,
    n_calibrate=112,
    calibrate_lens_fraction=0.5,
    n_test=64,
    train_seed=11,
    calibrate_seed=12,
    test_seed=13,
)


def scenes(n, seed, surveys=("hsc",), **options):
    """Return the measured scenes and the truth of each."""
    blocks = list(measured_scenes(n, seed, surveys, **options))
    return Measured.concatenate([measured for measured, _ in blocks]), [row for _, truth in blocks for row in truth]


@pytest.mark.slow
def test_scenes_do_not_depend_on_the_number_of_processes():
    one, truth = scenes(70, 5, n_jobs=1)
    two, same = scenes(70, 5, n_jobs=2)
    np.testing.assert_array_equal(one.features, two.features)
    assert [row["id"] for row in truth] == [row["id"] for row in same] == one.ids.tolist()
    assert one.features.shape == (70, 315)
    assert one.cutouts is None
    assert {row["label"] for row in truth} == {0, 1}


def test_rejected_scenes_are_excluded_and_counted_on_the_card(tmp_path, monkeypatch):
    (block,) = measured_scenes(8, 5, ("hsc",), n_jobs=1)
    measured, truth = block
    bad = dataclasses.replace(measured, rejected=np.arange(8) == 3)
    monkeypatch.setattr("gridlens.training._simulated.measured_scenes", lambda *_, **__: [(bad, truth)])
    tiny = dataclasses.replace(TINY, n_train=8, n_calibrate=8, n_test=8)
    taught = simulated_set(tiny, tmp_path, pixels=False, n_jobs=1, progress=lambda _: None)
    assert taught.learn.store.measured().ids.tolist() == [row["id"] for k, row in enumerate(truth) if k != 3]
    assert taught.learn.label.tolist() == [row["label"] for k, row in enumerate(truth) if k != 3]
    assert taught.notes == ["3 of the 24 scenes would be rejected in scoring and are left out."]


def test_scenes_have_the_quality_flags_of_scored_cutouts(monkeypatch):
    scene = simulate_scene(5, 0, settings=SceneSettings(("hsc",)))
    scene.pixels[40:60] = np.nan
    monkeypatch.setattr("gridlens.simulate.simulate_scene", lambda *_, **__: scene)
    measured, _ = scenes(1, 5, n_jobs=1)
    expected = measure(scenes_to_cutouts([scene]))
    assert measured.flags[0] == expected.flags[0] != 0
    assert measured.rejected[0] == expected.rejected[0]
    assert measured.messages[0] == expected.messages[0]


@pytest.mark.slow
def test_a_small_recipe_makes_a_model_that_scores(tmp_path):
    done = []
    trained = train(recipe=TINY, members=("nnpu",), out=tmp_path / "model", n_jobs=2, progress=done.append)
    assert sum(done) == TINY.n_scenes
    assert "| all arcs | " in trained.card
    assert "64 simulated test scenes of the canonical geometry" in trained.card
    assert (trained.notes, trained.path) == ([], tmp_path / "model")
    detector = load_model(tmp_path / "model")
    assert detector.member_names_ == ["nnpu"]
    measured, _ = scenes(4, 14, n_jobs=1)
    p = detector.predict_proba(measured)[:, 1]
    assert ((p > 0) & (p < 1)).all()
    np.testing.assert_array_equal(trained.detector.predict_proba(measured)[:, 1], p)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*positives are fewer than the:UserWarning")
def test_a_pool_is_mined_and_a_stack_is_compared_with_its_first_member(tmp_path):
    rows = [simulate_scene(15, k, SceneSettings(("hsc",), lens_fraction=0.0, varied_fraction=0.0)) for k in range(110)]
    write_npz(tmp_path / "pool.npz", scenes_to_cutouts(rows))
    recipe = dataclasses.replace(TINY, members=("ranked", "linear"), mined_fraction=0.5)
    done = []
    trained = train(recipe=recipe, pool=tmp_path / "pool.npz", out=tmp_path / "model", n_jobs=2, progress=done.append)
    assert sum(done) == recipe.n_scenes + 110
    # 11 is a tenth of the pool, which is less than 48, half of the 96 rows.
    assert "Of 110 unlabelled cutouts the 11 with the highest scores in a first round" in trained.card
    assert "In AUROC the stack is " in trained.card
    assert "| linear | " in trained.card
    mined = read_manifest(tmp_path / "model")["training"]["mined"]
    assert mined["taken"] == 11
    assert 5 < mined["weight"] <= 11
    assert [path.name for path in tmp_path.iterdir() if "parts" in path.name] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*positives are fewer than the:UserWarning")
def test_a_member_on_cutouts_gets_the_cutouts(tmp_path):
    recipe = dataclasses.replace(TINY, n_train=48, n_calibrate=32, n_test=24, members=("linear", "polar"))
    trained = train(recipe=recipe, out=tmp_path / "model.zip", n_jobs=2)
    assert "A stack of linear, polar" in trained.card
    measured, truth = scenes(4, 14, pixels=True, n_jobs=1)
    assert measured.cutouts.pixels.shape == (4, 128, 128, 3)
    np.testing.assert_array_equal(measured.cutouts.bcg_xy, [(row["bcg_x"], row["bcg_y"]) for row in truth])
    p = load_model(tmp_path / "model.zip").predict_proba(measured)[:, 1]
    assert ((p > 0) & (p < 1)).all()
    again = GridPatchExtractor(metadata="all").transform(measured.cutouts)
    np.testing.assert_array_equal(again, measured.features)
    with pytest.raises(GridlensError, match=r"a pool is kept as features\. Got 'polar' among the members"):
        train(recipe=recipe, out=tmp_path / "other", pool="examples/cutouts")


def test_a_pool_that_is_too_small_is_refused_before_anything_is_simulated(tmp_path, noise):
    write_npz(tmp_path / "pool.npz", CutoutSet(noise(5, 128), pixel_scale=0.5))
    with pytest.raises(GridlensError, match=r"at least 100 usable cutouts, of which a tenth is mined\. Got 5"):
        train(recipe=TINY, pool=tmp_path / "pool.npz", out=tmp_path / "model", n_jobs=1)


def test_mined_rows_have_the_highest_scores_and_decreasing_weights(detector, calibration_rows):
    X = calibration_rows[0]
    n = len(X)
    nothing = np.full(n, "", dtype=object)
    pool = Measured(nothing, nothing, X, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool), nothing, np.ones(n))
    mined = mine(detector, pool, 1000, prevalence=0.3)
    p = detector.predict_proba(X, prevalence=0.3)[:, 1]
    assert len(mined.weight) == n // 10
    np.testing.assert_allclose(mined.weight, 1 - np.sort(p)[::-1][: n // 10])
    np.testing.assert_array_equal(mined.rows.features[0], X[p.argmax()])
    assert len(mine(detector, pool, 7).weight) == 7


@pytest.mark.slow
def test_cluster_cluster_scenes_have_one_field_with_and_without_a_lens():
    _, truth = scenes(12, 5, canonical=True, target="cluster-cluster", n_jobs=1)
    assert {row["size"] for row in truth} == {192}
    assert {row["kind"] for row in truth} == {"cluster-cluster", "none"}


def test_an_unknown_member_is_refused_before_anything_is_simulated(tmp_path):
    listed = r"among convnet, elkan-noto, embedding, lightgbm, linear, .* Got 'lightgm' instead"
    with pytest.raises(GridlensError, match=listed):
        train(recipe=TINY, members=("lightgm",), out=tmp_path / "model")


def test_default_is_trained_on_plain_scenes_and_deep_on_randomised_ones():
    assert RECIPES["default"] == Recipe()
    assert RECIPES["default"].randomisation == ()
    assert RECIPES["deep"].randomisation == RANDOMISED


def test_the_three_sets_have_different_seeds():
    for recipe in RECIPES.values():
        assert len({recipe.train_seed, recipe.calibrate_seed, recipe.test_seed}) == 3
        assert recipe.n_scenes == sum(
            getattr(recipe, f.name) for f in dataclasses.fields(recipe) if f.name.startswith("n_")
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"recipe": "defualt"}, r"The 'recipe' parameter must be one of 'default', 'deep'.* Got 'defualt' instead"),
        (
            {"recipe": "quick", "metadata": "none"},
            r"The 'metadata' parameter must be one of 'image', .* Got 'none' instead",
        ),
        ({"source": "cutouts/"}, "'source' and 'labels' must be given together"),
        ({"source": "a/", "labels": "b.csv", "recipe": "quick"}, "'recipe' parameter must be None with 'source'"),
        ({}, r"'recipe' parameter must be given. Got neither; recipe=\"quick\" trains .* in minutes"),
        ({"recipe": "quick", "init_model": "default"}, "'init_model' parameter must be None without 'source'"),
        ({"recipe": "quick", "positive_unlabelled": True}, "describe 'labels'"),
        ({"recipe": "quick", "survey": "hsc"}, "need 'source' or 'pool'. Got survey without them"),
    ],
)
def test_incompatible_parameters_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        train(**arguments)


def test_resume_and_overwrite_are_mutually_exclusive():
    with pytest.raises(GridlensError, match="resume=True and overwrite=True are mutually exclusive"):
        train(recipe="quick", resume=True, overwrite=True)


def test_pretrained_members_are_refused_for_simulated_scenes():
    with pytest.raises(GridlensError, match="must not name 'pretrained' for simulated scenes"):
        train(recipe="quick", members=("linear", "pretrained"))
