"""Distinguish science images from the maps published with them: weights, masks, depths, models, backgrounds."""

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
"""lower-case words that mark files and extensions as maps rather than science images"""

SCIENCE_WORDS = frozenset({"sci", "science"})
"""words at the end of the names of science images that are not part of the cutout's name"""

# These words apply to extensions only: in a file name they may mean anything.
_SCIENCE_EXTENSIONS = SCIENCE_WORDS | {"image", "data", "flux", "coadd"}
_COMPANION_EXTENSIONS = COMPANION_WORDS | {"stat", "samp", "time", "quality", "hits"}
# DES_EXT is used by the Dark Energy Survey, EXTTYPE by HSC, PRODTYPE by NOIRLab's pipelines, HDUCLAS2 by ESO's data
# products.
NAME_KEYS = ("EXTNAME", "EXTTYPE", "DES_EXT", "PRODTYPE", "HDUCLAS2")


def is_companion(header: "Header") -> bool:
    """Return whether the name or the type in a header marks a map other than the science image."""
    words = _words(header)
    return not words & _SCIENCE_EXTENSIONS and bool(words & _COMPANION_EXTENSIONS)


def _words(header: "Header") -> set[str]:
    text = " ".join(str(header[key]) for key in NAME_KEYS if key in header)
    return set(re.split(r"[^a-z0-9]+", text.lower())) - {""}


def science_images(hdus: Sequence[Any]) -> list[Any]:
    """Return the image extensions that are not maps; only those named as science images if there are any.

    Raises
    ------
    CutoutError
        There is no image, or there are only maps.
    """
    images = [hdu for hdu in hdus if hdu.is_image and len(hdu.shape) >= 2 and min(hdu.shape[-2:]) > 0]
    if not images:
        raise CutoutError("There is no image in the FITS file.")
    science = [hdu for hdu in images if not is_companion(hdu.header)]
    if not science:
        raise CutoutError(
            f"The FITS file holds only companion maps, no science image ({_names(images)}). Use the file of the "
            "science image."
        )
    named = [hdu for hdu in science if _words(hdu.header) & _SCIENCE_EXTENSIONS]
    return named or science


def science_image(hdus: Sequence[Any]) -> Any:
    """Return the one science image of a file.

    Raises
    ------
    CutoutError
        There is no science image, or there are several and none is marked as the one to use.
    """
    found = science_images(hdus)
    if len(found) > 1:
        raise CutoutError(
            f"The FITS file holds {len(found)} images ({_names(found)}), and none is marked as the science image. "
            "Name its extension SCI, or store it in a separate file."
        )
    return found[0]


def _names(hdus: Sequence[Any]) -> str:
    return ", ".join(hdu.name.strip() or "unnamed" for hdu in hdus[:6]) + (", ..." if len(hdus) > 6 else "")
