"""Ingredients of a scene that can be drawn more widely than a survey would have them.

A network, and trees too, learn the habits of a simulator beside the arcs. Scenes whose habits differ from one to the
next leave fewer of them to learn (domain randomisation, Tobin et al. 2017, IROS, 23).
"""

import numpy as np

__all__ = ["RANDOMISED", "Streams"]

RANDOMISED = (
    "psf",
    "noise",
    "background",
    "registration",
    "sampling",
    "galaxies",
    "sources",
    "impostors",
)
"""names of the ingredients, in the order of their streams of random numbers"""


class Streams:
    """Random numbers of the ingredients of one scene that are randomised.

    Each ingredient has a stream of its own, beside that of the scene: one that is left out changes nothing in the
    others.

    Parameters
    ----------
    seed, index : int
        As in `simulate_scene`.
    names : tuple of str
        The ingredients, among `RANDOMISED`.
    fraction : float, default=1.0
        Fraction of the scenes that are randomised at all.
    """

    def __init__(self, seed: int, index: int, names: tuple[str, ...], fraction: float = 1.0) -> None:
        def stream(number: int) -> np.random.Generator:
            return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(index, 1 + number)))

        randomised = bool(names) and stream(len(RANDOMISED)).random() < fraction
        self._streams = {name: stream(number) for number, name in enumerate(RANDOMISED) if randomised and name in names}

    def of(self, name: str) -> np.random.Generator | None:
        """Return the stream of an ingredient; None where it is not randomised."""
        return self._streams.get(name)

    def in_half(self, name: str) -> np.random.Generator | None:
        """Return the stream of an ingredient in half of the scenes; None in the others and where it is not randomised.

        Half of the scenes keep the plain ingredient, so that a survey as it is stays well represented.
        """
        stream = self.of(name)
        return stream if stream is not None and stream.random() < 0.5 else None
