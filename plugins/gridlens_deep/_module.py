"""The Lightning module: a network, a loss, an optimizer with warm-up and cosine decay, averaged weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import lightning
import torch
from sklearn.metrics import average_precision_score

from gridlens_deep._augment import augment
from gridlens_deep._data import Batch
from gridlens_deep._losses import nnpu_risk, weighted_cross_entropy
from gridlens_deep._networks import Network
from gridlens_deep._settings import Settings

__all__ = ["LensModule"]

_AVERAGING = 0.999
"""decay of the moving average of the weights"""


class LensModule(lightning.LightningModule):
    """A network with a loss.

    Parameters
    ----------
    network : Network
        The trained network; `averaged` is a copy with the exponential moving average of its weights, used for scoring.
    settings : Settings
    """

    def __init__(self, network: Network, settings: Settings) -> None:
        super().__init__()
        self.network = network
        self.averaged = copy.deepcopy(network).requires_grad_(False)
        self.settings = settings
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def on_train_batch_start(self, *_: Any) -> None:
        # Means and variances of a few batches are noisy, and adapting them to a sky with few labels loses more lenses
        # than it gains. This is done in each batch, since a validation resets all layers to training mode.
        if self.settings.pretrained is not None and self.settings.regime.frozen_norms:
            for layer in self.network.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.eval()

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        # Random numbers depend only on the epoch and the batch, so an interrupted training continues as if it had not
        # been interrupted.
        key = (self.settings.random_state, self.current_epoch, index, self.global_rank)
        torch.manual_seed(hash(key) % 2**62)
        log_odds = self.network(augment(batch.images, self.settings.grid, self.settings.regime)).float()
        if self.settings.loss == "nnpu":
            assert self.settings.class_prior is not None
            risk = nnpu_risk(log_odds, batch.y, batch.weight, self.settings.class_prior)
            self.log("risk", risk.value, batch_size=len(batch.y))
            return risk.to_descend
        smoothing = self.settings.regime.label_smoothing
        value = weighted_cross_entropy(log_odds, batch.y * (1.0 - smoothing) + 0.5 * smoothing, batch.weight)
        self.log("loss", value, prog_bar=True, batch_size=len(batch.y))
        return value

    def on_train_batch_end(self, *_: Any) -> None:
        # Early in the training, the average covers few steps.
        decay = min(_AVERAGING, (1.0 + self.global_step) / (10.0 + self.global_step))
        with torch.no_grad():
            pairs = zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True)
            for mean, now in pairs:
                if mean.is_floating_point():
                    mean.lerp_(now, 1.0 - decay)
                else:
                    mean.copy_(now)

    def validation_step(self, batch: Batch, _: int) -> None:
        self.seen.append((self.averaged(batch.images).float().cpu(), batch.y.cpu()))

    def on_validation_epoch_end(self) -> None:
        log_odds, y = (torch.cat(parts) for parts in zip(*self.seen, strict=True))
        self.seen = []
        found = average_precision_score(y.numpy(), log_odds.numpy()) if 0 < y.sum() < len(y) else 0.0
        self.log("average precision", float(found), prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": self.settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=self.settings.learning_rate,
        )
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        rising = max(1, int(self.settings.regime.rise * steps))

        def factor(step: int) -> float:
            if step < rising:
                return (step + 1) / rising
            return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
