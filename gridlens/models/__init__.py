"""Model bundles on disk, and the bundled models."""

from gridlens.detector import LensDetector
from gridlens.models._bundle import load_model, read_manifest, save_model, upgrade_model
from gridlens.models._description import compare_models, describe_model
from gridlens.models._member_folder import member_folder
from gridlens.models._pretrained import PretrainedMember
from gridlens.models._save import save_detector

__all__ = [
    "PretrainedMember",
    "compare_models",
    "describe_model",
    "load_model",
    "member_folder",
    "read_manifest",
    "save_model",
    "upgrade_model",
]

LensDetector._writer = staticmethod(save_detector)
LensDetector._reader = staticmethod(load_model)
