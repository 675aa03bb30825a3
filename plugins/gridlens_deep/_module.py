"""What Lightning trains: a network, a loss, an optimiser whose step warms up and dies away, averaged weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import lightning
import torch
from sklearn.metrics import average_precision_score

from gridlens_deep._augment import augment
from gridlens_deep._data import Batch
from gridlens_deep._images import Grid
from gridlens_deep._losses import nnpu_risk, weighted_cross_entropy
from gridlens_deep._networks import Network

__all__ = ["LensModule"]


class LensModule(lightning.LightningModule):
    """A network under a loss.

    Parameters
    ----------
    network : Network
    grid : Grid
        Of the images.
    seed : int
        Of their versions.
    loss : {"cross-entropy", "nnpu"}
    prior : float, default=None
        Share of lenses among the unlabelled rows, for "nnpu".
    learning_rate, weight_decay : float
    warmup : float
        Share of the steps over which the learning rate rises, before it falls as a cosine.
    averaging : float
        Decay of the exponential moving average of the weights, which scores.
    """

    def __init__(
        self,
        network: Network,
        grid: Grid,
        seed: int,
        loss: str,
        prior: float | None,
        learning_rate: float,
        weight_decay: float,
        warmup: float,
        averaging: float,
    ) -> None:
        super().__init__()
        self.network = network
        self.averaged = copy.deepcopy(network).requires_grad_(False)
        self.grid, self.seed = grid, seed
        self.loss, self.prior = loss, prior
        self.learning_rate, self.weight_decay, self.warmup = learning_rate, weight_decay, warmup
        self.averaging = averaging
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        # Chance hangs on the epoch and the batch alone: a training that was cut goes on as if it had not been.
        torch.manual_seed(hash((self.seed, self.current_epoch, index, self.global_rank)) % 2**62)
        log_odds = self.network(augment(batch.images, self.grid)).float()
        if self.loss == "nnpu":
            assert self.prior is not None
            risk = nnpu_risk(log_odds, batch.y, batch.weight, self.prior)
            self.log("risk", risk.value, batch_size=len(batch.y))
            return risk.to_descend
        value = weighted_cross_entropy(log_odds, batch.y, batch.weight)
        self.log("loss", value, prog_bar=True, batch_size=len(batch.y))
        return value

    def on_train_batch_end(self, *_: Any) -> None:
        # Early on the average of few steps is the network itself.
        decay = min(self.averaging, (1.0 + self.global_step) / (10.0 + self.global_step))
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
            [{"params": decayed, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=self.learning_rate,
        )
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        rising = max(1, int(self.warmup * steps))

        def factor(step: int) -> float:
            if step < rising:
                return (step + 1) / rising
            return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
