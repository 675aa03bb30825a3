"""Plan of an extraction, made before any pixel is read: the images of each cluster and their flux units."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlens.cutouts._bands import BANDS, missing_bands
from gridlens.cutouts._conventions import PathsLike
from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts._surveys import get_survey
from gridlens.cutouts._zeropoints import checked_zeropoints, flux_factors, to_reference
from gridlens.cutouts.catalogs._join import duplicate_rows
from gridlens.cutouts.catalogs._kept import KeptColumns
from gridlens.cutouts.images._cut import BandImage
from gridlens.cutouts.images._flux import NotLinearError, band_zeropoints, pixel_unit, zeropoint_of
from gridlens.cutouts.images._image_files import image_files
from gridlens.cutouts.images._options import CutOptions, checked_seeing
from gridlens.cutouts.images._photometry import header_saturation, header_seeing
from gridlens.cutouts.images._psf import matching_sigmas
from gridlens.cutouts.images._tiles import Tile, TileIndex
from gridlens.errors import CutoutError

__all__ = ["Plan"]

_R = BANDS.index("r")


class Plan:
    """Positions, the images that cover them, and the order of extraction.

    Parameters
    ----------
    catalog : DataFrame
        As returned by `read_catalog`, with `ra` and `dec`.
    images : mapping of band to paths
    options : CutOptions

    Attributes
    ----------
    names : list of n str
        Ids, or positions for rows without an id.
    flags : ndarray of shape (n,), int64
        Flags of each row of the catalogue: `BAD_POSITION`, `NO_IMAGE`, `DUPLICATE`.
    tiles : ndarray of shape (3, n)
        Number of the tile in each band on which the position is farthest from the edge, -1 if there is none.
    place : ndarray of shape (n, 2)
        Pixel of the position on the r tile.
    kept : KeptColumns or None
        Columns of the catalogue that are added to the table for each row.
    """

    def __init__(
        self,
        catalog: pd.DataFrame,
        images: Mapping[str, PathsLike],
        options: CutOptions,
    ) -> None:
        if missing := missing_bands(images):
            raise CutoutError(
                f"{missing} in the 'images' parameter. Cutouts need g, r and i, or the bands that represent them: "
                'images={"g": PATH, "r": PATH, "i": PATH}.'
            )
        if not {"ra", "dec"} <= set(catalog.columns):
            raise CutoutError(
                "The catalogue must have the columns 'ra' and 'dec', the positions of the clusters. Got "
                f'{", ".join(catalog.columns)} instead. Give their names: columns={{"ra": COLUMN, "dec": COLUMN}}.'
            )
        survey = None if options.survey is None else get_survey(options.survey)
        self.catalog, self.options = catalog, options
        self.names = _names(catalog)
        self.kept: KeptColumns | None = None
        self._zeropoint, self._seeing = checked_zeropoints(options.zeropoint), checked_seeing(options.seeing)
        self._survey, self._match = survey, options.match_psf
        self._images: dict[tuple[int, ...], list[BandImage]] = {}
        filters = None if survey is None else survey.filters
        self.indices = [TileIndex(image_files(images[band], band, filters), band) for band in BANDS]
        _part_bands(self.indices, filters or {})
        for index in self.indices:
            index.check_alike()
        ra, dec = catalog["ra"].to_numpy(), catalog["dec"].to_numpy()
        self.flags = np.zeros(len(catalog), dtype=np.int64)
        bad = ~(np.isfinite(ra) & (np.abs(ra) <= 360.0) & (np.abs(dec) <= 90.0))
        self.flags[bad] |= CutoutFlag.BAD_POSITION
        self.flags[duplicate_rows(catalog)] |= CutoutFlag.DUPLICATE
        good_ra, good_dec = np.where(bad, np.nan, ra), np.where(bad, np.nan, dec)
        # Distance to the corners of a cutout.
        reach = options.pixel_scale * options.npix / np.sqrt(2.0)
        found = [index.find(good_ra, good_dec, reach) for index in self.indices]
        self.tiles = np.stack([band.tile for band in found])
        self._others = np.stack([band.others for band in found])
        self.place = np.stack([found[_R].x, found[_R].y], axis=-1)
        self.flags[(self.tiles < 0).any(axis=0) & ~bad] |= CutoutFlag.NO_IMAGE
        if len(catalog) and (self.tiles < 0).all():
            self._refuse(ra, dec)
        self._check_images()

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Return the rows that can be extracted, ordered by image, so that each image is opened once."""
        rows = np.flatnonzero((self.tiles >= 0).all(axis=0))
        return np.asarray(rows[np.lexsort((rows, *self.tiles[::-1, rows]))])

    def measured(self, name: str, row: int) -> float:
        """Return the seeing (arcsec) or depth (mag) in r from the header or the survey, NaN if unknown."""
        if name == "seeing":
            return self.images(row)[_R].fwhm
        return np.nan if self._survey is None else float(self._survey.depth[_R])

    def images(self, row: int) -> list[BandImage]:
        """Return the images of g, r, i that cover the position of a row.

        Raises
        ------
        CutoutError
            The pixels of an image are not linear, or the zero points are inconsistent.
        """
        key = tuple(int(k) for k in self.tiles[:, row])
        if key not in self._images:
            self._images[key] = self._first_images(key)
        return self._images[key]

    def others(self, row: int, b: int) -> Iterator[BandImage]:
        """Yield other images of band number `b` that may overlap a row's cutout, in the unit of the first image."""
        first = self.images(row)
        near = self._others[b, row]
        for k in near[near >= 0]:
            image = self._alternative(b, int(k), first[b], max(image.fwhm for image in first))
            if image is not None:
                yield image

    def _first_images(self, tiles: tuple[int, ...]) -> list[BandImage]:
        images = [self._image(b, k) for b, k in enumerate(tiles)]
        known = band_zeropoints([image.tile.cards() for image in images], self._zeropoint, self._survey)
        sigmas = matching_sigmas([image.fwhm for image in images]) if self._match else np.zeros(len(BANDS))
        return [
            replace(image, flux_factor=float(factor), calibrated=known is not None, sigma=float(sigma))
            for image, factor, sigma in zip(images, flux_factors(known), sigmas, strict=True)
        ]

    def _image(self, b: int, k: int) -> BandImage:
        tile = self.indices[b].tiles[k]
        header = tile.cards()
        return BandImage(
            tile=tile,
            wcs=self.indices[b].wcs(k),
            unit=pixel_unit(header),
            saturation=header_saturation(header),
            fwhm=self.fwhm(tile, b),
        )

    def _alternative(self, b: int, k: int, first: BandImage, worst: float) -> BandImage | None:
        """Return another image of the band in the unit of the first, or None if it cannot replace the first."""
        try:
            image = self._image(b, k)
            zeropoint = zeropoint_of(image.tile.cards(), image.unit, BANDS[b], self._zeropoint, self._survey)
        except CutoutError:
            return None
        if self._match and not image.fwhm <= worst:
            return None
        sigma = float(matching_sigmas([image.fwhm, worst])[0]) if self._match else 0.0
        if zeropoint is None:
            same = not first.calibrated and image.unit == first.unit
            return replace(image, flux_factor=1.0, calibrated=False, sigma=sigma) if same else None
        if not first.calibrated:
            return None
        return replace(image, flux_factor=float(to_reference([zeropoint])[0]), calibrated=True, sigma=sigma)

    def fwhm(self, tile: Tile, b: int) -> float:
        """Return the seeing of a tile of band number `b`, arcsec: from the user, its header or the survey.

        NaN if it is unknown and PSFs are not matched.
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
                    f"The seeing of {tile.path} in the band {band} is unknown, but matching PSFs requires it. "
                    'Give it with seeing={"g": .., "r": .., "i": ..}, FWHM in arcsec, or name the survey with '
                    "survey=NAME."
                )
            return np.nan
        return float(found)

    def calibrated(self, row: int) -> bool:
        """Return whether the zero points of a row's images are known, so that its flux is in the reference unit."""
        return all(image.calibrated for image in self.images(row))

    def _check_images(self) -> None:
        """Raise an error if the zero points or the seeing of all images are invalid.

        Pixels that are not linear are not an error here: they reject clusters individually.
        """
        problem: CutoutError | None = None
        for row in self.order[np.unique(self.tiles[:, self.order], axis=1, return_index=True)[1]]:
            try:
                self.images(row)
                return
            except NotLinearError:
                return
            except CutoutError as exc:
                problem = exc
        if problem is not None:
            raise problem

    def _refuse(self, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> None:
        """Raise an error because no cluster is on any image."""
        turned = [index.find(dec, np.where(np.abs(ra) <= 90.0, ra, np.nan)).tile >= 0 for index in self.indices]
        exchanged = int(np.count_nonzero(np.any(turned, axis=0)))
        hint = (
            f"With 'ra' and 'dec' exchanged, {exchanged} would be: exchange the columns, "
            f'columns={{"ra": .., "dec": ..}}.'
            if exchanged
            else "Check the catalogue's columns and units, and the images."
        )
        where = "; ".join(f"{index.band}: {index.extent()}" for index in self.indices)
        raise CutoutError(f"None of the {len(ra)} positions is on the images, which cover {where}. {hint}")


def _names(catalog: pd.DataFrame) -> list[str]:
    ids = catalog["id"] if "id" in catalog else [""] * len(catalog)
    return [name or f"{ra:.5f}{dec:+.5f}" for name, ra, dec in zip(ids, catalog["ra"], catalog["dec"], strict=True)]


def _part_bands(indices: list[TileIndex], filters: Mapping[str, str]) -> None:
    """Assign an image that was given for several bands to the band named by its header.

    Raises
    ------
    CutoutError
        Its header does not name a band, or a band has no image left: one image would be used for several bands.
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
                    f"The image {tile.path} is given for several bands, and neither its name nor its header (EXTNAME, "
                    f'FILTER) identifies the band. Give separate images for each band: images={{"{index.band}": PATH}}.'
                )
            if band == index.band:
                own.append(tile)
        if not own:
            raise CutoutError(
                f"None of the images given for several bands belongs to the band {index.band} according to its header. "
                f'Give the images of that band: images={{"{index.band}": PATH}}.'
            )
        index.keep(own)
