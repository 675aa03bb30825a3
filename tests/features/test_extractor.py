"""Tests of `GridPatchExtractor`: rows, reasons, threads, and scikit-learn's conventions."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from measuring import JIT, measure, small_scenes
from scenes import bad_border, bad_patch, bad_scatter, cluster, hot_pixel, plain_noise
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from gridlens import CutoutSet, GridPatchExtractor
from gridlens.cutouts._reject import reject_reason
from gridlens.features import FEATURE_NAMES
from gridlens.features._contract import METADATA_NAMES

ROOT = Path(__file__).resolve().parents[2]
METADATA = {"seeing": 0.7, "redshift": [0.2, np.nan, 0.5, 0.3], "richness": 40.0, "ra": 90.0, "dec": -45.0}


@pytest.fixture(scope="module")
def cutouts():
    """Return four clusters of 60 px; half of the third is NaN."""
    rng = np.random.default_rng(5)
    pixels = np.stack([cluster(rng, 60, arc_px=15)[0] for _ in range(4)])
    pixels[2, :30] = np.nan
    return CutoutSet(pixels, bcg_xy=[[29.5, 29.5], [20, 31], [30, 30], [29.5, 28]], pixel_scale=1.0, metadata=METADATA)


def test_rows_match_the_kernel(cutouts):
    X = GridPatchExtractor().fit_transform(cutouts)
    assert X.shape == (4, 315)
    assert X.dtype == np.float32
    for i in (0, 1, 3):
        expected = measure(cutouts.pixels[i], cutouts.bcg_xy[i], 1.0)[1]
        np.testing.assert_array_equal(X[i], expected)
        assert np.isfinite(X[i, :306]).all()


def test_rejected_cutouts_are_nan_with_a_reason_and_the_others_are_scored(cutouts):
    found = GridPatchExtractor(metadata="all").extract(cutouts)
    features, rejected, messages = found.features, found.rejected, found.messages
    assert rejected.tolist() == [False, False, True, False]
    assert np.isnan(features[2]).all()
    assert "50 %" in messages[2]
    assert messages[[0, 1, 3]].tolist() == ["", "", ""]
    assert messages.dtype == object


def test_narrow_field_warns_and_is_measured():
    pixels, _ = plain_noise(np.random.default_rng(0), 64)
    found = GridPatchExtractor().extract(CutoutSet(pixels[None], pixel_scale=0.2))
    features, rejected, messages = found.features, found.rejected, found.messages
    assert not rejected[0]
    assert np.isfinite(features[0, :306]).all()
    assert "12.8 arcsec" in messages[0]


def test_metadata_choices(cutouts):
    columns = {choice: GridPatchExtractor(choice).transform(cutouts)[:, 306:] for choice in ("image", "survey", "all")}
    assert np.isnan(columns["image"]).all()
    np.testing.assert_array_equal(columns["survey"][0], np.float32([0.7, np.nan, 0.2, *[np.nan] * 6]))
    everything = dict(zip(METADATA_NAMES, columns["all"][0], strict=True))
    assert everything["richness"] == 40
    assert everything["ra"] == 0.25
    assert everything["dec"] == 0.25
    assert np.isnan(everything["depth"])
    assert np.isnan(columns["all"][1, 2])


def test_rejected_cutouts_have_a_fraction_of_valid_pixels():
    pixels = np.stack([plain_noise(np.random.default_rng(k), 50)[0] for k in range(4)])
    pixels[1, :5, :, 0] = np.nan
    pixels[2, :25, :, 1] = np.inf
    pixels[3] = np.nan
    found = GridPatchExtractor().extract(CutoutSet(pixels, pixel_scale=1.0))
    assert found.valid_fraction.tolist() == [1.0, 0.9, 0.5, 0.0]
    assert found.rejected.tolist() == [False, False, True, True]
    # A pixel scale for which no feature is defined is refused before the kernel reads a pixel.
    found = GridPatchExtractor().extract(CutoutSet(pixels, pixel_scale=[1.0, 9.0, 9.0, 9.0]))
    assert found.valid_fraction.tolist() == [1.0, 0.9, 0.5, 0.0]
    found = GridPatchExtractor().extract(CutoutSet(pixels[:, :40]))
    assert found.rejected.all()
    np.testing.assert_allclose(found.valid_fraction, [1.0, 0.875, 0.375, 0.0])


def test_empty_set():
    found = GridPatchExtractor(n_jobs=2).extract(CutoutSet(np.empty((0, 128, 128, 3))))
    features, rejected, messages = found.features, found.rejected, found.messages
    assert features.shape == (0, 315)
    assert features.dtype == np.float32
    assert rejected.shape == messages.shape == (0,)
    assert GridPatchExtractor().extract(CutoutSet(np.empty((0, 9, 9, 3)))).valid_fraction.shape == (0,)


def test_rows_do_not_depend_on_threads_or_order():
    rng = np.random.default_rng(2)
    n = 11 if JIT else 3
    pixels = np.stack([cluster(rng, 56, arc_px=14)[0] for _ in range(n)])
    many = CutoutSet(pixels, pixel_scale=rng.uniform(0.5, 1.5, n), bcg_xy=rng.uniform(20, 36, (n, 2)))
    reference = GridPatchExtractor().transform(many)
    for n_jobs in (None, 2, 3, 16, -1) if JIT else (2,):
        np.testing.assert_array_equal(GridPatchExtractor(n_jobs=n_jobs).transform(many), reference)
    order = rng.permutation(n)
    np.testing.assert_array_equal(GridPatchExtractor().transform(many[order]), reference[order])


def of_all_kinds(size):
    """Return cutouts of one size that differ in everything else; two of them are rejected."""
    rng = np.random.default_rng(size)
    flat = cluster(rng, size)[0]
    flat[:, :, 2] = 7.0
    mostly_bad = cluster(rng, size)[0]
    mostly_bad[: size // 2] = np.nan
    flood = plain_noise(rng, size)[0]
    flood[:, size // 3 :] += 1e4
    cases = [
        (*cluster(rng, size, arc_px=0.25 * size), 1.0),
        (mostly_bad, (size / 2, size / 2), 1.0),
        (*cluster(rng, size, bcg=(-0.5, 0.3 * size), arc_px=0.3 * size), 0.4),
        (*bad_patch(rng, size), 0.7),
        (flat, (size / 2, size / 2), 0.5),
        (*bad_border(rng, size), 2.0),
        (*bad_scatter(rng, size), 0.1),
        (*hot_pixel(rng, size), 0.03),
        (flood, (size - 0.6, size - 0.6), 0.3),
        (*plain_noise(rng, size), 0.5),
        (*cluster(rng, size, n_galaxies=60, unit=1e-6), 1.7),
    ]
    return as_set(cases if JIT else cases[:3])


def as_set(cases):
    pixels, bcg_xy, scales = zip(*cases, strict=True)
    return CutoutSet(np.stack(pixels), bcg_xy=bcg_xy, pixel_scale=scales)


def test_rows_do_not_depend_on_earlier_cutouts():
    """Reused buffers keep nothing: any kind of cutout after any other gives the same features as alone."""
    sets = [of_all_kinds(size) for size in ((56, 49, 75) if JIT else (48,))]
    alone = [np.concatenate([GridPatchExtractor().transform(one) for one in kinds]) for kinds in sets]
    assert [np.isnan(rows[:, 0]).sum() for rows in alone] == [2 if JIT else 1] * len(sets)
    kinds, expected = sets[0], alone[0]
    pairs = [k for a in range(len(kinds)) for b in range(a, len(kinds)) for k in (a, b)]
    for n_jobs in (1, 3) if JIT else (1,):
        extractor = GridPatchExtractor(n_jobs=n_jobs)
        np.testing.assert_array_equal(extractor.transform(kinds[pairs]), expected[pairs])
        for kinds_of_a_size, rows in zip(sets[1:] + sets[::-1], alone[1:] + alone[::-1], strict=True):
            np.testing.assert_array_equal(extractor.transform(kinds_of_a_size), rows)


def test_read_only_pixels(cutouts):
    pixels = cutouts.pixels[:1].copy()
    pixels.flags.writeable = False
    locked = CutoutSet(pixels, bcg_xy=cutouts.bcg_xy[:1], pixel_scale=1.0)
    np.testing.assert_array_equal(GridPatchExtractor().transform(locked), GridPatchExtractor().transform(cutouts[:1]))


def test_input_is_not_modified(cutouts):
    before = cutouts.pixels.copy()
    GridPatchExtractor(n_jobs=2).transform(cutouts)
    np.testing.assert_array_equal(cutouts.pixels, before)


def test_scikit_learn_conventions(cutouts):
    extractor = GridPatchExtractor(metadata="survey", n_jobs=2)
    assert extractor.get_params() == {"metadata": "survey", "n_jobs": 2, "drop_constant": False}
    copy = clone(extractor).set_params(metadata="all")
    assert copy.get_params() == {"metadata": "all", "n_jobs": 2, "drop_constant": False}
    assert vars(extractor) == {"metadata": "survey", "n_jobs": 2, "drop_constant": False}
    assert extractor.fit(cutouts) is extractor
    assert vars(extractor) == {"metadata": "survey", "n_jobs": 2, "drop_constant": False}
    assert extractor.get_feature_names_out().tolist() == list(FEATURE_NAMES)
    piped = make_pipeline(GridPatchExtractor(), FunctionTransformer(np.nan_to_num)).fit_transform(cutouts)
    assert piped.shape == (4, 315)
    frame = GridPatchExtractor().set_output(transform="pandas").fit_transform(cutouts)
    assert frame.columns.tolist() == list(FEATURE_NAMES)


def test_invalid_parameters_are_refused(cutouts):
    with pytest.raises(
        TypeError, match=r"The 'X' parameter .* must be a CutoutSet\. Got ndarray instead\. CutoutSet\("
    ):
        GridPatchExtractor().transform(cutouts.pixels)
    with pytest.raises(ValueError, match=r"The 'metadata' parameter .* 'image', 'survey', 'all'\. Got 'none' instead"):
        GridPatchExtractor(metadata="none").fit(cutouts)
    with pytest.raises(ValueError, match=r"The 'n_jobs' parameter .* Got 0 instead"):
        GridPatchExtractor(n_jobs=0).transform(cutouts)


def spoil(change):
    """Return noise of 64 px after `change`."""
    pixels = plain_noise(np.random.default_rng(1), 64)[0]
    change(pixels)
    return pixels


def bad_frame(pixels):
    """Set the border frame to NaN, which is less than 20 % of a cutout of 63 px."""
    inner = pixels[3:-3, 3:-3].copy()
    pixels[:] = np.nan
    pixels[3:-3, 3:-3] = inner


NOISE = plain_noise(np.random.default_rng(1), 64)[0]
CENTRE = (31.5, 31.5)
LIMITS = [
    ("fine", NOISE, CENTRE, 0.5, True),
    ("48 px", NOISE[:48, :48], (24, 24), 0.5, True),
    ("47 px", NOISE[:47, :47], (24, 24), 0.5, False),
    ("not square", NOISE[:60], (24, 24), 0.5, False),
    ("smallest scale", NOISE, CENTRE, 0.03, True),
    ("largest scale", NOISE, CENTRE, 2.0, True),
    ("too fine", NOISE, CENTRE, 0.029, False),
    ("too coarse", NOISE, CENTRE, 2.01, False),
    ("no scale", NOISE, CENTRE, np.nan, False),
    ("BCG on the corner", NOISE, (-0.5, 63.4), 0.5, True),
    ("BCG left of it", NOISE, (-0.51, 30), 0.5, False),
    ("BCG beyond", NOISE, (30, 63.5), 0.5, False),
    ("no BCG", NOISE, (np.nan, 30), 0.5, False),
    ("band of NaN", spoil(lambda p: p[:, :, 1].fill(np.nan)), CENTRE, 0.5, False),
    ("flat band", spoil(lambda p: p[:, :, 2].fill(7.0)), CENTRE, 0.5, False),
    ("half of a band flat", spoil(lambda p: p[:31, :, 2].fill(7.0)), CENTRE, 0.5, True),
    ("most of a band flat", spoil(lambda p: p[:34, :, 2].fill(7.0)), CENTRE, 0.5, False),
    ("some NaN", spoil(lambda p: p[5:12].fill(np.nan)), CENTRE, 0.5, True),
    ("much inf", spoil(lambda p: p[5:19, :, 0].fill(np.inf)), CENTRE, 0.5, False),
    ("no border", spoil(bad_frame)[:63, :63], (31, 31), 0.5, True),
    (
        "no border at all",
        np.pad(NOISE[:57, :57], ((3, 3), (3, 3), (0, 0)), constant_values=np.nan),
        (31, 31),
        0.5,
        False,
    ),
]


@pytest.mark.parametrize(("name", "pixels", "bcg_xy", "scale", "fine"), LIMITS, ids=[case[0] for case in LIMITS])
def test_kernel_and_reject_reason_agree(name, pixels, bcg_xy, scale, fine):
    status, features = measure(pixels, bcg_xy, scale)
    reason = reject_reason(np.ascontiguousarray(pixels), bcg_xy, scale)
    assert (status == 0) == (reason == "") == fine, reason
    assert np.isfinite(features[:306]).all() if fine else np.isnan(features).all()


def run(code, **environment):
    """Run code in a fresh interpreter with tests/ on its path."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_and_describing_do_not_load_the_compiler():
    code = (
        "import sys, numpy as np, gridlens\n"
        "from gridlens import GridPatchExtractor\n"
        "from gridlens.features import best_arc, dihedral\n"
        "X = np.zeros((1, 315)); dihedral(X), best_arc(X), GridPatchExtractor().get_feature_names_out()\n"
        "assert 'numba' not in sys.modules\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_without_compiler_the_numbers_are_the_same(tmp_path):
    out = tmp_path / "interpreted.npy"
    code = (
        "import numpy as np\n"
        "from measuring import measure, small_scenes\n"
        f"np.save({str(out)!r}, [measure(*case)[1] for case in small_scenes()])\n"
    )
    done = run(code, NUMBA_DISABLE_JIT="1")
    assert done.returncode == 0, done.stderr
    compiled = np.array([measure(*case)[1] for case in small_scenes()])
    np.testing.assert_allclose(np.load(out), compiled, rtol=1e-5, atol=1e-6)
