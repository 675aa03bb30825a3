"""Bundles to be tampered with."""

import json

from gridlens.models._manifest import sha256_of


def rewrite(bundle, **changes):
    """Change entries of the manifest."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest.update(changes)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def vouch(bundle):
    """Give every file its place and its honest hash in the manifest."""
    files = {
        path.relative_to(bundle).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(bundle.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    rewrite(bundle, files=files)


def restate(bundle, **changes):
    """Change entries of detector.json; the manifest agrees."""
    state = json.loads((bundle / "detector.json").read_text())
    state.update(changes)
    (bundle / "detector.json").write_text(json.dumps(state))
    vouch(bundle)


def downgrade_member(folder):
    """Give the files of a member the form that version 0.1 wrote."""
    (folder / "trees.npz").unlink()
    old = {"n_estimators": "n_trees", "colsample_bytree": "column_fraction", "subsample": "row_fraction"}
    old |= {"extra_trees": "random_splits", "class_prior": "prior"}
    stored = json.loads((folder / "parameters.json").read_text())
    renamed = {old.get(name, name): value for name, value in stored.items()}
    (folder / "parameters.json").write_text(json.dumps(renamed))


def downgrade(bundle):
    """Give a bundle of members of trees the form that version 0.1 wrote."""
    for path in bundle.glob("*/trees.npz"):
        downgrade_member(path.parent)
    rewrite(bundle, bundle_version=1)
    vouch(bundle)
