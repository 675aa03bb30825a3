"""The member `resnet`."""

from typing import ClassVar

from gridlens_deep._member import NetworkMember

__all__ = ["ResNetMember"]


class ResNetMember(NetworkMember):
    """ResNet on cutouts, stretched in units of the noise and averaged over flips and turns.

    Requires ``gridlens[deep]``. Parameters and attributes are those of `NetworkMember`; the variants are "18" and "34"
    layers (He et al. 2016, CVPR, 770), and "10", a narrow network for machines without a GPU.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens_deep import ResNetMember
    >>> cutouts = CutoutSet(np.random.default_rng(0).normal(size=(24, 64, 64, 3)), pixel_scale=1.0)
    >>> member = ResNetMember("10", size=32, pixel_scale=2.0, epochs=1).fit(cutouts, np.arange(24) % 2)
    >>> member.predict_proba(cutouts[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "resnet"
    variants: ClassVar[tuple[str, ...]] = ("18", "34", "10")
    usual_rate: ClassVar[float] = 1e-3
