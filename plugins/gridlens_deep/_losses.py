"""Losses: cross-entropy for clean labels, and the non-negative risk for labelled lenses among unlabelled rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import softplus

__all__ = ["NNPURisk", "nnpu_risk", "weighted_cross_entropy"]


def weighted_cross_entropy(log_odds: torch.Tensor, y: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean of ``log(1 + exp(-t z))`` over a batch, with `t` 1 for a lens and -1 for the others."""
    losses = softplus(log_odds) - y * log_odds
    return (losses * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


class NNPURisk(NamedTuple):
    """Terms of the risk of one batch.

    Attributes
    ----------
    value : Tensor
        The non-negative risk, for logging.
    to_descend : Tensor
        The objective of the optimizer: the risk, or ``-gamma`` times its negative part if that is below ``-beta``.
    negative_part : Tensor
        Risk of the unlabelled rows as negatives, minus that of the positives among them.
    """

    value: torch.Tensor
    to_descend: torch.Tensor
    negative_part: torch.Tensor


def nnpu_risk(
    log_odds: torch.Tensor,
    labelled: torch.Tensor,
    weight: torch.Tensor,
    prior: float,
    beta: float = 0.0,
    gamma: float = 1.0,
) -> NNPURisk:
    """Compute the non-negative risk of Kiryo et al. 2017 on one batch, with the sigmoid loss.

    ``R = prior R_p+ + max(-beta, R_u- - prior R_p-)`` with the loss ``l(z) = 1 / (1 + exp(z))``: R_p+ is the labelled
    rows' mean loss as positives, R_p- their mean loss as negatives, R_u- that of the unlabelled rows as negatives.
    Algorithm 1 of the paper descends the sum if the last bracket is at least ``-beta``, and otherwise ascends only the
    bracket, scaled by `gamma`, since a negative bracket indicates overfitting.

    Parameters
    ----------
    log_odds, labelled, weight : Tensor of shape (n,)
        `labelled` is 1 for a labelled lens, 0 for an unlabelled row.
    prior : float
        Class prior: the fraction of lenses among the unlabelled rows.
    beta, gamma : float
        As in the paper.

    Returns
    -------
    NNPURisk

    References
    ----------
    Kiryo, Niu, du Plessis & Sugiyama 2017, "Positive-unlabeled learning with non-negative risk estimator", NeurIPS 30,
    equation 6 and algorithm 1.
    """
    tiny = torch.finfo(weight.dtype).tiny
    of_positive, of_unlabelled = weight * labelled, weight * (1.0 - labelled)
    as_positive, as_negative = torch.sigmoid(-log_odds), torch.sigmoid(log_odds)
    n_positive, n_unlabelled = of_positive.sum().clamp_min(tiny), of_unlabelled.sum().clamp_min(tiny)
    positive_part = prior * (of_positive * as_positive).sum() / n_positive
    negative_part = (of_unlabelled * as_negative).sum() / n_unlabelled
    negative_part = negative_part - prior * (of_positive * as_negative).sum() / n_positive
    value = positive_part + negative_part.clamp_min(-beta)
    to_descend = positive_part + negative_part if negative_part >= -beta else -gamma * negative_part
    return NNPURisk(value.detach(), to_descend, negative_part.detach())
