"""Metadata of a scene, as in a cluster catalogue."""

import math

import numpy as np

from gridlens.simulate._observe import Conditions
from gridlens.simulate._population import Cluster

__all__ = ["catalogue_metadata"]


def catalogue_metadata(rng: np.random.Generator, cluster: Cluster, conditions: Conditions) -> dict[str, float]:
    """Return the metadata that a catalogue would give, with scatter and gaps, equally for lenses and non-lenses."""
    log_mass = 14.45 + 1.1 * math.log10(cluster.richness / 40.0) + float(rng.normal(0.0, 0.12))
    values = {
        "redshift": (cluster.redshift + float(rng.normal(0.0, 0.012)), 0.95),
        "richness": (cluster.richness * float(rng.lognormal(0.0, 0.15)), 0.9),
        "log_xray_luminosity": (44.3 + 1.4 * (log_mass - 14.5) + float(rng.normal(0.0, 0.2)), 0.15),
        "velocity_dispersion": (900.0 * 10.0 ** ((log_mass - 14.7) / 3.0) * float(rng.lognormal(0.0, 0.1)), 0.1),
        "log_mass": (log_mass + float(rng.normal(0.0, 0.1)), 0.5),
    }
    known = {name: value if rng.random() < share else math.nan for name, (value, share) in values.items()}
    return {
        "seeing": float(conditions.seeing[1]),
        "depth": float(conditions.depth[1]),
        **known,
        "ra": float(rng.uniform(0.0, 360.0)),
        "dec": math.degrees(math.asin(float(rng.uniform(-1.0, 1.0)))),
    }
