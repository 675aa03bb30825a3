"""Tests of how training works through cutouts: each is measured once, and kept until the model is written."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from gridlens import CutoutSet, LensDetector, load_model, train
from gridlens.cutouts import write_npz
from gridlens.errors import GridlensError
from gridlens.features import GridPatchExtractor
from gridlens.models import read_manifest
from gridlens.sources import FileSource
from gridlens.training import Recipe

LINEAR = ("linear(turns=False)",)
FILES, EACH = 6, 20
pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")


@pytest.fixture(scope="module")
def cutouts(tmp_path_factory):
    """Write files of cutouts, every other cutout with an arc."""
    folder = tmp_path_factory.mktemp("data") / "cutouts"
    folder.mkdir()
    pixels = np.random.default_rng(0).normal(size=(FILES, EACH, 64, 64, 3)).astype(np.float32)
    pixels[:, 1::2, 10:14, 20:44] += 30.0
    for k in range(FILES):
        ids = [f"{k}-{j}" for j in range(EACH)]
        write_npz(folder / f"{k}.npz", CutoutSet(pixels[k], pixel_scale=0.5, ids=ids))
    return folder


@pytest.fixture
def labels():
    ids = [f"{k}-{j}" for k in range(FILES) for j in range(EACH)]
    calibration = [int(k >= 4) for k in range(FILES) for _ in range(EACH)]
    return pd.DataFrame({"id": ids, "label": [j % 2 for _ in range(FILES) for j in range(EACH)]}).assign(
        calibration=calibration
    )


@pytest.fixture
def measurements(monkeypatch):
    """Count how often each cutout is measured, in this process."""
    counts = Counter()

    def counting(original):
        def call(self, X):
            counts.update(X.ids.tolist())
            return original(self, X)

        return call

    for name in ("extract", "transform"):
        monkeypatch.setattr(GridPatchExtractor, name, counting(getattr(GridPatchExtractor, name)))
    return counts


def test_cutouts_are_measured_once_for_a_member_on_cutouts(cutouts, labels, measurements):
    trained = train(cutouts, labels, members=(*LINEAR, "polar"), n_jobs=1)
    assert "80 cutouts, 40 of them lenses" in trained.card
    assert "Calibrated on 40 rows" in trained.card
    assert measurements == Counter(labels["id"].tolist())


@pytest.mark.slow
def test_scenes_are_measured_once_for_a_member_on_cutouts(measurements):
    recipe = Recipe(surveys=("hsc",), n_train=24, n_calibrate=24, calibrate_lens_fraction=0.5, n_test=16)
    train(recipe=recipe, members=(*LINEAR, "polar"), n_jobs=1)
    assert len(measurements) == recipe.n_scenes
    assert set(measurements.values()) == {1}


@pytest.mark.slow
def test_the_model_matches_a_detector_on_the_same_cutouts(cutouts, labels):
    known = labels.drop(columns="calibration").sample(frac=1.0, random_state=1)
    known.loc[known["id"] == "2-3", "label"] = None
    trained = train(cutouts, known, members=(*LINEAR, "polar"), n_jobs=1)
    whole = CutoutSet.read(cutouts)
    kept = whole[whole.ids != "2-3"]
    y = np.array([int(name.split("-")[1]) % 2 for name in kept.ids])
    # The table has no clusters, so each of its rows counts as a cluster.
    group = pd.Series(np.arange(len(known)), index=known["id"])[kept.ids].to_numpy()
    expected = LensDetector((*LINEAR, "polar"), random_state=0).fit(kept, y, groups=group)
    np.testing.assert_array_equal(trained.detector.predict_proba(whole), expected.predict_proba(whole))
    assert trained.path is None
    assert trained.notes == ["1 cutouts have no label and are left out: 2-3."]


@pytest.fixture
def one_file_a_partition(monkeypatch):
    monkeypatch.setattr("gridlens.sources._files._PARTITION_CUTOUTS", 1)


@pytest.mark.usefixtures("one_file_a_partition")
def test_an_interrupted_training_is_resumed(cutouts, labels, measurements, tmp_path, monkeypatch):
    out = tmp_path / "model"

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(LensDetector, "fit", interrupt)
        train(cutouts, labels, out=out, members=LINEAR, n_jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["model.parts"]
    with pytest.raises(GridlensError, match="holds the finished parts of an earlier run"):
        train(cutouts, labels, out=out, members=LINEAR, n_jobs=1)
    next((tmp_path / "model.parts").glob("part-*3.parquet")).unlink()
    measurements.clear()
    done = []
    train(cutouts, labels, out=out, members=LINEAR, n_jobs=1, resume=True, progress=done.append)
    assert sum(done) == FILES * EACH
    assert sorted(measurements) == sorted(f"3-{j}" for j in range(EACH))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    train(cutouts, labels, out=tmp_path / "undisturbed", members=LINEAR, n_jobs=1)
    assert (out / "detector.json").read_bytes() == (tmp_path / "undisturbed" / "detector.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model", "model.zip"])
def test_a_bundle_is_replaced_only_on_request(cutouts, labels, tmp_path, name):
    out = tmp_path / name
    train(cutouts, labels, out=out, members=LINEAR, n_jobs=1)
    with pytest.raises(GridlensError, match=r"is not empty|exists"):
        train(cutouts, labels, out=out, members=LINEAR, n_jobs=1, resume=True)
    train(cutouts, labels, out=out, members=("ranked",), n_jobs=1, overwrite=True)
    assert load_model(out).member_names_ == ["ranked"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_of_other_files_is_never_replaced(cutouts, labels, tmp_path):
    (tmp_path / "thesis.tex").write_text("a draft")
    with pytest.raises(GridlensError, match="is not a model bundle, and is not replaced"):
        train(cutouts, labels, out=tmp_path, members=LINEAR, n_jobs=1, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "a draft"


def test_a_pool_of_cutouts_is_measured_and_resumed_too(cutouts, labels, measurements, tmp_path, monkeypatch):
    pool = tmp_path / "pool.npz"
    pixels = np.random.default_rng(5).normal(size=(130, 64, 64, 3)).astype(np.float32)
    # Rows of the pool that have a label must be left out.
    ids = [*labels["id"][:10], *(f"new-{k}" for k in range(120))]
    write_npz(pool, CutoutSet(pixels, pixel_scale=0.5, ids=ids))
    chosen = {"out": tmp_path / "model", "members": LINEAR, "n_jobs": 1, "pool": FileSource([pool])}

    def fail(*_, **__):
        raise ValueError("no")

    with monkeypatch.context() as patched, pytest.raises(GridlensError, match=r"^no$"):
        patched.setattr(LensDetector, "fit", fail)
        train(cutouts, labels, **chosen)
    assert {path.name for path in tmp_path.iterdir()} == {"pool.npz", "model.parts", "model.pool.parts"}
    measurements.clear()
    trained = train(cutouts, labels, **chosen, resume=True)
    assert not measurements
    assert "Of 120 unlabelled cutouts the 5 with the highest scores" in trained.card
    assert {path.name for path in tmp_path.iterdir()} == {"pool.npz", "model"}
    mined = read_manifest(tmp_path / "model")["training"]["mined"]
    assert (mined["pool"], mined["taken"]) == (120, 5)
    assert mined["sources"][0]["path"] == str(pool)


def test_cutouts_of_two_sizes_require_members_on_features(cutouts, labels, tmp_path):
    known = pd.concat([labels, pd.DataFrame({"id": ["large"], "label": [1], "calibration": [0]})])
    rng = np.random.default_rng(1)
    write_npz(tmp_path / "large.npz", CutoutSet(rng.normal(size=(1, 80, 80, 3)), pixel_scale=0.5, ids=["large"]))
    paths = [cutouts, tmp_path / "large.npz"]
    assert "81 cutouts" in train(paths, known, members=LINEAR, n_jobs=1).card
    with pytest.raises(GridlensError, match=r"of one size\. Got cutouts of 64 x 64 px and 80 x 80 px instead"):
        train(paths, known, members=("polar",), n_jobs=1)


def test_labels_of_a_frame_and_of_a_file_are_the_same(cutouts, labels, tmp_path):
    labels.to_csv(tmp_path / "labels.csv", index=False)
    one, two = (train(cutouts, given, members=LINEAR, n_jobs=1) for given in (labels, tmp_path / "labels.csv"))
    assert one.card == two.card
