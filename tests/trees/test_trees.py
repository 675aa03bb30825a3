"""Tests that damaged or hostile files of trees never reach a kernel."""

import io
import random
import zipfile

import lightgbm
import numpy as np
import pytest

from gridlens.trees import Trees, from_lightgbm

FIELDS = ("first", "feature", "threshold", "nan_left", "left", "right", "value", "cover", "start", "n_features")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5)).astype(np.float32)
    X[::9, 1] = np.nan
    return X


@pytest.fixture(scope="module")
def grown(rows):
    settings = {"objective": "binary", "verbosity": -1, "num_leaves": 6, "min_data_in_leaf": 5}
    return from_lightgbm(lightgbm.train(settings, lightgbm.Dataset(rows, rows[:, 0] > 0), 4))


def arrays_of(trees):
    return {name: np.array(getattr(trees, name)) for name in FIELDS}


def put(place, value):
    def change(values):
        values[place] = value
        return values

    return change


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("first", lambda v: v[:-1], "first must lead from 0"),
        ("first", lambda v: v[:0], "first must lead from 0"),
        ("first", lambda v: v[:1], "first must lead from 0"),
        ("first", put(0, 1), "first must lead from 0"),
        ("first", put(0, -1), "first must lead from 0"),
        ("first", put(1, 10**9), "a tree must have from 0 to"),
        ("first", put(1, -(10**9)), "a tree must have from 0 to"),
        ("first", put(-1, 2**62), "first must lead from 0"),
        ("first", lambda v: v.astype(float), "one-dimensional array of type int64"),
        ("feature", put(0, 5), "a column outside the 5"),
        ("feature", put(3, -1), "a column outside the 5"),
        ("feature", lambda v: v.astype(np.int64) + 2**40, "larger ones"),
        ("feature", lambda v: v[1:], "first must lead from 0"),
        ("threshold", put(2, np.nan), "a threshold is NaN"),
        ("threshold", lambda v: v[1:], "threshold must contain a value for each"),
        ("threshold", lambda v: v[None], "one-dimensional"),
        ("threshold", lambda v: v.astype("U9"), "one-dimensional array of type float32"),
        ("nan_left", lambda v: v.astype(np.int8), "of type bool"),
        ("nan_left", lambda v: v[1:], "nan_left must contain"),
        ("left", put(0, 0), "a missing child"),
        ("left", put(0, 5), "a missing child"),
        ("left", put(0, 2**31 - 1), "a missing child"),
        ("left", put(0, -(2**31)), "a missing child"),
        ("left", put(0, -7), "a missing child"),
        ("left", lambda v: v[1:], "left must contain"),
        ("right", put(4, -1), "share a child"),
        ("right", lambda v: v[1:], "right must contain"),
        ("value", put(0, np.nan), "a score is not finite"),
        ("value", put(0, np.inf), "a score is not finite"),
        ("value", lambda v: np.full_like(v, 1e308), "sum of the leaves is too large"),
        ("value", lambda v: v[1:], "value must contain"),
        ("cover", put(0, 0.0), "a cover is not above 0"),
        ("cover", put(0, np.nan), "a cover is not above 0"),
        ("cover", put(0, np.inf), "a cover is not above 0"),
        ("cover", lambda v: v[1:], "cover must contain"),
        ("start", lambda v: np.array(np.nan), "a score is not finite"),
        ("n_features", lambda v: np.array(4), "a column outside the 4"),
        ("n_features", lambda v: np.array(0), "n_features must be from 1"),
        ("n_features", lambda v: np.array(-5), "n_features must be from 1"),
        ("n_features", lambda v: np.array(2**62), "n_features must be from 1"),
    ],
)
def test_invalid_trees_are_refused(grown, tmp_path, name, change, said):
    arrays = arrays_of(grown)
    # Every column is used by a split.
    arrays["feature"][:5] = np.arange(5)
    Trees(**arrays)
    arrays[name] = change(arrays[name])
    with pytest.raises(ValueError, match=said):
        Trees(**arrays)
    np.savez(tmp_path / "trees.npz", **arrays)
    with pytest.raises(ValueError):
        Trees.load(tmp_path / "trees.npz")


def test_a_disconnected_tree_is_refused(grown):
    """Splits that are each other's children cannot be reached from a root."""
    arrays = arrays_of(grown)
    arrays["left"][:5] = [-1, -2, -3, 4, -4]
    arrays["right"][:5] = [1, 2, -5, -6, 3]
    with pytest.raises(ValueError, match="a missing child"):
        Trees(**arrays)


def test_arrays_are_read_only(grown):
    arrays = arrays_of(grown)
    trees = Trees(**arrays)
    arrays["feature"][:] = 10**6
    assert trees.equals(grown)
    with pytest.raises(ValueError, match="read-only"):
        trees.feature[0] = 10**6
    with pytest.raises(AttributeError):
        trees.n_features = 10**6


def test_loaded_trees_are_equal(grown, rows, tmp_path):
    grown.save(tmp_path / "trees.npz")
    again = Trees.load(tmp_path / "trees.npz")
    assert again.equals(grown)
    np.testing.assert_array_equal(again.raw_scores(rows), grown.raw_scores(rows))
    grown.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "trees.npz").read_bytes()


def test_a_difference_in_any_array_makes_trees_unequal(grown):
    for name, values in arrays_of(grown).items():
        if name in ("threshold", "value", "cover", "start"):
            assert not Trees(**{**arrays_of(grown), name: values + 1.0}).equals(grown)
    assert not Trees(**{**arrays_of(grown), "value": grown.value.astype(np.float32)}).equals(grown)


def packed(entries, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return file.getvalue()


def saved(array, version=(1, 0)):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_invalid_files_are_refused(grown, tmp_path):
    path = tmp_path / "trees.npz"
    entries = [(f"{name}.npy", saved(values)) for name, values in arrays_of(grown).items()]
    path.write_bytes(packed(entries))
    assert Trees.load(path).equals(grown)
    huge = saved(np.zeros(3)).replace(b"(3,)", b"(99999999999,)".ljust(4))
    wide = np.lib.format.magic(1, 0) + b"\xff\xff" + b" " * 65535
    kinds = {
        "nothing": b"",
        "no zip file": b"PK" * 99,
        "compressed": packed(entries, zipfile.ZIP_DEFLATED),
        "one more": packed([*entries, ("more.npy", saved(np.zeros(3)))]),
        "one twice": packed([*entries, entries[0]]),
        "one less": packed(entries[1:]),
        "objects": packed([(entries[0][0], saved(np.array([1, 2], dtype=object))), *entries[1:]]),
        "a pickle": packed([(entries[0][0], b"\x80\x04N."), *entries[1:]]),
        "a larger shape": packed([(entries[0][0], huge), *entries[1:]]),
        "a wide header": packed([(entries[0][0], wide), *entries[1:]]),
        "a newer header": packed([(entries[0][0], saved(np.zeros(3), (2, 0))), *entries[1:]]),
        "two dimensions": packed([(entries[0][0], saved(grown.first[None])), *entries[1:]]),
        "a record": packed([(entries[0][0], saved(np.zeros(3, "i4,i4"))), *entries[1:]]),
        "text": packed([(entries[0][0], saved(np.array(["a", "b"]))), *entries[1:]]),
        "many features": packed([*entries[:-1], (entries[-1][0], saved(np.array([5, 5])))]),
        "features as a fraction": packed([*entries[:-1], (entries[-1][0], saved(np.array(5.5)))]),
    }
    for kind, content in kinds.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"trees\.npz are damaged|The trees cannot be used|parameter must"):
            Trees.load(path)
            pytest.fail(kind)


def test_other_byte_orders_and_types_of_integers_are_read(grown, tmp_path):
    arrays = arrays_of(grown)
    arrays["first"] = arrays["first"].astype(np.uint8)
    arrays["value"] = arrays["value"].astype(">f8")
    np.savez(tmp_path / "trees.npz", **arrays)
    assert Trees.load(tmp_path / "trees.npz").equals(grown)


@pytest.mark.slow
def test_damaged_arrays_give_an_error_or_scores(grown, rows, tmp_path):
    """Bytes and numbers are replaced at random; trees that are accepted must score and be explained."""
    rng, path, accepted = random.Random(0), tmp_path / "trees.npz", 0
    grown.save(path)
    whole = path.read_bytes()
    odd = [-(2**31), -1, 0, 1, 4, 5, 6, 2**31 - 1, 1e308, np.nan, np.inf, 0.5]
    for k in range(2000):
        if k % 2:
            content = bytearray(whole)
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(bytes(content))
        else:
            arrays = arrays_of(grown)
            values = arrays[rng.choice(FIELDS)].reshape(-1)
            with np.errstate(all="ignore"):
                values[rng.randrange(len(values))] = np.array(rng.choice(odd)).astype(values.dtype)
            np.savez(path, **arrays)
        try:
            trees = Trees.load(path)
        except ValueError:
            continue
        accepted += 1
        X = np.resize(rows, (20, trees.n_features)) if trees.n_features < 100 else np.zeros((1, trees.n_features))
        assert np.isfinite(trees.raw_scores(X)).all()
        assert trees.shap_values(X).shape == X.shape
    assert 20 < accepted < 1200
