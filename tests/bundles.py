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
