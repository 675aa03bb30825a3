"""Options that several commands share, and their types."""

from typing import Any

import click

__all__ = ["Prevalence", "Zeropoint", "reading_options"]


class Prevalence(click.ParamType):
    """A share strictly between 0 and 1."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share as a float; end in a usage error otherwise."""
        try:
            share = float(value)
        except ValueError:
            share = float("nan")
        if not 0.0 < share < 1.0:
            self.fail(f"must be a share between 0 and 1, such as 1e-3. Got {value!r} instead.", param, ctx)
        return share


class Zeropoint(click.ParamType):
    """AB zero points: a number for all bands, or "g=27,r=26.5,i=26"."""

    name = "mag"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | dict[str, float]:
        """Return a float or a dictionary by band; end in a usage error otherwise."""
        if isinstance(value, float | dict):
            return value
        try:
            if "=" not in value:
                return float(value)
            return {band.strip(): float(mag) for band, mag in (part.split("=") for part in value.split(","))}
        except ValueError:
            self.fail(f"must be a number, or one for each band such as g=27,r=26.5,i=26. Got {value!r}.", param, ctx)


def reading_options(command: Any) -> Any:
    """Add the options that say how files are read."""
    for option in (
        click.option(
            "--zeropoint",
            type=Zeropoint(),
            help="AB zero points that go before those in the headers: 27 or g=27,r=26.5,i=26.",
        ),
        click.option("--bands", help="Bands in the order in which files hold them, such as grizy."),
        click.option("--pixel-scale", type=float, help="arcsec per pixel of all cutouts, whatever the files say."),
    ):
        command = option(command)
    return command
