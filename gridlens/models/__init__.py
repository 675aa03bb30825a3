"""Models on disk: bundles of data, the recipes of the bundled ones, and these themselves."""

from gridlens.models._bundle import (
    load_model,
    load_proven,
    model_digest,
    model_folder,
    read_manifest,
    save_model,
    upgrade_model,
)
from gridlens.models._manifest import hash_arrays
from gridlens.models._mine import Mined, mine
from gridlens.models._sources import Sources

__all__ = [
    "Mined",
    "Sources",
    "hash_arrays",
    "load_model",
    "load_proven",
    "mine",
    "model_digest",
    "model_folder",
    "read_manifest",
    "save_model",
    "upgrade_model",
]
