import dataclasses

import numpy as np
import pytest

from gridlens import CutoutSet, load_model
from gridlens.cutouts import CutoutBatch
from gridlens.errors import GridlensError
from gridlens.features import GridPatchExtractor
from gridlens.models import mine, read_manifest
from gridlens.models.recipe import RECIPES, Recipe, simulate_rows, train_recipe

pytest.importorskip("lenstronomy")
from gridlens.simulate import SceneSettings, scenes_to_cutouts, simulate_scene

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


def test_rows_do_not_depend_on_the_number_of_processes():
    one = simulate_rows(70, 5, n_jobs=1)
    two = simulate_rows(70, 5, n_jobs=2)
    np.testing.assert_array_equal(one.features, two.features)
    assert one.truth.equals(two.truth)
    assert one.features.shape == (70, 315)
    assert set(one.label) == {0, 1}


def test_metadata_are_masked_unless_asked_for():
    rows = simulate_rows(8, 5, n_jobs=1)
    assert np.isnan(rows.features_with("image")[:, 306:]).all()
    assert np.isfinite(rows.features_with("survey")[:, 306:308]).all()
    np.testing.assert_array_equal(rows.features_with("all"), rows.features)


@pytest.mark.slow
def test_a_small_recipe_makes_a_model_that_scores(tmp_path):
    done = []
    recipe = dataclasses.replace(TINY, members=("nnpu",))
    card = train_recipe(tmp_path / "model", recipe, n_jobs=2, progress=done.append)
    assert sum(done) == TINY.n_scenes
    assert "| all arcs | " in card
    assert "64 simulated scenes that it has not seen" in card
    detector = load_model(tmp_path / "model")
    assert detector.member_names_ == ["nnpu"]
    p = detector.predict_proba(simulate_rows(4, 14, ("hsc",), n_jobs=1).features_with("image"))[:, 1]
    assert ((p > 0) & (p < 1)).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*positives are fewer than the:UserWarning")
def test_a_pool_is_mined_and_a_stack_is_held_against_its_first_member(tmp_path):
    rows = [simulate_scene(15, k, SceneSettings(("hsc",), lens_fraction=0.0, varied_fraction=0.0)) for k in range(110)]
    pool = [CutoutBatch(scenes_to_cutouts(rows), [])]
    recipe = dataclasses.replace(TINY, members=("ranked", "linear"), mined_fraction=0.5)
    done = []
    card = train_recipe(tmp_path / "model", recipe, pool=pool, n_jobs=2, progress=done.append)
    assert sum(done) == recipe.n_scenes + 110
    # Half of 96 rows is 48; a tenth of the pool is less.
    assert "Of 110 unlabelled cutouts the 11 that a first round scored highest" in card
    assert "In AUROC the stack is " in card
    assert "| linear | " in card
    mined = read_manifest(tmp_path / "model")["training"]["mined"]
    assert mined["taken"] == 11
    assert 5 < mined["weight"] <= 11


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*positives are fewer than the:UserWarning")
def test_a_member_that_looks_at_cutouts_gets_them(tmp_path):
    recipe = dataclasses.replace(TINY, n_train=48, n_calibrate=32, n_test=24, members=("linear", "polar"))
    card = train_recipe(tmp_path / "model.zip", recipe, n_jobs=2)
    assert "A stack of linear, polar" in card
    detector = load_model(tmp_path / "model.zip")
    rows = simulate_rows(4, 14, ("hsc",), pixels=tmp_path / "pixels.npy", n_jobs=1)
    assert rows.cutouts.pixels.shape == (4, 128, 128, 3)
    np.testing.assert_array_equal(rows.cutouts.bcg_xy, rows.truth[["bcg_x", "bcg_y"]])
    p = detector.predict_proba(rows.cutouts)[:, 1]
    assert ((p > 0) & (p < 1)).all()
    again = GridPatchExtractor(metadata="all").transform(rows.cutouts)
    np.testing.assert_array_equal(again, rows.features)
    with pytest.raises(GridlensError, match="Got 'polar' among the members: a pool is kept as features"):
        train_recipe(tmp_path / "other", recipe, pool=[])


def test_a_pool_that_is_too_small_is_refused_before_anything_is_simulated(tmp_path, noise):
    pool = [CutoutBatch(CutoutSet(noise(5, 128), pixel_scale=0.5), [])]
    with pytest.raises(GridlensError, match=r"at least 100 usable cutouts, of which a tenth is mined\. Got 5"):
        train_recipe(tmp_path / "model", TINY, pool=pool)


def test_mined_rows_are_the_highest_and_weigh_less_the_likelier_they_are(detector, calibration_rows):
    X = calibration_rows[0]
    mined = mine(detector, X, 1000, prevalence=0.3)
    p = detector.predict_proba(X, prevalence=0.3)[:, 1]
    assert len(mined.weight) == len(X) // 10
    np.testing.assert_allclose(mined.weight, 1 - np.sort(p)[::-1][: len(X) // 10])
    np.testing.assert_array_equal(mined.features[0], X[p.argmax()])
    assert len(mine(detector, X, 7).weight) == 7


def test_cluster_cluster_scenes_and_theirs_without_a_lens_have_one_field():
    rows = simulate_rows(12, 5, ("hsc",), canonical=True, target="cluster-cluster", n_jobs=1)
    assert set(rows.truth["size"]) == {192}
    assert set(rows.truth["kind"]) == {"cluster-cluster", "none"}


def test_an_unknown_member_is_refused_before_anything_is_simulated(tmp_path):
    with pytest.raises(GridlensError, match=r"among elkan-noto, lightgbm, linear, .* Got 'lightgm' instead"):
        train_recipe(tmp_path / "model", dataclasses.replace(TINY, members=("lightgm",)))


def test_the_three_sets_share_no_seed():
    for recipe in RECIPES.values():
        assert len({recipe.train_seed, recipe.calibrate_seed, recipe.test_seed}) == 3
        assert recipe.n_scenes == sum(
            getattr(recipe, f.name) for f in dataclasses.fields(recipe) if f.name.startswith("n_")
        )
