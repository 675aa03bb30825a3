"""The folder of real survey images beside the checkout; tests with the marker `real` are skipped without it."""

from pathlib import Path

DATA = Path(__file__).parents[2] / "shared" / "data"
