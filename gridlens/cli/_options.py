"""Options that several commands share, and their types."""

from typing import Any

import click

__all__ = [
    "BandPath",
    "ColumnName",
    "Fraction",
    "Prevalence",
    "SurveyName",
    "Zeropoint",
    "catalog_options",
    "engine_options",
    "image_options",
    "reading_options",
]


def _number(value: Any) -> float:
    """Return a number; NaN for another text."""
    try:
        return float(value)
    except ValueError:
        return float("nan")


class Prevalence(click.ParamType):
    """A prevalence strictly between 0 and 1, or the words of `also`."""

    name = "prevalence"

    def __init__(self, *also: str) -> None:
        self.also = also

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Return the prevalence as a float; end in a usage error otherwise."""
        if value in self.also:
            return str(value)
        prevalence = _number(value)
        if not 0.0 < prevalence < 1.0:
            others = "".join(f", or {word!r}" for word in self.also)
            self.fail(f"must be a prevalence between 0 and 1, such as 1e-3{others}. Got {value!r} instead.", param, ctx)
        return prevalence


class Fraction(click.ParamType):
    """A fraction above 0 and at most 1."""

    name = "fraction"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the fraction as a float; end in a usage error otherwise."""
        fraction = _number(value)
        if not 0.0 < fraction <= 1.0:
            self.fail(f"must be a fraction above 0 and at most 1, such as 0.1. Got {value!r} instead.", param, ctx)
        return fraction


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


class BandPath(click.ParamType):
    """A band and where its images are: "g=PATH"."""

    name = "band=path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the band and the path; end in a usage error otherwise."""
        if isinstance(value, tuple):
            return value
        band, equals, path = str(value).partition("=")
        if band.strip() not in ("g", "r", "i") or not equals or not path.strip():
            self.fail(f"must be a band g, r or i and a path, such as g=coadds/g/. Got {value!r} instead.", param, ctx)
        return band.strip(), path.strip()


class SurveyName(click.ParamType):
    """A survey preset."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the preset's name; end in a usage error that lists the known ones otherwise."""
        from gridlens.cutouts._surveys import SURVEYS

        if str(value).lower() not in SURVEYS:
            self.fail(f"must be one of {', '.join(SURVEYS)}. Got {value!r} instead.", param, ctx)
        return str(value).lower()


class ColumnName(click.ParamType):
    """A name of ours and the catalogue's column: "richness=LAMBDA_CHISQ"."""

    name = "name=column"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return the two names; end in a usage error otherwise."""
        if isinstance(value, tuple):
            return value
        name, equals, column = str(value).partition("=")
        if not name.strip() or not equals or not column.strip():
            self.fail(f"must be a name and a column, such as richness=LAMBDA_CHISQ. Got {value!r} instead.", param, ctx)
        return name.strip(), column.strip()


def catalog_options(required: bool = False) -> Any:
    """Add the options that say which catalogue, and how its columns are named."""

    def decorate(command: Any) -> Any:
        command = click.option(
            "--column",
            "columns",
            type=ColumnName(),
            multiple=True,
            callback=lambda _ctx, _param, value: dict(value),
            help="A column of the catalogue that is not recognised by its name: richness=LAMBDA_CHISQ. Repeatable.",
        )(command)
        return click.option(
            "--catalog",
            required=required,
            metavar="FILE",
            help="Clusters, with positions, metadata and BCGs: csv, ECSV, FITS table, VOTable or Parquet.",
        )(command)

    return decorate


def image_options(command: Any) -> Any:
    """Add the options that say how clusters are cut out of survey images."""
    for option in (
        click.option(
            "--seeing",
            type=Zeropoint(),
            metavar="ARCSEC",
            help="FWHM of the images, which overrides the headers: 0.9 or g=1.1,r=0.9,i=0.8.",
        ),
        click.option("--match-psf", is_flag=True, help="Blur the sharper bands to the seeing of the worst one."),
        click.option(
            "--npix", type=click.IntRange(min=1), default=128, show_default=True, help="Side of a cutout, px."
        ),
        click.option("--size", default="64arcsec", show_default=True, metavar="ANGLE", help="Side of a cutout."),
        click.option(
            "--image",
            "images",
            type=BandPath(),
            multiple=True,
            callback=_paths_by_band,
            help="Survey images of a band, g=PATH: a FITS file, a folder of tiles or a glob, compressed ones too. For "
            "each of g, r and i, and repeatable.",
        ),
    ):
        command = option(command)
    return command


def engine_options(command: Any) -> Any:
    """Add the options of the workers, and of an output that exists already."""
    for option in (
        click.option(
            "--overwrite", is_flag=True, help="Replace the output, and drop what an earlier run had finished."
        ),
        click.option(
            "--resume",
            is_flag=True,
            help="Resume an earlier run of the same command where it ended.",
        ),
        click.option("--jobs", type=int, default=-1, show_default=True, help="Workers; -1 for all processors."),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="A Dask scheduler whose workers do the work, such as tcp://HOST:8786. They must see the same files.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["local", "dask"]),
            default="local",
            show_default=True,
            help="This machine's processors, or Dask workers that are started on it. The output is the same.",
        ),
    ):
        command = option(command)
    return command


def _paths_by_band(
    _ctx: click.Context, _param: click.Parameter, value: tuple[tuple[str, str], ...]
) -> dict[str, list[str]]:
    paths: dict[str, list[str]] = {}
    for band, path in value:
        paths.setdefault(band, []).append(path)
    return paths


def reading_options(command: Any) -> Any:
    """Add the options that say how files are read."""
    for option in (
        click.option(
            "--max-size",
            type=click.IntRange(min=1),
            help="Largest side of a cutout that is read, px. Files with larger images are rejected.  [default: 4096]",
        ),
        click.option(
            "--uncalibrated",
            is_flag=True,
            help="Read JPEG and PNG pictures too, which have no photometry; each such row is flagged.",
        ),
        click.option(
            "--zeropoint",
            type=Zeropoint(),
            help="AB zero points, which override those in the headers: 27 or g=27,r=26.5,i=26.",
        ),
        click.option(
            "--survey",
            type=SurveyName(),
            help="Survey whose pixel scale, zero points, seeing, depth and filters fill what the files lack.",
        ),
        click.option("--bands", help="Bands in the order in which arrays hold them, such as gri; .npy files need it."),
        click.option("--pixel-scale", type=float, help="arcsec per pixel of all cutouts, whatever the files say."),
    ):
        command = option(command)
    return command
