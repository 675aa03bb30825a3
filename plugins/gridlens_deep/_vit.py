"""The member `vit`."""

from typing import ClassVar

from gridlens_deep._member import NetworkMember

__all__ = ["ViTMember"]


class ViTMember(NetworkMember):
    """Vision transformer on cutouts, stretched in units of the noise and averaged over flips and turns.

    Requires ``gridlens[deep]``. Parameters and attributes are those of `NetworkMember`; the variants are "small", the
    S/16 of Dosovitskiy et al. 2021 (ICLR), and "tiny" for machines without a GPU. `size` must be a multiple of 16.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens_deep import ViTMember
    >>> cutouts = CutoutSet(np.random.default_rng(0).normal(size=(24, 64, 64, 3)), pixel_scale=1.0)
    >>> member = ViTMember("tiny", size=32, pixel_scale=2.0, epochs=1).fit(cutouts, np.arange(24) % 2)
    >>> member.predict_proba(cutouts[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "vit"
    variants: ClassVar[tuple[str, ...]] = ("small", "tiny")
    usual_rate: ClassVar[float] = 3e-4
