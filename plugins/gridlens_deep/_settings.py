"""The parameters of a network member in the form used internally."""

from __future__ import annotations

from dataclasses import dataclass

from gridlens_deep._images import Grid
from gridlens_deep._layers import PLANS, REDUCTION

__all__ = ["Regime", "Settings"]

_DEVICES = ("auto", "cpu", "cuda")
# A quarter turn exchanges rows and columns, so the mean over it is closer to the mean over all eight than with a half
# turn.
_VERSIONS = {1: (0,), 2: (0, 1), 4: (0, 1, 2, 3), 8: tuple(range(8))}


@dataclass(frozen=True)
class Regime:
    """Training settings of a member's networks other than its parameters.

    Attributes
    ----------
    degraded : bool
        Whether to blur the images and raise their noise at random.
    most_shift : int
        Largest random shift, pixels.
    label_smoothing : float
        Cross-entropy uses labels of half of this value and one minus half of this value.
    rise : float
        Fraction of the steps over which the learning rate rises, before it falls as a cosine: short for a warm-up,
        0.3 for one cycle (Smith & Topin 2019, SPIE, 11006).
    cpu_bfloat16 : bool
        Whether to train in mixed precision on a CPU with bfloat16 instructions.
    frozen_norms : bool
        Whether to keep the batch-normalization means and variances of pretrained weights.
    """

    degraded: bool = True
    most_shift: int = 2
    label_smoothing: float = 0.0
    rise: float = 0.05
    cpu_bfloat16: bool = False
    frozen_norms: bool = False


@dataclass(frozen=True)
class Settings:
    """Frozen parameters of one member; see `NetworkMember`.

    If a parameter of the member is None, this has its default value.
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
        """True if the network gives the same score for each flip and turn of an image."""
        return self.variant in PLANS and PLANS[self.variant].is_shared

    @property
    def versions(self) -> tuple[int, ...]:
        """Flips and turns over which a score is averaged, by their numbers in `gridlens.features.dihedral`."""
        return _VERSIONS[1 if self.symmetric else _number_of(self.turns)]

    @property
    def grid(self) -> Grid:
        """Pixel grid and channels of the network's images."""
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
                f"The 'size' parameter of the variant {self.variant!r} must be a multiple of {REDUCTION}, since its "
                f"scores would otherwise change with a turn of the image. Got {self.size!r} instead."
            )


def _number_of(turns: bool | int) -> int:
    """Return the number of flips and turns."""
    return (8 if turns else 1) if isinstance(turns, bool) else turns
