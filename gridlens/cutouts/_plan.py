"""Settle, before a pixel is read, which image of which band each cluster is cut from, and what its pixels mean."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens._errors import CutoutError
from gridlens.cutouts._cut import BandImage
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts._image_files import image_files
from gridlens.cutouts._join import duplicate_rows
from gridlens.cutouts._photometry import header_saturation, header_seeing, header_zeropoint
from gridlens.cutouts._planes import BANDS, missing_bands, to_reference
from gridlens.cutouts._psf import matching_sigmas
from gridlens.cutouts._scan import PathsLike
from gridlens.cutouts._tiles import Tile, TileIndex

if TYPE_CHECKING:
    from gridlens.cutouts.surveys import Survey

__all__ = ["Plan"]

_R = BANDS.index("r")


class Plan:
    """Positions, the images that they lie on, and the order in which they are cut.

    Parameters
    ----------
    catalog : DataFrame
        As `read_catalog` returns it, with `ra` and `dec`.
    images : mapping of band to paths
    zeropoint : mapping of band to float, or None
    survey : Survey or None
    seeing : mapping of band to float, or None
        FWHM, arcsec, that goes before the headers'.
    match_psf : bool

    Attributes
    ----------
    names : list of n str
        Ids, or positions where there is none.
    flags : ndarray of shape (n,), int64
        What is known of each row of the catalogue: `BAD_POSITION`, `NO_IMAGE`, `DUPLICATE`.
    tiles : ndarray of shape (3, n)
        Number of the tile of each band, -1 where there is none.
    place : ndarray of shape (n, 2)
        Pixel of the position on the tile in r.
    """

    def __init__(
        self,
        catalog: pd.DataFrame,
        images: Mapping[str, PathsLike],
        *,
        zeropoint: Mapping[str, float] | None,
        survey: "Survey | None",
        seeing: Mapping[str, float] | None,
        match_psf: bool,
    ) -> None:
        if missing := missing_bands(images):
            raise CutoutError(
                f"{missing} in the 'images' parameter. Cutouts need g, r and i: --image g=PATH --image r=PATH "
                "--image i=PATH, the bands that stand for them."
            )
        if not {"ra", "dec"} <= set(catalog.columns):
            raise CutoutError(
                "The catalogue must have the columns 'ra' and 'dec', where the clusters are cut out. Got "
                f"{', '.join(catalog.columns)} instead. Name them: --column ra=COLUMN --column dec=COLUMN."
            )
        self.catalog = catalog
        self.names = _names(catalog)
        self._zeropoint, self._survey, self._seeing, self._match = zeropoint, survey, seeing, match_psf
        self._seen: dict[int, float] = {}
        self._images: dict[tuple[int, ...], list[BandImage]] = {}
        filters = None if survey is None else survey.filters
        self.indices = [TileIndex(image_files(images[band], band, filters), band) for band in BANDS]
        _part_bands(self.indices, filters or {})
        ra, dec = catalog["ra"].to_numpy(), catalog["dec"].to_numpy()
        self.flags = np.zeros(len(catalog), dtype=np.int64)
        bad = ~(np.isfinite(ra) & (np.abs(ra) <= 360.0) & (np.abs(dec) <= 90.0))
        self.flags[bad] |= CutoutFlag.BAD_POSITION
        self.flags[duplicate_rows(catalog)] |= CutoutFlag.DUPLICATE
        good_ra, good_dec = np.where(bad, np.nan, ra), np.where(bad, np.nan, dec)
        found = [index.find(good_ra, good_dec) for index in self.indices]
        self.tiles = np.stack([band.tile for band in found])
        self.place = np.stack([found[_R].x, found[_R].y], axis=-1)
        self.flags[(self.tiles < 0).any(axis=0) & ~bad] |= CutoutFlag.NO_IMAGE
        if len(catalog) and (self.tiles < 0).all():
            self._refuse(ra, dec)
        self._check_images()

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Rows that can be cut, image by image, so that each is opened once."""
        rows = np.flatnonzero((self.tiles >= 0).all(axis=0))
        return np.asarray(rows[np.lexsort((rows, *self.tiles[::-1, rows]))])

    def measured(self, name: str, row: int) -> float:
        """Seeing (arcsec) or depth (mag) in r, where header or survey know it, else NaN."""
        if name == "seeing":
            k = int(self.tiles[_R, row])
            if k not in self._seen:
                self._seen[k] = self.fwhm(self.indices[_R].tiles[k], _R)
            return self._seen[k]
        return np.nan if self._survey is None else float(self._survey.depth[_R])

    def images(self, row: int) -> list[BandImage]:
        """The images of g, r, i that a row is cut from."""
        key = tuple(int(k) for k in self.tiles[:, row])
        if key not in self._images:
            tiles = [index.tiles[k] for index, k in zip(self.indices, key, strict=True)]
            known = self._zeropoints(tiles)
            factors = np.ones(len(BANDS)) if known is None else to_reference(known)
            sigmas = (
                matching_sigmas([self.fwhm(tile, b) for b, tile in enumerate(tiles)]) if self._match else np.zeros(3)
            )
            self._images[key] = [
                BandImage(
                    tile=tile,
                    wcs=self.indices[b].wcs(key[b]),
                    flux_factor=float(factors[b]),
                    calibrated=known is not None,
                    saturation=header_saturation(tile.cards()),
                    sigma=float(sigmas[b]),
                )
                for b, tile in enumerate(tiles)
            ]
        return self._images[key]

    def fwhm(self, tile: Tile, b: int) -> float:
        """Seeing of a tile of band number `b`, arcsec: as stated, as in its header, or as usual in the survey.

        NaN where it is unknown and no PSFs are to be matched.
        """
        band = BANDS[b]
        if self._seeing is not None and band in self._seeing:
            return self._seeing[band]
        found = header_seeing(tile.cards())
        if found is None and self._survey is not None:
            found = self._survey.seeing[b]
        if found is None or not np.isfinite(found):
            if self._match:
                raise CutoutError(
                    f"The seeing of {tile.path} in the band {band} is unknown, and without it no PSFs can be matched. "
                    "State it with --seeing g=..,r=..,i=.. (FWHM, arcsec), or name a --survey."
                )
            return np.nan
        return float(found)

    def calibrated(self, row: int) -> bool:
        """Whether the zero points of a row's images are known, so that its flux is at the reference's."""
        return all(image.calibrated for image in self.images(row))

    def _zeropoints(self, tiles: list[Tile]) -> list[float] | None:
        """Zero points of g, r, i; None where no header states one and the bands are taken to be in one unit."""
        if self._zeropoint is not None:
            return [self._zeropoint[band] for band in BANDS]
        headers = [tile.cards() for tile in tiles]
        known = [header_zeropoint(header) for header in headers]
        units = {str(header.get("BUNIT", "")).strip().lower() for header in headers}
        # The survey's coadds are in one unit; what are in several are not those.
        if self._survey is not None and self._survey.zeropoint is not None and len(units) == 1:
            known = [self._survey.zeropoint if zeropoint is None else zeropoint for zeropoint in known]
        stated = [zeropoint for zeropoint in known if zeropoint is not None]
        if len(stated) == len(BANDS):
            return stated
        if stated or len(units) > 1:
            words = ", ".join(
                f"{band} {'unknown' if zeropoint is None else zeropoint}"
                for band, zeropoint in zip(BANDS, known, strict=True)
            )
            fault = f"zero points for some bands only ({words})" if stated else "several units and no zero points"
            raise CutoutError(
                f"The headers of {tiles[0].path} and of the other bands give {fault}. State them with "
                "--zeropoint g=..,r=..,i=.., AB magnitudes, or name a --survey."
            )
        return None

    def _check_images(self) -> None:
        """Raise what is wrong with the images, of zero points or seeing, if it is wrong with all of them."""
        problem: CutoutError | None = None
        for row in self.order[np.unique(self.tiles[:, self.order], axis=1, return_index=True)[1]]:
            try:
                self.images(row)
                return
            except CutoutError as exc:
                problem = exc
        if problem is not None:
            raise problem

    def _refuse(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> None:
        """Raise, because no cluster is on any image."""
        turned = [index.find(dec, np.where(np.abs(ra) <= 90.0, ra, np.nan)).tile >= 0 for index in self.indices]
        exchanged = int(np.count_nonzero(np.any(turned, axis=0)))
        hint = (
            f"With 'ra' and 'dec' exchanged {exchanged} are: exchange the columns, --column ra=... --column dec=..."
            if exchanged
            else "Check the catalogue's columns and units, and the images."
        )
        where = "; ".join(f"{index.band}: {index.extent()}" for index in self.indices)
        raise CutoutError(f"None of the {len(ra)} positions is on the images, which cover {where}. {hint}")


def _names(catalog: pd.DataFrame) -> list[str]:
    ids = catalog["id"] if "id" in catalog else [""] * len(catalog)
    return [name or f"{ra:.5f}{dec:+.5f}" for name, ra, dec in zip(ids, catalog["ra"], catalog["dec"], strict=True)]


def _part_bands(indices: list[TileIndex], filters: Mapping[str, str]) -> None:
    """Leave an image that was named for several bands to the one that its header says it is of.

    Raises
    ------
    CutoutError
        Its header does not say, or nothing is left for a band: one image would be cut out as several bands.
    """
    seen: dict[tuple[str, int], str] = {}
    for index in indices:
        for tile in index.tiles:
            place = tile.path, tile.hdu
            seen[place] = seen.get(place, "") + index.band
    shared = {place for place, bands in seen.items() if len(bands) > 1}
    if not shared:
        return
    for index in indices:
        own = []
        for tile in index.tiles:
            if (tile.path, tile.hdu) not in shared:
                own.append(tile)
                continue
            band = tile.band(filters)
            if not band:
                raise CutoutError(
                    f"The image {tile.path} is named for several bands, and neither its name nor its header (EXTNAME, "
                    f"FILTER) says which it is of. Name each band's own images: --image {index.band}=PATH."
                )
            if band == index.band:
                own.append(tile)
        if not own:
            raise CutoutError(
                f"None of the images that are named for several bands is of the band {index.band} by its header. "
                f"Name that band's own: --image {index.band}=PATH."
            )
        index.keep(own)
