"""The parameters of a network member, as its functions take them."""

from __future__ import annotations

from dataclasses import dataclass

from gridlens_deep._images import Grid
from gridlens_deep._layers import PLANS, REDUCTION

__all__ = ["Regime", "Settings"]

_DEVICES = ("auto", "cpu", "cuda")
# A quarter turn exchanges rows and columns: a mean over these is closer to that over the eight than a mean with half a
# turn in its place.
_VERSIONS = {1: (0,), 2: (0, 1), 4: (0, 1, 2, 3), 8: tuple(range(8))}


@dataclass(frozen=True)
class Regime:
    """Settings of the training of a member's networks, beside its parameters.

    Attributes
    ----------
    degraded : bool
        Blur the images and raise their noise at random.
    most_shift : int
        Largest random shift, pixels.
    label_smoothing : float
        Cross-entropy takes labels of half of this and of one minus half of this.
    rise : float
        Fraction of the steps over which the learning rate rises, before it falls as a cosine: short for a warm-up,
        0.3 for one cycle (Smith & Topin 2019, SPIE, 11006).
    cpu_bfloat16 : bool
        Train in mixed precision on a CPU that has bfloat16 instructions.
    frozen_norms : bool
        Keep the means and variances of batch normalisation that pretrained weights come with.
    """

    degraded: bool = True
    most_shift: int = 2
    label_smoothing: float = 0.0
    rise: float = 0.05
    cpu_bfloat16: bool = False
    frozen_norms: bool = False


@dataclass(frozen=True)
class Settings:
    """Parameters of one member, which cannot change while it trains or scores; see `NetworkMember`.

    Where the member's parameter may be None for the usual value, this is the value.
    """

    name: str
    blue_map: bool
    regime: Regime
    variant: str
    size: int
    pixel_scale: float
    pretrained: str | None
    loss: str
    class_prior: float | None
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    n_iter_no_change: int
    validation_fraction: float
    turns: bool | int
    dropout: float
    device: str
    n_devices: int
    checkpoints: str | None
    n_jobs: int | None
    random_state: int
    verbose: int

    @property
    def symmetric(self) -> bool:
        """The network gives an image the same score in each flip and turn."""
        return self.variant in PLANS and PLANS[self.variant].is_shared

    @property
    def versions(self) -> tuple[int, ...]:
        """Flips and turns over which a score is averaged, by their numbers in `gridlens.features.dihedral`."""
        return _VERSIONS[1 if self.symmetric else _number_of(self.turns)]

    @property
    def grid(self) -> Grid:
        """Pixels and channels that the network sees."""
        return Grid(self.size, self.pixel_scale, blue_map=self.blue_map)

    def __post_init__(self) -> None:
        if self.device not in _DEVICES:
            raise ValueError(
                f"The 'device' parameter must be one of {', '.join(map(repr, _DEVICES))}. Got {self.device!r} instead."
            )
        if _number_of(self.turns) not in _VERSIONS:
            raise ValueError(
                f"The 'turns' parameter must be 1, 2, 4 or 8, True for 8 or False for 1. Got {self.turns!r} instead."
            )
        if self.symmetric and self.size % REDUCTION:
            raise ValueError(
                f"The 'size' parameter of the variant {self.variant!r} must be a multiple of {REDUCTION}, or its "
                f"scores would change with a turn of the image. Got {self.size!r} instead."
            )


def _number_of(turns: bool | int) -> int:
    """Return the number of flips and turns."""
    return (8 if turns else 1) if isinstance(turns, bool) else turns
