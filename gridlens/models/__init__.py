"""Models on disk: bundles of data, and the bundled models."""

from gridlens.models._bundle import load_model, read_manifest, save_model, upgrade_model
from gridlens.models._description import compare_models, describe_model
from gridlens.models._pretrained import PretrainedMember

__all__ = [
    "PretrainedMember",
    "compare_models",
    "describe_model",
    "load_model",
    "read_manifest",
    "save_model",
    "upgrade_model",
]
