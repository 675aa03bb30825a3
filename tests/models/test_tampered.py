"""Tests of a thousand tampered bundles: each is refused or scores, and none crashes or hangs the process."""

import json
import random
import re
import shutil
import zipfile

import numpy as np
import pytest
from bundles import downgrade, vouch

from gridlens import load_model
from gridlens.errors import ModelError
from gridlens.models import save_model

pytestmark = pytest.mark.slow

ODD = [
    None, True, False, 0, -1, 2**63, 10**400, 1e308, -1e308, 0.5, "", "x", "\x00", "../x", "ä" * 300,
    [], {}, [[]], {"a": {}}, [None] * 3, [1e308] * 3, ["lightgbm"] * 2, {"members": 1},
]  # fmt: skip
TOKENS = ["-1", "0", "1", "7", "99", "-99", "999999999", "1e308", "nan", "inf", "x", "", " ", "Tree=1", "="]


@pytest.fixture(scope="module")
def packed(detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("tampered") / "model.zip"
    save_model(detector, path, card="# A card\n", training={"seed": 1})
    return path


def flipped(content, rng):
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 4, 64])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content, rng):
    return content[: rng.randrange(len(content))]


def spliced(content, rng):
    """Return `content` with a part of it repeated at another place."""
    start, end, place = sorted(rng.randrange(len(content)) for _ in range(3))
    return content[:place] + content[start:end] + content[place:]


DAMAGE = [flipped, cut, spliced]


def files_of(bundle):
    return sorted(path for path in bundle.rglob("*") if path.is_file())


def damage_a_file(bundle, rng):
    path = rng.choice(files_of(bundle))
    path.write_bytes(rng.choice(DAMAGE)(path.read_bytes(), rng))


def swap_files(bundle, rng):
    one, other = rng.sample(files_of(bundle), 2)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def remove_a_file(bundle, rng):
    rng.choice(files_of(bundle)).unlink()


def add_a_file(bundle, rng):
    name = rng.choice(["lightgbm/folds.json", "lightgbm/state.json", "sitecustomize.py", "lightgbm/__init__.py", "x"])
    (bundle / name).write_text("raise SystemExit(7)")
    if rng.random() < 0.5:
        vouch(bundle)


def tamper_with_json(bundle, rng):
    """Replace, copy or delete a value of a JSON file, and update the manifest."""
    path = bundle / rng.choice(["detector.json", "detector.json", "lightgbm/parameters.json", "manifest.json"])
    document = json.loads(path.read_text())
    spot, places = document, []
    while isinstance(spot, dict | list) and spot:
        key = rng.choice(list(spot)) if isinstance(spot, dict) else rng.randrange(len(spot))
        places.append((spot, key))
        spot = spot[key]
    spot, key = rng.choice(places)
    if rng.random() < 0.15:
        del spot[key]
    elif isinstance(spot, dict) and rng.random() < 0.15:
        spot[rng.choice(["../x", "/etc/x", "a//b", "", "x" * 999, "__class__", "manifest.json"])] = spot[key]
    else:
        spot[key] = rng.choice(ODD)
    path.write_text(json.dumps(document))
    if path.name != "manifest.json":
        vouch(bundle)


def tamper_with_the_text_of_json(bundle, rng):
    path = bundle / rng.choice(["detector.json", "lightgbm/parameters.json"])
    text = path.read_text()
    kind = rng.randrange(5)
    if kind == 0:
        text = "[" * rng.choice([1000, 100_000]) + text
    elif kind == 1:
        text = re.sub(
            r": [-\d.]+", lambda _: ": " + rng.choice(["NaN", "-Infinity", "1e999", "9" * 5000]), text, count=1
        )
    elif kind == 2:
        text = text.replace("{", '{"intercept": 1, "intercept": 2, ', 1)
    else:
        text = rng.choice(DAMAGE)(text.encode(), rng).decode(errors="surrogateescape")
    path.write_bytes(text.encode(errors="surrogateescape"))
    vouch(bundle)


def tamper_with_arrays(bundle, rng):
    """Damage the arrays of the trees, or replace some of their numbers, and update the manifest."""
    path = bundle / "lightgbm" / "trees.npz"
    if rng.random() < 0.4:
        path.write_bytes(rng.choice(DAMAGE)(path.read_bytes(), rng))
    else:
        with np.load(path) as stored:
            arrays = {name: stored[name].copy() for name in stored.files}
        for _ in range(rng.choice([1, 1, 8])):
            values = arrays[rng.choice(list(arrays))].reshape(-1)
            number = rng.choice([-(2**31), -99, -1, 0, 1, 7, 99, 2**31 - 1, 1e308, np.nan, np.inf])
            with np.errstate(all="ignore"):
                values[rng.randrange(len(values))] = np.array(number).astype(values.dtype)
        if rng.random() < 0.2:
            name = rng.choice(list(arrays))
            arrays[name] = arrays[name][..., None]
        np.savez(path, **arrays)
    vouch(bundle)


def tamper_with_text(bundle, rng):
    """Damage the text of the trees in a bundle without arrays, or replace a value of it, and update the manifest."""
    downgrade(bundle)
    path = bundle / "lightgbm" / "trees.txt"
    content = path.read_bytes()
    if rng.random() < 0.4:
        content = rng.choice(DAMAGE)(content, rng)
    else:
        lines = content.decode().split("\n")
        # Replace whole values, not characters: most characters are digits of numbers that may have any value.
        k = rng.choice([k for k, line in enumerate(lines) if "=" in line])
        key, _, values = lines[k].partition("=")
        parts = values.split(" ")
        parts[rng.randrange(len(parts))] = rng.choice(TOKENS)
        lines[k] = f"{key}={' '.join(parts)}"
        blocks = re.split(r"^(?=Tree=\d+\n|end of trees)", "\n".join(lines), flags=re.M)
        sizes = " ".join(str(len(block)) for block in blocks[1:-1])
        content = re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", "".join(blocks), flags=re.M).encode()
    path.write_bytes(content)
    vouch(bundle)


TAMPERING = {
    damage_a_file: 250,
    swap_files: 50,
    remove_a_file: 30,
    add_a_file: 40,
    tamper_with_json: 170,
    tamper_with_the_text_of_json: 60,
    tamper_with_arrays: 300,
    tamper_with_text: 150,
}


def outcome(path, rows):
    """Return the error message of a bundle that is refused, or "" if it loads and scores."""
    try:
        detector = load_model(path)
    except ModelError as exc:
        said = str(exc)
        assert len(said) < 2000
        assert re.search(r"[.)]$", said), said
        return said
    try:
        p = detector.predict_proba(rows)
    except ModelError:
        raise AssertionError("it loads and does not score") from None
    known = p[~np.isnan(p)]
    assert p.shape == (len(rows), 2)
    assert ((known >= 0.0) & (known <= 1.0)).all()
    return ""


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda tamper: tamper.__name__)
def test_a_tampered_folder(tamper, saved, tmp_path, calibration_rows):
    rng = random.Random(tamper.__name__)
    refused = 0
    for k in range(TAMPERING[tamper]):
        bundle = shutil.copytree(saved, tmp_path / str(k))
        tamper(bundle, rng)
        refused += bool(outcome(bundle, calibration_rows[0][:20]))
        shutil.rmtree(bundle)
    assert refused > 0.3 * TAMPERING[tamper]


def tamper_with_an_archive(packed, path, rng):
    kind = rng.randrange(4)
    content = packed.read_bytes()
    if kind < 2:
        path.write_bytes(rng.choice(DAMAGE)(content, rng))
        return
    with zipfile.ZipFile(packed) as file:
        entries = [(name, file.read(name)) for name in file.namelist()]
    k = rng.randrange(len(entries))
    name, inner = entries[k]
    if kind == 2:
        odd = ["../x", "/x", "a\\x", "C:x", "x", name, f"./{name}", f"x/../{name}", f"{name}/", "\x00x", name.upper()]
        entries[k if rng.random() < 0.5 else len(entries) :] = [(rng.choice(odd), inner), *entries[k + 1 :]]
    else:
        entries[k] = (name, rng.choice(DAMAGE)(inner, rng))
    with zipfile.ZipFile(path, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])) as file:
        for name, inner in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = file.compression
            entry.external_attr = rng.choice([0o100644, 0o100644, 0o100644, 0o120777, 0o010644, 0]) << 16
            file.writestr(entry, inner)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_tampered_zip_file(packed, tmp_path, calibration_rows):
    rng = random.Random(9)
    refused, path = 0, tmp_path / "model.zip"
    for _ in range(244):
        tamper_with_an_archive(packed, path, rng)
        refused += bool(outcome(path, calibration_rows[0][:20]))
    assert refused > 200
    assert [each.name for each in tmp_path.iterdir()] == ["model.zip"]
