"""Training: one function, `train`, for simulated scenes and for your own labelled cutouts."""

from gridlens.training._recipe import RECIPES, Recipe
from gridlens.training._train import Trained, train

__all__ = ["RECIPES", "Recipe", "Trained", "train"]
