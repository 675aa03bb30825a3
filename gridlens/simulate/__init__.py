"""Simulated cutouts with known truth: scenes of clusters with and without arcs. Needs the extra ``gridlens[sim]``."""

from gridlens.simulate._scene import TRUTH_COLUMNS, Scene, SceneSettings, simulate_scene

__all__ = ["TRUTH_COLUMNS", "Scene", "SceneSettings", "simulate_scene"]
