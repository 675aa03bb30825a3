"""Simulated cutouts with known truth: scenes of clusters with and without arcs. Needs the extra ``gridlens[sim]``."""

from gridlens.simulate._dataset import map_blocks, scenes_to_cutouts, write_training_set
from gridlens.simulate._scene import TRUTH_COLUMNS, Scene, SceneSettings, simulate_scene

__all__ = [
    "TRUTH_COLUMNS",
    "Scene",
    "SceneSettings",
    "map_blocks",
    "scenes_to_cutouts",
    "simulate_scene",
    "write_training_set",
]
