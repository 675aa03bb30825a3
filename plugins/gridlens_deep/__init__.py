"""Networks as members of gridlens stacks. Torch is imported to fit a network, or to score without onnxruntime."""

from gridlens_deep._convnet import ConvNetMember
from gridlens_deep._embed import embed
from gridlens_deep._embedding import EmbeddingMember
from gridlens_deep._errors import DeviceError, WeightsError
from gridlens_deep._images import Grid, images_of
from gridlens_deep._member import NetworkMember
from gridlens_deep._resnet import ResNetMember
from gridlens_deep._vit import ViTMember

__all__ = [
    "ConvNetMember",
    "DeviceError",
    "EmbeddingMember",
    "Grid",
    "NetworkMember",
    "ResNetMember",
    "ViTMember",
    "WeightsError",
    "embed",
    "images_of",
]
