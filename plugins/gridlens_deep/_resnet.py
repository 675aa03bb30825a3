"""The member `resnet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gridlens_deep._member import NetworkMember

if TYPE_CHECKING:
    from gridlens_deep._networks import Network

__all__ = ["ResNetMember"]


class ResNetMember(NetworkMember):
    """ResNet on cutouts, stretched in units of the noise and averaged over flips and turns.

    Needs ``gridlens[deep]``.

    Parameters
    ----------
    depth : {18, 34, 10}, default=18
        Layers; 10 is a narrow one for machines without a GPU.
    size : int, default=128
        Pixels on a side that the network sees.
    pixel_scale : float, default=0.5
        arcsec per pixel of these; cutouts are resampled.
    pretrained : str, default=None
        Folder with weights as `save_pretrained` of the library transformers writes them, or a name that it can fetch.
        None starts from random weights.
    loss : {"cross-entropy", "nnpu"}, default="cross-entropy"
        For clean labels; for labelled lenses among rows that nobody has looked at.
    prior : float, default=None
        Share of lenses among these, for "nnpu".
    epochs : int, default=30
        At most; without progress on the validation part it stops before.
    batch_size : int, default=64
    learning_rate : float, default=1e-3
    weight_decay : float, default=1e-2
    patience : int, default=6
        Epochs without a better average precision of the validation part before it stops.
    validation : float, default=0.15
        Share of the rows in that part, whole groups of them; 0 for none.
    turns : bool, default=True
        Score by the mean over the eight flips and quarter turns.
    dropout : float, default=0.1
    device : {"auto", "cpu", "cuda"}, default="auto"
    n_devices : int, default=1
        GPUs.
    checkpoints : str, default=None
        Folder for the state of the training after each epoch; what lies there is gone on with. None keeps nothing.
    n_jobs : int, default=1
        Processes that prepare cutouts.
    random_state : int, default=0
        One seed, one result, on the CPU.

    Attributes
    ----------
    network_ : torch.nn.Module
        The averaged weights of the best epoch.
    temperature_ : float
        Divisor of the log-odds.
    history_ : list of float
        Average precision of the validation part by epoch.

    Notes
    -----
    He et al. 2016, CVPR, 770.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens_deep import ResNetMember
    >>> cutouts = CutoutSet(np.random.default_rng(0).normal(size=(24, 64, 64, 3)), pixel_scale=1.0)
    >>> member = ResNetMember(depth=10, size=32, pixel_scale=2.0, epochs=1).fit(cutouts, np.arange(24) % 2)
    >>> member.predict_proba(cutouts[:5]).shape
    (5, 2)
    """

    name: ClassVar[str] = "resnet"

    def __init__(
        self,
        depth: int = 18,
        size: int = 128,
        pixel_scale: float = 0.5,
        pretrained: str | None = None,
        loss: str = "cross-entropy",
        prior: float | None = None,
        epochs: int = 30,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        patience: int = 6,
        validation: float = 0.15,
        turns: bool = True,
        dropout: float = 0.1,
        device: str = "auto",
        n_devices: int = 1,
        checkpoints: str | None = None,
        n_jobs: int | None = 1,
        random_state: int | None = 0,
    ) -> None:
        self.depth = depth
        self.size = size
        self.pixel_scale = pixel_scale
        self.pretrained = pretrained
        self.loss = loss
        self.prior = prior
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.validation = validation
        self.turns = turns
        self.dropout = dropout
        self.device = device
        self.n_devices = n_devices
        self.checkpoints = checkpoints
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _build(self, pretrained: str | None) -> Network:
        from gridlens_deep._networks import build_network

        return build_network("resnet", self.depth, size=self.size, dropout=self.dropout, pretrained=pretrained)
