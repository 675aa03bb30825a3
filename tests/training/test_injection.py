"""Tests of training on arcs injected into a pool of your own clusters."""

import contextlib
import re

import numpy as np
import pandas as pd
import pytest

from gridlens import CutoutSet, load_model, train
from gridlens.cutouts import get_survey
from gridlens.errors import GridlensError
from gridlens.features import FeatureCacheWriter, measure
from gridlens.models import read_manifest
from gridlens.simulate import ImageSky, inject_arcs
from gridlens.sources import FileSource, ReadOptions
from gridlens.training import _injected_rows, _injected_set, _train
from gridlens.training._injected_rows import injected_rows, read_pool_table
from gridlens.training._injected_source import InjectedSource, Injection
from gridlens.training._known_lenses import KnownLenses, read_known_lenses
from gridlens.training._pool_sky import pool_sky
from gridlens.training._tuned import tune

N, SIZE = 260, 64
MEMBERS = ("linear(turns=False)",)
pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")


def cutouts_of(n, seed=0, scale=0.6):
    """Return noise with a BCG, at an AB zero point of 27."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((SIZE, SIZE)) - 0.5 * (SIZE - 1)
    light = 40.0 * np.exp(-0.5 * np.hypot(x, y) / 2.0)[:, :, None] * np.array([0.3, 1.0, 1.6])
    pixels = (rng.normal(scale=0.5, size=(n, SIZE, SIZE, 3)) + light * rng.uniform(0.5, 2.0, (n, 1, 1, 1))).astype(
        np.float32
    )
    return CutoutSet(pixels, pixel_scale=scale, ids=[f"c{k:03d}" for k in range(n)])


def write(folder, cutouts, shards=4, **columns):
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(np.array_split(np.arange(len(cutouts)), shards)):
        part = cutouts[rows]
        np.savez(
            folder / f"shard-{number}.npz",
            pixels=part.pixels,
            pixel_scale=part.pixel_scale,
            id=part.ids.astype(str),
            **{name: np.asarray(values)[rows] for name, values in columns.items()},
        )
    return folder


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return write(tmp_path_factory.mktemp("pool") / "cutouts", cutouts_of(N))


@pytest.fixture(scope="module")
def trained(pool, tmp_path_factory):
    out = tmp_path_factory.mktemp("injected") / "model"
    labels = pd.DataFrame({"id": ["c000", "c001", "c002"], "label": [1, 1, None], "cluster": ["a", "b", "a"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_injected_rows, "CONTROLLED", 60)
        patch.setattr(_injected_set, "_MOST_SCENES", 32)
        result = train(inject_into=pool, labels=labels, seeing=0.8, out=out, members=MEMBERS, n_jobs=1)
    return result, out


@pytest.mark.slow
def test_a_model_trained_on_injected_arcs_finds_them(trained):
    _, out = trained
    assert not out.with_name("model.parts").exists()
    assert not out.with_name("model.parts.controls").exists()
    detector = load_model(out)
    assert detector.calibration_prevalence_ == pytest.approx(0.5)
    new = cutouts_of(40, seed=9)
    arcs = inject_arcs(new, ImageSky((0.8,) * 3), 5).cutouts
    plain = detector.predict_proba(new)[:, 1]
    assert np.mean(detector.predict_proba(arcs)[:, 1]) > np.mean(plain) + 0.2
    training = read_manifest(out)["training"]["injected"]
    assert training["known_lenses"] == 2
    assert training["sources"]


@pytest.mark.slow
def test_the_card_describes_the_split_the_choices_and_the_controls(trained):
    card = trained[0].card
    # The pool has 258 cutouts without the two known lenses, split into 60, 20 and 20 %.
    counts = [int(n) for n in re.findall(r"(\d+) cutouts of the pool|Calibrated on (\d+) other", card)[0] if n]
    assert counts == [155]
    assert "Calibrated on 51 other cutouts, with and without arcs; the prevalence of lenses among them is 0.5." in card
    assert "FWHM 0.80, 0.80, 0.80 arcsec in g, r, i, as given)" in card
    assert "Their brightness is set by the zero points." in card
    assert "2 known lenses of the pool are excluded from the negatives, and no arcs are injected into them." in card
    assert "| the pool alone, unlabelled at a prevalence of 0.001 (nnPU) |" in card
    assert (
        "with an injected flux of 0 cannot be distinguished from untouched cutouts: trees trained to separate them "
        "reach an AUROC of 0.5" in card
    )
    for control in ("arcs in the colours of the BCG", "images rotated by", "a straight trail"):
        assert f"| {control}" in card
    assert "Of 2 known lenses of the pool, which were not used in the training," in card
    assert re.search(r"Of 1,000 cutouts without an arc, this model raises [\d.]+ \[", card)
    assert "AUROC for cutouts with and without arcs, by input: the mean brightness in g, r and i 0." in card


@pytest.mark.slow
def test_an_interrupted_training_is_resumed(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(_injected_rows, "CONTROLLED", 2)
    monkeypatch.setattr(_injected_set, "_MOST_SCENES", 4)

    def fail(*_, **__):
        raise KeyboardInterrupt

    arguments = {"inject_into": pool, "seeing": 0.8, "out": tmp_path / "model", "members": MEMBERS, "n_jobs": 1}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_train, "injected_set", fail)
        train(**arguments)
    parts = sorted((tmp_path / "model.parts").glob("part-*.parquet"))
    assert parts
    stamps = [path.stat().st_mtime_ns for path in parts]
    with pytest.raises(GridlensError, match="holds the finished parts of an earlier run"):
        train(**arguments)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_train, "injected_set", fail)
        train(**arguments, resume=True)
    assert [path.stat().st_mtime_ns for path in parts] == stamps
    with pytest.raises(GridlensError, match="injection"):
        train(**{**arguments, "seeing": 0.9}, resume=True)


def test_versions_and_clusters_are_not_split(tmp_path, monkeypatch):
    monkeypatch.setattr(_injected_rows, "CONTROLLED", 12)
    monkeypatch.setattr(_injected_rows, "_SMALLEST_POOL", 20)
    n = 60
    pool = write(tmp_path / "pool", cutouts_of(n))
    fields = [f"field {k // 3}" for k in range(n)]
    table = read_pool_table(pd.DataFrame({"id": [f"c{k:03d}" for k in range(n)], "cluster": fields}), None)
    rows = rows_of(tmp_path, pool, table)
    truth = rows.truth
    assert truth.groupby("cutout")["role"].nunique().max() == 1
    assert truth.groupby("group")["role"].nunique().max() == 1
    of_pool = truth[truth["kind"].isin(["none", "arc"])]
    assert of_pool["role"].value_counts(normalize=True).round(1).to_dict() == {
        "learn": 0.6,
        "calibrate": 0.2,
        "test": 0.2,
    }
    assert (of_pool["label"] == (of_pool["kind"] == "arc")).all()
    assert set(truth.loc[rows.controls.places, "kind"]) == {"null", "recoloured", "turned", "straight"}
    assert set(truth.loc[rows.controls.places, "role"]) == {"test"}
    for name in ("learn", "calibrate", "test", "controls"):
        kept = getattr(rows, name)
        measured = kept.store.measured()
        assert measured.ids.tolist() == truth.loc[kept.places, "id"].tolist() == measured.cutouts.ids.tolist()
    # The pixels are those of the version that the id names.
    null = rows.controls.store.measured().cutouts
    first = null.ids.tolist().index(next(name for name in null.ids if name.endswith("+null")))
    source = cutouts_of(n)
    np.testing.assert_array_equal(null.pixels[first], source.pixels[int(null.ids[first][1:4])])


def rows_of(tmp_path, pool, table, **plan):
    with contextlib.ExitStack() as stack:
        return injected_rows(
            stack,
            FileSource(pool),
            Injection(1, {"": ImageSky((0.8,) * 3)}, known=KnownLenses(table.lenses), **plan),
            table,
            metadata="image",
            folder=tmp_path,
            parts=tmp_path / "parts",
            pixels=True,
            random_state=0,
            resume=False,
            overwrite=False,
            engine="local",
            scheduler=None,
            n_jobs=1,
            progress=None,
        )


def test_a_pool_that_is_too_small_is_refused(tmp_path):
    few = write(tmp_path / "few", cutouts_of(20), shards=1)
    with pytest.raises(GridlensError, match=r"at least 200 usable cutouts .* Got 20 instead; add cutouts"):
        train(inject_into=few, seeing=0.8, members=MEMBERS, n_jobs=1)


def test_a_pool_of_known_lenses_is_refused(pool, tmp_path):
    table = read_pool_table(pd.DataFrame({"id": [f"c{k:03d}" for k in range(40)], "label": 1}), None)
    with pytest.raises(GridlensError, match=r"presumed to be lens-free.* Got 40 known lenses among 260 cutouts"):
        rows_of(tmp_path, pool, table, kinds=("none",))


def test_a_repeated_cutout_is_refused(tmp_path):
    write(tmp_path / "pool", cutouts_of(4), shards=1)
    (tmp_path / "pool" / "again.npz").write_bytes((tmp_path / "pool" / "shard-0.npz").read_bytes())
    with pytest.raises(GridlensError, match=r"must contain each cutout once. Got c000, .* again instead"):
        rows_of(tmp_path, tmp_path / "pool", read_pool_table(None, None), kinds=("none",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "x", "labels": "y"}, "must be given without 'source'"),
        ({"recipe": "quick"}, "must be given without 'recipe'"),
        ({"positive_unlabelled": True}, "must be given without 'positive_unlabelled'"),
        ({"pool": "x"}, "must be given without 'pool'"),
        ({"prevalence": 0.7}, "The 'prevalence' parameter must be above 0 and below 0.5. Got 0.7 instead."),
    ],
)
def test_incompatible_parameters_are_refused(pool, arguments, message):
    with pytest.raises(ValueError, match=message):
        train(inject_into=pool, **arguments)


@pytest.mark.parametrize("name", ["known_lenses", "seeing"])
def test_parameters_of_an_injection_require_inject_into(name):
    with pytest.raises(ValueError, match=f"The '{name}' parameter must be None without 'inject_into'"):
        train(recipe="quick", **{name: 1.0})


def test_feature_caches_are_refused_as_a_pool(tmp_path):
    with FeatureCacheWriter(tmp_path / "features.parquet", "a test") as writer:
        writer.add(measure(cutouts_of(2)))
    with pytest.raises(
        GridlensError, match=r"must name cutouts: arcs are pasted into their pixels. Got feature caches"
    ):
        train(inject_into=tmp_path / "features.parquet")


def test_known_lenses_are_found_by_id_and_by_position(tmp_path):
    radec = [[359.999, 10.0], [0.02, 10.0], [50.0, 89.999], [120.0, -30.0], [np.nan, np.nan], [1.0, 1.0]]
    cutouts = CutoutSet(
        np.zeros((6, 48, 48, 3)),
        ids=list("abcdef"),
        metadata={"ra": [r for r, _ in radec], "dec": [d for _, d in radec]},
    )
    table = pd.DataFrame({"ra": [0.001, 230.0], "dec": [10.0, 89.995]})
    table.to_csv(tmp_path / "lenses.csv", index=False)
    known = read_known_lenses(tmp_path / "lenses.csv", ids=["e"])
    # Lenses within 60 arcsec match, also across the zero meridian and the pole; 68 arcsec is too far.
    assert known.among(cutouts).tolist() == [True, False, True, False, True, False]
    assert read_known_lenses(None).among(cutouts).tolist() == [False] * 6
    assert read_known_lenses(pd.DataFrame({"id": ["d"]})).among(cutouts).tolist() == [False] * 3 + [True] + [False] * 2


def sky_of(pool, surveys=None, survey=None, seeing=None):
    return pool_sky(FileSource(pool), surveys or {}, survey, seeing)


def test_unknown_seeing_is_assumed_and_reported(tmp_path):
    pool = write(tmp_path / "pool", cutouts_of(12), shards=2)
    guess = sky_of(pool)
    assert guess.skies[""].seeing == (0.9, 0.9, 0.9)
    assert "too few stars to measure it; 0.9 arcsec is assumed" in guess.assumed[0]
    known = sky_of(pool, survey="hsc")
    assert known.skies[""].seeing == (0.79, 0.75, 0.61)
    assert "that of the survey hsc is assumed" in known.assumed[0]
    assert not sky_of(pool, seeing={"g": 1.0, "r": 0.9, "i": 0.8}).assumed


def test_unknown_zero_points_need_a_survey(tmp_path):
    np.save(tmp_path / "pool.npy", cutouts_of(6).pixels)
    source = FileSource(tmp_path / "pool.npy", options=ReadOptions(bands="gri", pixel_scale=0.6))
    seeing = {"g": 1.0, "r": 0.9, "i": 0.8}
    with pytest.raises(GridlensError, match=r"The zero points of the pool must be known.* give zeropoint= or survey="):
        pool_sky(source, {}, None, seeing)
    sky = pool_sky(source, {}, "kids", seeing)
    assert sky.skies[""].preset.name == "kids"
    assert "assuming the depth of kids" in sky.words[0]


@pytest.mark.parametrize(
    ("factor", "survey", "said"), [(100.0, "hsc", "the depth of hsc is 26.5"), (1e-4, None, "19 to 31")]
)
def test_implausible_zero_points_are_refused(tmp_path, factor, survey, said):
    cutouts = cutouts_of(6)
    pool = write(tmp_path / "pool", CutoutSet(factor * cutouts.pixels, pixel_scale=0.6, ids=cutouts.ids), shards=1)
    with pytest.raises(GridlensError, match=rf"must be right.*{said}.*Give the AB zero points with zeropoint="):
        sky_of(pool, survey=survey, seeing={"g": 1.0, "r": 0.9, "i": 0.8})


def test_mixed_surveys_require_names(tmp_path):
    folder = write(tmp_path / "pool", cutouts_of(6), shards=1)
    other = cutouts_of(6, seed=3, scale=0.3)
    other.ids[:] = [f"d{k}" for k in range(6)]
    np.savez(
        folder / "other.npz",
        pixels=other.pixels,
        pixel_scale=other.pixel_scale,
        id=other.ids.astype(str),
    )
    seeing = {"g": 1.0, "r": 0.9, "i": 0.8}
    with pytest.raises(GridlensError, match=r"names in a column 'survey' .* pixel scales of 0.3 to 0.6 arcsec"):
        sky_of(folder, seeing=seeing)
    names = {f"c{k:03d}": "hsc" for k in range(6)} | {f"d{k}": "mine" for k in range(6)}
    assert set(sky_of(folder, surveys=names, seeing=seeing).skies) == {"hsc", "mine"}
    del names["d3"]
    with pytest.raises(GridlensError, match=r"must name the survey of every cutout. Got none for d3 instead"):
        sky_of(folder, surveys=names, seeing=seeing)


@pytest.mark.slow
def test_choices_are_made_out_of_fold():
    """Simulated scenes of the same sky help, and scenes of the opposite sky get no weight."""
    rng = np.random.default_rng(0)

    def rows(n, sign):
        X = rng.normal(size=(n, 315)).astype(np.float32)
        y = np.arange(n) % 2
        X[:, :3] += sign * 1.0 * y[:, None]
        return X, y

    X, y = rows(240, 1.0)
    given = X, y, np.arange(240) // 2, np.ones(240)
    for sign in (1.0, -1.0):
        scenes = (*rows(800, sign), np.ones(800))
        tuned = tune(*given, scenes, prevalence=1e-3, n_jobs=1, verbose=0)
        assert (tuned.scene_weight > 0.0) == (sign > 0.0)
        assert len(tuned.choices) == 5
        assert tuned.hard.sum() == round(120 / 16)
        assert not y[tuned.hard].any()


def test_without_scenes_there_are_fewer_choices():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 315)).astype(np.float32)
    tuned = tune(X, np.arange(60) % 2, np.arange(60), np.ones(60), None, prevalence=1e-3, n_jobs=1, verbose=0)
    assert tuned.scene_weight == 0.0
    assert [choice.name for choice in tuned.choices] == [
        "the pool alone",
        "the pool alone, hard negatives with a weight of 3",
        "the pool alone, unlabelled at a prevalence of 0.001 (nnPU)",
    ]


def test_an_injected_source_has_the_interface_of_a_source(pool):
    source = InjectedSource(
        FileSource(pool), Injection(1, {"": ImageSky((0.8,) * 3)}, only=frozenset({"c007", "c100"}))
    )
    assert source.n == 4
    found = [name for part in source.partitions() for batch in source.read(part) for name in batch.cutouts.ids]
    assert sorted(found) == ["c007", "c007+arc", "c100", "c100+arc"]
    other = InjectedSource(FileSource(pool), Injection(2, {"": ImageSky((0.8,) * 3)}))
    assert source.identity()["cutouts"] == other.identity()["cutouts"]
    assert source.identity()["injection"] != other.identity()["injection"]


def test_the_digest_of_an_injection_depends_on_every_property_of_the_sky():
    skies = [
        ImageSky((0.8,) * 3),
        ImageSky((0.9,) * 3),
        ImageSky((0.8,) * 3, kernels=(np.ones((3, 3)),) * 3),
        ImageSky((0.8,) * 3, preset=get_survey("hsc")),
        ImageSky((0.8,) * 3, own_seeing=True),
    ]
    assert len({Injection(1, {"": sky}).digest() for sky in skies}) == len(skies)
