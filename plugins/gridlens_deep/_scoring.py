"""Scoring with a network in batches, averaged over flips and turns, with onnxruntime or torch."""

from __future__ import annotations

import warnings

import numpy as np

from gridlens.cutouts import CutoutSet
from gridlens_deep._errors import BatchTooLarge, out_of_memory
from gridlens_deep._fitted import FittedNetwork, Runtime
from gridlens_deep._settings import Settings
from gridlens_deep._store import Images, images_at

__all__ = ["embeddings_of", "fit_temperature", "log_odds_of", "spread_of"]

# Number of networks obtained by dropout, for the spread of scores.
_DRAWS = 32


def log_odds_of(network: FittedNetwork, settings: Settings, source: CutoutSet | Images, rows: np.ndarray) -> np.ndarray:
    """Return the log-odds (k,) of the cutouts `rows`, averaged over the turns of `settings`."""
    return _log_odds(network, embeddings_of(network, settings, source, rows))


def spread_of(
    network: FittedNetwork, settings: Settings, source: CutoutSet | Images, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-odds (k,) of the cutouts `rows`, and their standard deviation over networks obtained by dropout.

    Dropout is applied only before the last layer, so each image passes through the network once (Gal & Ghahramani
    2016, ICML, 1050). The same networks score all rows.
    """
    embedded = embeddings_of(network, settings, source, rows)
    weights = network.last[0]
    kept = np.random.default_rng(0).random((_DRAWS, len(weights))) >= settings.dropout
    drawn = weights * kept / (1.0 - settings.dropout)
    return _log_odds(network, embedded), (embedded @ drawn.T).std(axis=1)


def _log_odds(network: FittedNetwork, embedded: np.ndarray) -> np.ndarray:
    """Apply the last layer; because it is linear, the average over turns can be taken before it."""
    weights, bias = network.last
    # No matrix product is used, because its rounding of a row may depend on the other rows.
    return np.asarray((embedded * weights).sum(axis=1) + bias)


def embeddings_of(
    network: FittedNetwork, settings: Settings, source: CutoutSet | Images, rows: np.ndarray
) -> np.ndarray:
    """Return the embeddings (k, width), float32, of the cutouts `rows`, averaged over the turns of `settings`.

    NaN for a cutout that the features reject.
    """
    found = np.empty((len(rows), network.width), dtype=np.float32)
    start, batch = 0, settings.batch_size
    with network.running(settings) as runtime:
        while start < len(rows):
            chosen = rows[start : start + batch]
            images, measured = images_at(source, chosen, settings.grid, settings.n_jobs)
            try:
                found[start : start + batch] = _mean(runtime, images, settings)
            except BatchTooLarge as exc:
                if batch == 1:
                    raise out_of_memory(settings.size) from exc
                batch = max(1, batch // 2)
                warnings.warn(f"Out of memory on {exc}: scoring {batch} cutouts at a time.", UserWarning, stacklevel=2)
                continue
            found[start : start + batch][~measured] = np.nan
            start += len(chosen)
    return found


def _mean(runtime: Runtime, images: np.ndarray, settings: Settings) -> np.ndarray:
    values = np.array(runtime.embeddings(images, settings.versions))
    return values.mean(axis=0, dtype=np.float64).astype(np.float32)


def fit_temperature(log_odds: np.ndarray, y: np.ndarray) -> float:
    """Find the divisor of the log-odds, 0.05 to 20, that minimizes the log loss of clean labels (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        z = log_odds / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0.0, z) - y * z))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))
