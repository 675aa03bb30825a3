"""Models on disk: bundles of data, and the bundled models."""

from gridlens.models._bundle import load_model, read_manifest, save_model, upgrade_model
from gridlens.models._description import Difference, ModelDescription, compare_models, describe_model
from gridlens.models._manifest import hash_arrays

__all__ = [
    "Difference",
    "ModelDescription",
    "compare_models",
    "describe_model",
    "hash_arrays",
    "load_model",
    "read_manifest",
    "save_model",
    "upgrade_model",
]
