"""Export of a queue as a page in one file, for graders without Python: a mosaic with grades to download as a table."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import os
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gridlens._files import atomic_path, writable_folder
from gridlens.errors import GridlensError
from gridlens.triage._serve import open_triage

if TYPE_CHECKING:
    import numpy as np

    from gridlens.triage._state import Triage

__all__ = ["Exported", "export_page"]

STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("keys.js", "dom.js", "export.js")
# Larger cutouts, px, are reduced, so that a page with a hundred of them can be sent by mail.
_LARGEST = 256


class Exported(NamedTuple):
    """Result of `export_page`.

    Attributes
    ----------
    path : Path
        The page.
    n_objects : int
        Number of objects on the page.
    missing : list of str
        Ids of the objects that are left out because their cutouts cannot be read.
    notes : list of str
        Remarks on the queue, as sentences.
    """

    path: Path
    n_objects: int
    missing: list[str]
    notes: list[str]


def export_page(
    scores: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    progress: Callable[[int], Any] | None = None,
    **options: Any,
) -> Exported:
    """Write the next queue of a grade book as a page in one file, ``index.html``.

    The page shows the objects in colour and takes grades with the keys of the triage page. The grades are downloaded as
    a CSV file for `gridlens.grading.GradeBook.import_grades`. The page needs no server and no other file, and shows no
    scores. If the first grader has an open queue, that queue is exported.

    Parameters
    ----------
    scores : str or path
        Table that `gridlens score` wrote.
    folder : str or path
        Folder for the page, created if missing.
    progress : callable, optional
        Called with the number of objects drawn since the last call.
    **options
        Options of `gridlens.triage.serve`, except those of the server.

    Returns
    -------
    Exported

    Raises
    ------
    GridlensError
        If the folder already has a page, no cutout of the queue can be read, or as for `gridlens.triage.serve`.

    Examples
    --------
    >>> from gridlens.triage import export_page
    >>> export_page("scores.parquet", "for-bob/", graders=["bob"])  # doctest: +SKIP
    """
    from gridlens.grading import GRADES, SUBCLASSES

    path = Path(folder) / "index.html"
    if path.exists():
        raise GridlensError(f"The page {path} already exists and may be in use. Choose a new folder.")
    writable_folder(folder)
    triage = open_triage(scores, **options)
    try:
        queue = asyncio.run(_queue(triage))
        items, missing = _drawn(triage, queue["items"], progress)
        # The hashes of the pixels are in the book before the grades are imported.
        asyncio.run(triage.save(lambda book: None))
    finally:
        triage.close()
    if not items:
        raise GridlensError(f"No cutout of the {len(missing)} objects of the queue can be read, such as {missing[0]}.")
    title = f"{Path(scores).stem}: {len(items)} objects"
    data = {
        "title": title,
        "queue_id": queue["queue_id"],
        "grades": dict(GRADES),
        "subclasses": SUBCLASSES,
        "keys": triage.settings.keys,
        "criteria": triage.settings.criteria,
        "items": items,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(_page(title, data), encoding="utf-8")
    return Exported(path, len(items), missing, queue["notes"])


async def _queue(triage: Triage) -> dict[str, Any]:
    settings = triage.settings
    return await triage.next_queue(settings.graders[0], settings.strategy, settings.batch)


def _drawn(
    triage: Triage, items: Sequence[dict[str, Any]], progress: Callable[[int], Any] | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the items with their pictures, and the ids of items without a picture."""
    from gridlens.reports import lupton_rgb
    from gridlens.triage._views import reduced

    found, missing = [], []
    for item in items:
        name = item["object_id"]
        try:
            cutout, *_ = asyncio.run(triage.cutout(name))
        except GridlensError:
            missing.append(name)
        else:
            picture = lupton_rgb(reduced(cutout, _LARGEST).pixels[0])[::-1]
            image = f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"
            found.append({"object_id": name, "position": item["position"], "image": image})
        if progress is not None:
            progress(1)
    return found, missing


def _page(title: str, data: dict[str, Any]) -> str:
    """Return the page with its style, script and data included."""
    scripts = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    lines = [line.removeprefix("export ") for line in scripts.splitlines() if not line.startswith("import ")]
    parts = {
        "title": html.escape(title),
        "style": (STATIC / "style.css").read_text(encoding="utf-8"),
        "script": "\n".join(lines),
        # An id must not close the element that contains the data.
        "data": json.dumps(data).replace("<", "\\u003c"),
    }
    template = (STATIC / "export.html").read_text(encoding="utf-8")
    # Replaced in one pass, because a title or an id may contain braces.
    return re.sub(r"\{\{(title|style|script|data)\}\}", lambda found: parts[found.group(1)], template)


def png(rgb: np.ndarray) -> bytes:
    r"""Return an image (H, W, 3), uint8, whose row 0 is at the top, as a PNG file.

    References
    ----------
    .. [1] W3C, "Portable Network Graphics (PNG) Specification", https://www.w3.org/TR/png-3/

    Examples
    --------
    >>> import numpy as np
    >>> png(np.zeros((2, 2, 3), np.uint8))[:4]
    b'\x89PNG'
    """
    import numpy as np

    height, width = rgb.shape[:2]
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each row begins with its filter, 0 for none
    rows[:, 1:] = rgb.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
