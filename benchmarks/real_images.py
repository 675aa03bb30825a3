"""The bundled model on real images: scores, arc candidates, and the effect of matching the PSFs.

python benchmarks/real_images.py FOLDER [--draw docs/real-images]

FOLDER holds the sets `ps1`, `des_j0330`, `cfhtls_kids_humvi` and `sl2s_group`; missing sets are reported and skipped.
Pictures are drawn only of sets that may be redistributed. Prints the tables of docs/real-images.md.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _real import PLAIN_LENSES
from astropy.io import fits
from astropy.wcs import WCS
from photutils.psf import fit_fwhm

from gridlens import load_model
from gridlens._constants import MAD_TO_SIGMA
from gridlens.cutouts import CutoutSet, extract, read_batches
from gridlens.engine import score_batches
from gridlens.features import _kernels
from gridlens.reports import draw_contact_sheet

SETS = {
    "ps1": "Pan-STARRS1, groups and clusters with known lenses",
    "des_j0330": "DES, the cluster lens DES J0330-5228",
    "cfhtls_kids_humvi": "CFHTLS and KiDS test fields, no cluster lens known",
    "sl2s_group": "CFHTLS, the group lens SL2S J021411-040502",
}
# Images with an arc visible by eye, and images without a known arc.
PLAIN = {name for names in PLAIN_LENSES.values() for name in names}
NONE_KNOWN = {"CFHTLS-test", "KiDS-test"}
FORMS = {"score": ".2f", "arc_distance": ".2f", "arcness": ".2f", "arc_color_gr": ".2f", "arc_snr": ".0f"}


def verdict(name: str, score: float) -> str:
    """Return whether the score at even prevalence agrees with a visual inspection."""
    if not np.isfinite(score):
        return "rejected"
    if name in PLAIN:
        return "right" if score >= 0.5 else "wrong: the arc is plain"
    if name in NONE_KNOWN:
        return "right" if score < 0.5 else "wrong: no arc is known"
    return "a known lens whose arcs are hardly visible at this depth"


def table_of(folder: Path) -> tuple[pd.DataFrame, dict[str, CutoutSet]]:
    """Return the scores of a folder, and its cutouts by name."""
    table = score_batches(load_model(), read_batches(folder), prevalence=1e-3)
    cutouts = {one.ids[0]: one for batch in read_batches(folder) if batch.cutouts is not None for one in batch.cutouts}
    return table, cutouts


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table of scores."""
    print(f"\n### {title}\n")
    print("| name | score | arc candidate: arcsec from BCG | length over width | g-r against BCG | S/N | comment |")
    print("|---|---|---|---|---|---|---|")
    for _, row in table.iterrows():
        numbers = " | ".join("" if pd.isna(row[name]) else format(row[name], form) for name, form in FORMS.items())
        said = verdict(row["id"], row["score"])
        print(f"| {row['id']} | {numbers} | {said}{': ' + row['message'] if said == 'rejected' else ''} |")


def blue_map(cutout: CutoutSet) -> np.ndarray:
    """Return the blue map of a cutout, as in the feature contract, in units of its scatter."""
    work = _kernels.make_workspace(cutout.pixels.shape[1])
    pixels = cutout.pixels.view()
    pixels.flags.writeable = False
    row, status, bad = np.empty((1, 315), np.float32), np.empty(1, np.int64), np.empty(1, np.int64)
    arcs = np.empty((1, 9, 2), np.float32)
    _kernels.extract_rows(pixels, cutout.bcg_xy, cutout.pixel_scale, work, row, status, bad, arcs)
    blue = work.maps[2].astype(float)
    return blue / (MAD_TO_SIGMA * np.median(np.abs(blue - np.median(blue))))


def psf_fwhm(path: Path, pixel_scale: float) -> float:
    """Return the FWHM of a PSF image, arcsec."""
    image = np.squeeze(fits.getdata(path)).astype(float)
    middle = (np.array(image.shape[::-1]) - 1) / 2
    side = min(image.shape) - 1 + min(image.shape) % 2
    return float(fit_fwhm(image / image.max(), xypos=tuple(middle), fit_shape=(side, side))[0]) * pixel_scale


def matched(folder: Path, seeing: dict[str, dict[str, float]]) -> dict[str, tuple[CutoutSet, CutoutSet]]:
    """Return the cutouts of a folder on their own pixels, unmatched and with all bands matched to one seeing."""
    pairs = {}
    for name in sorted(seeing):
        plain = {band: folder / f"{name}_{band}.fits" for band in "gri"}
        files = {band: path if path.exists() else path.with_stem(f"{path.stem}_sci") for band, path in plain.items()}
        header = fits.getheader(files["r"])
        wcs = WCS(header)
        size = header["NAXIS1"]
        middle = wcs.pixel_to_world((size - 1) / 2, (size - 1) / 2)
        scale = float(np.sqrt(np.abs(np.linalg.det(wcs.pixel_scale_matrix)))) * 3600
        catalog = pd.DataFrame({"id": [name], "ra": [middle.icrs.ra.deg], "dec": [middle.icrs.dec.deg]})
        cut: list[Any] = [
            extract(catalog, files, size=size * scale, npix=size, match_psf=match, seeing=seeing[name]).cutouts
            for match in (False, True)
        ]
        pairs[name] = (cut[0], cut[1])
    return pairs


def show_matching(pairs: dict[str, tuple[CutoutSet, CutoutSet]], seeing: dict[str, dict[str, float]]) -> None:
    """Print the effect of matching on rings in the blue map and on the scores."""
    model = load_model()
    print("\n| name | FWHM in g, r, i, arcsec | pixels of the blue map beyond 5 of its scatter | below -5 | score |")
    print("|---|---|---|---|---|")
    for name, pair in pairs.items():
        maps = [blue_map(cutout) for cutout in pair]
        scores = [float(model.score_cutouts(cutout)["score"].iloc[0]) for cutout in pair]
        above, below = ([f"{np.mean(sign * one > 5):.2%}" for one in maps] for sign in (1, -1))
        widths = ", ".join(f"{seeing[name][band]:.2f}" for band in "gri")
        print(
            f"| {name} | {widths} | {above[0]} to {above[1]} | {below[0]} to {below[1]} | "
            f"{scores[0]:.2f} to {scores[1]:.2f} |"
        )


def draw(target: Path, table: pd.DataFrame, cutouts: dict[str, CutoutSet]) -> None:
    """Draw the cutouts of a set with their arc candidates."""
    sheet = draw_contact_sheet(table, cutouts.values(), columns=min(5, len(table)))
    sheet.savefig(target, dpi=130, pil_kwargs={"quality": 85})


def draw_matching(target: Path, pairs: dict[str, tuple[CutoutSet, CutoutSet]]) -> None:
    """Draw the blue maps before and after matching."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(pairs), figsize=(2.3 * len(pairs), 4.9), layout="constrained", squeeze=False)
    for column, (name, pair) in enumerate(pairs.items()):
        for row, cutout in enumerate(pair):
            axes[row, column].imshow(blue_map(cutout), origin="lower", cmap="RdBu", vmin=-8, vmax=8)
            axes[row, column].set_axis_off()
        axes[0, column].set_title(f"{name[:18]}\nas observed", fontsize=7)
        axes[1, column].set_title("bands matched", fontsize=7)
    figure.savefig(target, dpi=90, pil_kwargs={"quality": 85})
    plt.close(figure)


def main() -> None:
    """Print the tables and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draw", type=Path, help="folder for the pictures")
    arguments = parser.parse_args()
    if arguments.draw is not None:
        arguments.draw.mkdir(parents=True, exist_ok=True)
    for name, title in SETS.items():
        folder = arguments.folder / name
        if not folder.is_dir():
            print(f"\n### {title}\n\nSkipped, because there is no folder {folder}.")
            continue
        table, cutouts = table_of(folder)
        show(title, table)
        if arguments.draw is not None and name != "sl2s_group":
            draw(arguments.draw / f"{name}.jpg", table, cutouts)
    print("\n### Bands matched to one seeing (`--match-psf`)")
    pairs: dict[str, tuple[CutoutSet, CutoutSet]] = {}
    seeing: dict[str, dict[str, float]] = {}
    if (arguments.folder / "ps1").is_dir():
        usual = dict(zip("gri", (1.31, 1.19, 1.11), strict=True))
        ours = {name: usual for name in sorted(PLAIN) if (arguments.folder / "ps1" / f"{name}_r.fits").exists()}
        seeing |= ours
        pairs |= matched(arguments.folder / "ps1", ours)
    if (arguments.folder / "cfhtls_kids_humvi").is_dir():
        usual = {"CFHTLS-test": dict(zip("gri", (0.85, 0.78, 0.72), strict=True))}
        seeing |= usual
        pairs |= matched(arguments.folder / "cfhtls_kids_humvi", usual)
    if (arguments.folder / "des_j0330").is_dir():
        name = "DESJ033056.9318-522813.0188"
        folder = arguments.folder / "des_j0330"
        measured = {name: {band: psf_fwhm(folder / f"{name}_{band}_psf.fits", 0.263) for band in "gri"}}
        seeing |= measured
        pairs |= matched(folder, measured)
    if pairs:
        show_matching(pairs, seeing)
        if arguments.draw is not None:
            draw_matching(arguments.draw / "matched.jpg", pairs)


if __name__ == "__main__":
    main()
