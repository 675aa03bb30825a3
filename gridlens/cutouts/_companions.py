"""Tell science images from the maps that surveys publish beside them: weights, masks, depths, models, backgrounds."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gridlens.errors import CutoutError

if TYPE_CHECKING:
    from astropy.io.fits import Header

__all__ = ["COMPANION_WORDS", "NAME_KEYS", "SCIENCE_WORDS", "is_companion", "science_image", "science_images"]

COMPANION_WORDS = frozenset(
    {"wht", "weight", "weights", "weightmap", "wtmap", "wt", "wts", "wgt", "wei", "ivar", "invvar", "ivm", "expwt"}
    | {"rms", "err", "error", "errors", "sig", "sigma", "std", "stddev", "unc", "uncert", "noise", "var", "variance"}
    | {"mask", "masks", "msk", "maskbits", "flag", "flags", "flg", "dq", "dqmask", "bpm", "badpix", "outlier"}
    | {"exp", "expmap", "exptime", "nexp", "nobs", "num", "cov", "coverage", "con", "ctx", "context"}
    | {"psf", "psfsize", "psfdepth", "psfex", "kernel", "depth", "galdepth", "depthmap", "limmag", "maglim"}
    | {"model", "models", "blobmodel", "blob", "blobs", "resid", "residual", "residuals", "chi", "chi2", "chisq"}
    | {
        "cat",
        "catalog",
        "catalogue",
        "tractor",
        "bkg",
        "bkgd",
        "bgmod",
        "back",
        "background",
        "seg",
        "segm",
        "segmap",
        "segmentation",
    }
)
"""words in names of files and extensions, in lower case, of maps that are not the science image"""

SCIENCE_WORDS = frozenset({"sci", "science"})
"""words at the end of the names of science images, which are no part of the cutout's name"""

# Of extensions alone: in a file's name they may be anything.
_SCIENCE_EXTENSIONS = SCIENCE_WORDS | {"image", "data", "flux", "coadd"}
_COMPANION_EXTENSIONS = COMPANION_WORDS | {"stat", "samp", "time", "quality", "hits"}
# DES_EXT is that of the Dark Energy Survey, EXTTYPE that of HSC, PRODTYPE that of NOIRLab's pipelines, HDUCLAS2 that of
# ESO's data products.
NAME_KEYS = ("EXTNAME", "EXTTYPE", "DES_EXT", "PRODTYPE", "HDUCLAS2")


def is_companion(header: "Header") -> bool:
    """Return whether the name or the type in a header is that of a map beside the science image."""
    words = _words(header)
    return not words & _SCIENCE_EXTENSIONS and bool(words & _COMPANION_EXTENSIONS)


def _words(header: "Header") -> set[str]:
    text = " ".join(str(header[key]) for key in NAME_KEYS if key in header)
    return set(re.split(r"[^a-z0-9]+", text.lower())) - {""}


def science_images(hdus: Sequence[Any]) -> list[Any]:
    """Return the image extensions that are no maps; those named as science alone where any is.

    Raises
    ------
    CutoutError
        There is no image, or none but maps.
    """
    images = [hdu for hdu in hdus if hdu.is_image and len(hdu.shape) >= 2 and min(hdu.shape[-2:]) > 0]
    if not images:
        raise CutoutError("There is no image in the FITS file.")
    science = [hdu for hdu in images if not is_companion(hdu.header)]
    if not science:
        raise CutoutError(
            f"The FITS file holds only maps beside a science image ({_names(images)}). Name the file of the image."
        )
    named = [hdu for hdu in science if _words(hdu.header) & _SCIENCE_EXTENSIONS]
    return named or science


def science_image(hdus: Sequence[Any]) -> Any:
    """Return the one science image of a file.

    Raises
    ------
    CutoutError
        There is none, or several of which nothing tells which is meant.
    """
    found = science_images(hdus)
    if len(found) > 1:
        raise CutoutError(
            f"The FITS file holds {len(found)} images ({_names(found)}), and nothing says which is the science image. "
            "Name its extension SCI, or keep it in a file of its own."
        )
    return found[0]


def _names(hdus: Sequence[Any]) -> str:
    return ", ".join(hdu.name.strip() or "unnamed" for hdu in hdus[:6]) + (", ..." if len(hdus) > 6 else "")
