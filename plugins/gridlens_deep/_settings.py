"""The parameters of a network member, as its functions take them."""

from __future__ import annotations

from dataclasses import dataclass

from gridlens_deep._images import Grid

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """Parameters of one member, which cannot change while it trains or scores; see `NetworkMember`.

    Where the member's parameter may be None for the usual value, this is the value.
    """

    name: str
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
    turns: bool
    dropout: float
    device: str
    n_devices: int
    checkpoints: str | None
    n_jobs: int | None
    random_state: int
    verbose: int

    @property
    def grid(self) -> Grid:
        """Pixels that the network sees."""
        return Grid(self.size, self.pixel_scale)
