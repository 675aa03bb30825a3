"""Embeddings of cutouts by a network, standalone or in a stack."""

from __future__ import annotations

import os

import numpy as np

from gridlens import load_model
from gridlens.cutouts import CutoutSet
from gridlens.errors import GridlensError
from gridlens.stacking import AveragedMember
from gridlens_deep._member import NetworkMember
from gridlens_deep._store import Images

__all__ = ["embed"]


def embed(cutouts: CutoutSet | Images, member: NetworkMember | str | os.PathLike[str]) -> np.ndarray:
    """Compute embeddings, the input of the last layer of a network, for neighbour searches, clustering and novelty.

    Parameters
    ----------
    cutouts : CutoutSet of n, or prepared images of a network
    member : NetworkMember, or str or path
        A fitted member, or a model whose stack contains one, as in `gridlens.load_model`.

    Returns
    -------
    ndarray of shape (n, width), float32
        The mean over the member's `turns`; NaN for a rejected cutout.

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
    if isinstance(member, NetworkMember):
        return member.embed(cutouts)
    # Embeddings of different networks are not comparable, so the first network of a member with folds is used.
    members = [one.members[0] if isinstance(one, AveragedMember) else one for one in load_model(member).stack_.members_]
    networks = [one for one in members if isinstance(one, NetworkMember)]
    if not networks:
        raise GridlensError(
            f"The 'member' parameter must be a network, or a model that contains one. Got {str(member)!r}, which has "
            "no network among its members. Train one with the member 'convnet', 'resnet' or 'vit'."
        )
    return networks[0].embed(cutouts)
