"""The arc candidate selected for a patch, to draw it and to find the best candidate of a cutout."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gridlens.errors import CutoutError
from gridlens.features._contract import N_IMAGE_FEATURES, N_PATCHES, PATCH_FEATURE_NAMES
from gridlens.features._named import check_features

__all__ = ["ArcCandidate", "arc_candidate", "arc_scores", "best_arc", "detection_maps"]


class ArcCandidate(NamedTuple):
    """An arc candidate of a cutout.

    Attributes
    ----------
    mask : ndarray of shape (H, W), bool
        Pixels of the candidate.
    circle : tuple of float
        Centre x, y and radius of the fitted circle, px; NaN if there is none.
    segmentation : int
        Map and threshold of the detection: 0 white map at 2.5, 1 white at 6, 2 blue map at 2.5, 3 blue at 5.
    score : float
        Ranking score: high if long, thin, tangential and away from the BCG.
    features : dict of str to float
        The arc features of the contract by name, from ``arcness`` to ``arc_snr``.
    """

    mask: np.ndarray
    circle: tuple[float, float, float]
    segmentation: int
    score: float
    features: dict[str, float]


def arc_candidate(
    pixels: np.ndarray, bcg_xy: tuple[float, float] | np.ndarray, pixel_scale: float, patch: int
) -> ArcCandidate | None:
    """Return the arc candidate selected for one patch of a cutout, with its pixels and circle.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3)
        Linear flux in g, r, i. Pixels that are not finite do not belong to any candidate.
    bcg_xy : pair of float
        Position (x, y) of the brightest cluster galaxy, px.
    pixel_scale : float
        Arcsec per pixel.
    patch : int
        0 to 8, as in the column names, such as `arc_patch` of a score table or the result of `best_arc`.

    Returns
    -------
    ArcCandidate or None
        None if the patch has no candidate.

    Raises
    ------
    ValueError
        `patch` is not 0 to 8.

    CutoutError
        The extractor rejects the cutout.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.features import arc_candidate
    >>> rng = np.random.default_rng(0)
    >>> pixels = rng.normal(size=(64, 64, 3)).astype(np.float32)
    >>> pixels[10:12, 8:19] += 9.0
    >>> arc = arc_candidate(pixels, (31.5, 31.5), 0.5, patch=0)
    >>> bool(arc.mask[10, 12]), bool(arc.mask[40, 40])
    (True, False)
    """
    if patch not in range(N_PATCHES):
        raise ValueError(f"The 'patch' parameter must be 0 to {N_PATCHES - 1}. Got {patch!r} instead.")
    from gridlens.features import _arcs

    work = _measured(pixels, bcg_xy, pixel_scale)
    found = work.best[patch]
    if found[_arcs.SCORE] < 0:
        return None
    segmentation, component = int(found[_arcs.SEGMENTATION]), int(found[_arcs.COMPONENT])
    begin, end = work.bounds[segmentation, component : component + 2]
    mask = np.zeros(work.good.shape, bool)
    for y, x0, x1 in work.runs[segmentation][:, work.members[segmentation, begin:end]].T:
        mask[y, x0:x1] = True
    first = PATCH_FEATURE_NAMES.index("arcness")
    return ArcCandidate(
        mask=mask,
        circle=(float(found[_arcs.CIRCLE_X]), float(found[_arcs.CIRCLE_Y]), float(found[_arcs.CIRCLE_R])),
        segmentation=segmentation,
        score=float(found[_arcs.SCORE]),
        features={PATCH_FEATURE_NAMES[first + k]: float(found[k]) for k in range(_arcs.N_SHOWN)},
    )


def detection_maps(
    pixels: np.ndarray, bcg_xy: tuple[float, float] | np.ndarray, pixel_scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the two maps in which arc candidates are detected, in units of the noise.

    Parameters
    ----------
    pixels, bcg_xy, pixel_scale
        See `arc_candidate`.

    Returns
    -------
    white : ndarray of shape (H, W), float32
        Sum of all bands without the BCG's light and the large-scale background, smoothed; thresholds 2.5 and 6.
    blue : ndarray of shape (H, W), float32
        Light bluer than the BCG, smoothed; thresholds 2.5 and 5. Bad pixels have the level of the sky.

    Raises
    ------
    CutoutError
        The extractor rejects the cutout.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.features import detection_maps
    >>> pixels = np.random.default_rng(0).normal(size=(64, 64, 3)).astype(np.float32)
    >>> white, blue = detection_maps(pixels, (31.5, 31.5), 0.5)
    >>> white.shape
    (64, 64)
    """
    maps = _measured(pixels, bcg_xy, pixel_scale).maps
    return maps[1].copy(), maps[2].copy()


def _measured(pixels: np.ndarray, bcg_xy: tuple[float, float] | np.ndarray, pixel_scale: float) -> Any:
    """Measure one cutout, and return the workspace of the kernels."""
    from gridlens.features import _kernels

    pixels = np.array(pixels, dtype=np.float32, order="C")
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise CutoutError(f"The 'pixels' parameter must have shape (H, W, 3). Got {pixels.shape} instead.")
    xy = np.array([bcg_xy], np.float64)
    row, arc_xy = np.empty((1, N_IMAGE_FEATURES), np.float32), np.empty((1, N_PATCHES, 2), np.float32)
    scale, status, bad = np.array([pixel_scale], np.float64), np.zeros(1, np.int64), np.zeros(1, np.int64)
    work = _kernels.make_workspace(pixels.shape[0])
    pixels.flags.writeable = False
    _kernels.extract_rows(pixels[None], xy, scale, work, row, status, bad, arc_xy)
    if status[0] != _kernels.OK:
        from gridlens.cutouts._reject import reject_reason

        reason = reject_reason(pixels, (xy[0, 0], xy[0, 1]), scale[0])
        raise CutoutError(
            f"The 'pixels' parameter must be a cutout that can be measured. This one is rejected: {reason}"
        )
    return work


def best_arc(X: np.ndarray) -> np.ndarray:
    """Return the patch with the highest-scoring arc candidate for each row of features.

    Parameters
    ----------
    X : ndarray of shape (n, 315)
        Features as returned by `GridPatchExtractor`.

    Returns
    -------
    ndarray of shape (n,), int64
        0 to 8; the first patch if a candidate lies in several; -1 if no patch has a candidate and for rows of NaN.

    Raises
    ------
    ValueError
        `X` has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.features import best_arc
    >>> best_arc(np.zeros((2, 315), np.float32))
    array([-1, -1])
    """
    scores = arc_scores(X)
    return np.where(scores.max(axis=1) >= 0, scores.argmax(axis=1), -1)


def arc_scores(X: np.ndarray) -> np.ndarray:
    """Return the score of the arc candidate of each patch, as defined by the contract.

    Parameters
    ----------
    X : ndarray of shape (n, 315)
        Features as returned by `GridPatchExtractor`.

    Returns
    -------
    ndarray of shape (n, 9), float64
        At least 0; -1 if a patch has no candidate and for rows of NaN.

    Raises
    ------
    ValueError
        `X` has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.features._candidates import arc_scores
    >>> arc_scores(np.zeros((1, 315), np.float32))
    array([[-1., -1., -1., -1., -1., -1., -1., -1., -1.]])
    """
    X = check_features(X).astype(np.float64)
    patches = X[:, :N_IMAGE_FEATURES].reshape(len(X), N_PATCHES, len(PATCH_FEATURE_NAMES))
    arcness, tangentiality, distance, offset, elongation = (
        patches[:, :, PATCH_FEATURE_NAMES.index(name)]
        for name in ("arcness", "tangentiality", "arc_distance", "circle_center_offset", "elongation")
    )
    # Same as `_arcs.score`, with which the tests compare it: importing that would load the compiler.
    centred = np.where(offset < 0.8, 1.0, 0.6)
    score = arcness * (0.2 + tangentiality**2) * np.minimum(1.0, distance / 4.0) * centred
    # Every candidate has an elongation of at least 1; a patch without a candidate has 0.
    return np.where(elongation > 0, score, -1.0)
