"""Simulated cutouts with known truth: scenes of clusters with and without arcs, and arcs injected into real images."""

from gridlens.simulate._backgrounds import load_backgrounds
from gridlens.simulate._canvas import Geometry
from gridlens.simulate._cluster_arcs import INJECTED_COLUMNS, ImageSky, Injected, inject_arcs
from gridlens.simulate._dataset import scenes_to_cutouts, write_training_set
from gridlens.simulate._inject import inject_scene, write_injected_set
from gridlens.simulate._randomised import RANDOMISED
from gridlens.simulate._scene import TRUTH_COLUMNS, Scene, SceneSettings, simulate_scene

__all__ = [
    "INJECTED_COLUMNS",
    "RANDOMISED",
    "TRUTH_COLUMNS",
    "Geometry",
    "ImageSky",
    "Injected",
    "Scene",
    "SceneSettings",
    "inject_arcs",
    "inject_scene",
    "load_backgrounds",
    "scenes_to_cutouts",
    "simulate_scene",
    "write_injected_set",
    "write_training_set",
]
