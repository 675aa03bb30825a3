"""Choice of the arc candidate of each row, shared by tables, pictures and explanations."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from gridlens.features import best_arc
from gridlens.features._candidates import arc_scores
from gridlens.features._contract import N_IMAGE_FEATURES, N_PATCHES, PATCH_FEATURE_NAMES
from gridlens.members._turned_trees import TurnedTrees
from gridlens.stacking import AveragedMember, MemberStack
from gridlens.stacking._stack import member_log_odds

__all__ = ["decisive_arcs"]

_ARC = slice(PATCH_FEATURE_NAMES.index("arcness"), PATCH_FEATURE_NAMES.index("arc_snr") + 1)
# Only rows with a score above this, at even prevalence, are scored again: below it there is little evidence of a lens
# to attribute, and most cutouts of a survey are below it.
_LEAST_SCORE = 0.3
# Candidates compete if their geometric score is at least this fraction of the best; in simulated scenes, few of the
# decisive ones are below it.
_COMPETING = 0.6
_BLOCK_ROWS = 4096


def decisive_arcs(stack: MemberStack, features: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return a patch that shows the arc candidate on which each score depends most.

    Among the candidates with at least 0.6 times the best geometric score, this is the one without which the score would
    decrease most: its features are replaced by those of an empty patch, and the members on features score the row
    again. Trees that normally average the scores of eight turned versions of a row score only the row itself, in an
    eighth of the time. Rows with a score of 0.3 or less, and rows of stacks without a member on features, get the
    candidate with the best geometric score, as `best_arc`.

    Parameters
    ----------
    stack : MemberStack
        Fitted stack.
    features : ndarray of shape (n, 315), float32
        Features, with the metadata that the members may use.
    score : ndarray of shape (n,)
        Calibrated scores at even prevalence; NaN for a rejected row.

    Returns
    -------
    ndarray of shape (n,), int64
        0 to 8, the first of the patches that show the candidate; -1 where no patch shows one and for NaN rows. Each
        result depends only on its own row.
    """
    chosen = best_arc(features)
    if not any(member.consumes == "features" for member in stack.members_):
        return chosen
    rows = np.flatnonzero(score > _LEAST_SCORE)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        chosen[block] = _decisive(stack, features[block], chosen[block])
    return chosen


def _decisive(stack: MemberStack, features: np.ndarray, best: np.ndarray) -> np.ndarray:
    geometric = arc_scores(features)
    # Patches that show the candidate of each patch, (n, 9, 9).
    arcs = _by_patch(features)[:, :, _ARC]
    same = (arcs[:, :, None] == arcs[:, None]).all(axis=-1) & (geometric >= 0.0)[:, None]
    first = same.argmax(axis=-1) == np.arange(N_PATCHES)
    competing = first & (geometric >= 0.0) & (geometric >= _COMPETING * geometric.max(axis=1, keepdims=True))
    competing[competing.sum(axis=1) < 2] = False
    row, patch = np.nonzero(competing)
    if not len(row):
        return best
    without = features[row]
    _by_patch(without)[:, :, _ARC][same[row, patch]] = 0.0
    left = np.full(geometric.shape, np.inf)
    left[row, patch] = _log_odds(stack, without)
    # Among equally decisive candidates, take the best geometric one.
    least = np.where(left == left.min(axis=1, keepdims=True), geometric, -np.inf)
    return np.where(competing.any(axis=1), least.argmax(axis=1), best)


def _by_patch(features: np.ndarray) -> np.ndarray:
    """Return a view of the image features of shape (n, 9, 34)."""
    return features[:, :N_IMAGE_FEATURES].reshape(len(features), N_PATCHES, -1)


def _log_odds(stack: MemberStack, features: np.ndarray) -> np.ndarray:
    """Return the contribution of the members on features to the log-odds of the stack, shape (n,)."""
    total = np.zeros(len(features))
    for member, weight in zip(stack.members_, stack.weights_, strict=True):
        if member.consumes == "features":
            total += weight * member_log_odds(_unturned(member).predict_proba(features)[:, 1])
    return total


def _unturned(member: Any) -> Any:
    """Return the member in a version that scores rows as they are, without turning them.

    This includes members within a member: those of averaged folds, and those of a pretrained model.
    """
    if isinstance(member, AveragedMember):
        return AveragedMember([_unturned(one) for one in member.members])
    once = copy.copy(member)
    if isinstance(member, TurnedTrees):
        once.turns = False
    elif isinstance(getattr(getattr(member, "detector_", None), "stack_", None), MemberStack):
        once.detector_ = copy.copy(member.detector_)
        once.detector_.stack_ = copy.copy(member.detector_.stack_)
        once.detector_.stack_.members_ = [_unturned(one) for one in member.detector_.stack_.members_]
    else:
        return member
    return once
