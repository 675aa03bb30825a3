"""Networks as members of gridlens stacks. Torch is imported when one is fitted or loaded."""

from gridlens_deep._images import Grid, images_of
from gridlens_deep._resnet import ResNetMember

__all__ = ["Grid", "ResNetMember", "images_of"]
