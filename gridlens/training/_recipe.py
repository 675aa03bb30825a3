"""Recipes of the bundled models: the scenes that are simulated, and the members that learn from them."""

from dataclasses import dataclass, replace
from typing import Any

from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.features._contract import METADATA_CHOICES
from gridlens.simulate import RANDOMISED

__all__ = ["RECIPES", "Recipe", "settings_of"]


@dataclass(frozen=True)
class Recipe:
    """Settings of a model that is trained on simulated scenes.

    The scenes to learn from, to calibrate on and to test on share no seed. A third of those to learn from is drawn away
    from the canonical geometry, so that the model generalizes; the others are canonical.

    Parameters
    ----------
    target : {"galaxy-cluster", "cluster-cluster"}, default="galaxy-cluster"
        Kind of lens. "cluster-cluster" puts a background cluster behind the lens, and gives all scenes a field wide
        enough for its images.
    surveys : tuple of str
        Presets that the scenes are drawn from.
    n_train, n_calibrate, n_test : int
        Numbers of scenes. Half of those to learn from and to test on hold a lens.
    calibrate_lens_fraction : float, default=0.1
        Fraction of lenses among the scenes to calibrate on. They are rare there: a probability of one in a thousand
        depends on the few scenes without a lens that score highest, and many scenes are needed to count them.
    train_seed, calibrate_seed, test_seed : int
    members : tuple of str
        As in `LensDetector`.
    metadata : {"image", "survey", "all"}, default="image"
        As in `LensDetector`.
    faint_snr, faint_weight : float, default=20.0, 0.25
        Lenses whose arcs have an S/N below `faint_snr` have the weight `faint_weight` in the training, since their
        arcs cannot be seen. They count in full in the calibration and in the test.
    mined_fraction : float, default=1/16
        Hard negatives that are taken from a pool, as a fraction of the rows to learn from.
    randomisation : tuple of str, default=()
        Ingredients, among `gridlens.simulate.RANDOMISED`, that the scenes to learn from draw more widely than the
        surveys would have them. The scenes to calibrate on and to test on are those of the surveys.
    randomised_fraction : float, default=0.5
        Fraction of the scenes to learn from that are randomised; each ingredient is drawn widely in half of these.
    realistic_fraction : float, default=0.0
        Fraction of the scenes to learn from that are drawn as the images of surveys show them.
    random_state : int, default=0

    Examples
    --------
    >>> from dataclasses import replace
    >>> from gridlens.training import RECIPES
    >>> replace(RECIPES["quick"], members=("linear",)).n_scenes
    5120
    """

    target: str = "galaxy-cluster"
    surveys: tuple[str, ...] = SIMULATED_SURVEYS
    n_train: int = 32768
    n_calibrate: int = 20480
    calibrate_lens_fraction: float = 0.1
    n_test: int = 8192
    train_seed: int = 1
    calibrate_seed: int = 3
    test_seed: int = 7
    members: tuple[str, ...] = ("lightgbm", "patch")
    metadata: str = "image"
    faint_snr: float = 20.0
    faint_weight: float = 0.25
    mined_fraction: float = 1.0 / 16.0
    randomisation: tuple[str, ...] = ()
    randomised_fraction: float = 0.5
    realistic_fraction: float = 0.0
    random_state: int = 0

    @property
    def n_scenes(self) -> int:
        """Number of scenes in all."""
        return self.n_train + self.n_calibrate + self.n_test


RECIPES = {
    "default": Recipe(),
    "deep": Recipe(members=("lightgbm", "patch", "convnet(epochs=8)"), randomisation=RANDOMISED),
    # A sixteenth of the scenes, to try members or a pool in minutes.
    "quick": Recipe(n_train=2048, n_calibrate=2048, n_test=1024, train_seed=301, calibrate_seed=303, test_seed=307),
    "cluster-cluster": Recipe(
        target="cluster-cluster",
        n_train=2048,
        n_calibrate=1024,
        calibrate_lens_fraction=0.5,
        n_test=1024,
        train_seed=101,
        calibrate_seed=103,
        test_seed=107,
    ),
}
"""recipes by name"""


def settings_of(recipe: str | Recipe | None, **chosen: Any) -> Recipe:
    """Return a recipe with the parameters that the caller gave."""
    if not isinstance(recipe, Recipe):
        # Your own cutouts are learned with the settings of the bundled model.
        name = "default" if recipe is None else recipe
        if name not in RECIPES:
            raise ValueError(
                f"The 'recipe' parameter must be one of {', '.join(map(repr, RECIPES))}, or a Recipe. Got {name!r} "
                "instead."
            )
        recipe = RECIPES[name]
    given = {name: value for name, value in chosen.items() if value is not None}
    if "members" in given:
        given["members"] = tuple(given["members"])
    recipe = replace(recipe, **given)
    if recipe.metadata not in METADATA_CHOICES:
        raise ValueError(
            f"The 'metadata' parameter must be one of {', '.join(map(repr, METADATA_CHOICES))}. Got "
            f"{recipe.metadata!r} instead."
        )
    return recipe
