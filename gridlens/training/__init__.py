"""Training of models on simulated scenes or on your own labelled cutouts with the function `train`."""

from gridlens.training._recipe import RECIPES, Recipe
from gridlens.training._train import Trained, train

__all__ = ["RECIPES", "Recipe", "Trained", "train"]
