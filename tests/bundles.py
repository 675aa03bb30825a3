"""Helpers that tamper with model bundles."""

import json

from gridlens.models._manifest import sha256_of


def rewrite(bundle, **changes):
    """Change entries of the manifest."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest.update(changes)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def vouch(bundle):
    """List every file in the manifest with its true size and hash."""
    files = {
        path.relative_to(bundle).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(bundle.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    rewrite(bundle, files=files)


def restate(bundle, **changes):
    """Change entries of detector.json and update the manifest to match."""
    state = json.loads((bundle / "detector.json").read_text())
    state.update(changes)
    (bundle / "detector.json").write_text(json.dumps(state))
    vouch(bundle)


def downgrade_member(folder):
    """Rewrite the files of a member in the format of version 0.1."""
    (folder / "trees.npz").unlink()
    old = {"n_estimators": "n_trees", "colsample_bytree": "column_fraction", "subsample": "row_fraction"}
    old |= {"extra_trees": "random_splits", "class_prior": "prior"}
    stored = json.loads((folder / "parameters.json").read_text())
    renamed = {old.get(name, name): value for name, value in stored.items()}
    (folder / "parameters.json").write_text(json.dumps(renamed))


def downgrade(bundle):
    """Rewrite a bundle whose members are trees in the format of version 0.1."""
    for path in bundle.glob("*/trees.npz"):
        downgrade_member(path.parent)
    rewrite(bundle, bundle_version=1)
    vouch(bundle)
