"""Embeddings without a training: what a network, of a stack or of its own, makes of cutouts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from gridlens import load_model
from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.stacking import AveragedMember

if TYPE_CHECKING:
    from gridlens_deep._member import NetworkMember

__all__ = ["embed"]


def embed(cutouts: CutoutSet, member: NetworkMember | str | os.PathLike[str]) -> np.ndarray:
    """What the last layer of a network reads off cutouts, for neighbours, clusters and novelty.

    Parameters
    ----------
    cutouts : CutoutSet of n
    member : NetworkMember, or str or path
        Fitted; or a model whose stack holds one, as `gridlens.load_model` takes it.

    Returns
    -------
    ndarray of shape (n, width), float32
        The mean over the eight flips and quarter turns; NaN for a rejected cutout.

    Raises
    ------
    GridlensError
        No member of the model is a network.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens_deep import ResNetMember, embed
    >>> cutouts = CutoutSet(np.random.default_rng(0).normal(size=(24, 64, 64, 3)), pixel_scale=1.0)
    >>> member = ResNetMember("10", size=32, pixel_scale=2.0, epochs=1).fit(cutouts, np.arange(24) % 2)
    >>> embed(cutouts, member).shape
    (24, 128)
    """
    from gridlens_deep._member import NetworkMember

    if isinstance(member, NetworkMember):
        return member.embed(cutouts)
    # Of a member whose folds were kept the first stands for all: embeddings of two networks do not compare.
    members = [one.members[0] if isinstance(one, AveragedMember) else one for one in load_model(member).stack_.members_]
    networks = [one for one in members if isinstance(one, NetworkMember)]
    if not networks:
        raise GridlensError(
            f"The 'member' parameter must be a network, or a model that holds one. Got {str(member)!r}, whose members "
            "are none; train one with --members resnet."
        )
    return networks[0].embed(cutouts)
