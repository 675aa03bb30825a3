"""The member `convnet`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gridlens_deep._member import NetworkMember
from gridlens_deep._settings import Regime

__all__ = ["ConvNetMember"]


@dataclass(eq=False, repr=False)
class ConvNetMember(NetworkMember):
    """Compact residual network on the three bands and the blue map, designed for CPUs.

    Fitting requires ``gridlens[deep]``, and scoring on a CPU requires ``gridlens[onnx]``. Parameters and attributes are
    those of `NetworkMember`, with defaults for the same field of 64 arcsec in fewer pixels. The variants are
    "equivariant" (40,000 parameters), whose filters are shared between the flips and turns of an image, "compact"
    (316,000) and "wide" (654,000). Scores of "equivariant" do not depend on flips and turns: it computes one view, and
    `turns` has no effect; its `size` must be a multiple of 16. The fourth channel is the blue map of the feature
    contract, in which light with the colour of the BCG cancels. On a CPU with bfloat16 instructions, the network is
    trained in mixed precision.

    `pretrained` is a bundled model, or the path of a bundle, whose member `convnet` has the same variant, size and
    pixel scale; or a folder written by `save` of such a member. Its last layer is kept, since it was trained for the
    same task. Training then uses a tenth of the usual learning rate, and the means and variances of the batch
    normalization are frozen. If the validation part would contain fewer than 20 lenses, all rows are used for training,
    the last epoch is kept, and the temperature is 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens_deep import ConvNetMember
    >>> cutouts = CutoutSet(np.random.default_rng(0).normal(size=(24, 64, 64, 3)), pixel_scale=1.0)
    >>> member = ConvNetMember(size=32, pixel_scale=2.0, epochs=1).fit(cutouts, np.arange(24) % 2)
    >>> member.predict_proba(cutouts[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "convnet"
    variants: ClassVar[tuple[str, ...]] = ("equivariant", "compact", "wide")
    unnamed: ClassVar[str | None] = "compact"
    usual_rate: ClassVar[float] = 3e-3
    tuned_rate: ClassVar[float | None] = 3e-4
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime|torch", "safetensors", "gridlens[onnx]")
    requires_to_fit: ClassVar[tuple[str, ...]] = ("torch", "lightning", "gridlens[deep]")
    blue_map: ClassVar[bool] = True
    regime: ClassVar[Regime] = Regime(
        degraded=False, most_shift=3, label_smoothing=0.01, rise=0.3, cpu_bfloat16=True, frozen_norms=True
    )

    size: int = 96
    pixel_scale: float = 64.0 / 96.0
    epochs: int = 12
    n_iter_no_change: int = 12
    dropout: float = 0.2
