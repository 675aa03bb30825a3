"""A page in one file, for people who cannot run Python: a mosaic whose grades are downloaded as a table."""

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
# Larger cutouts are reduced, so that a page of a hundred can be sent by mail.
_LARGEST = 256


class Exported(NamedTuple):
    """Result of `export_page`.

    Attributes
    ----------
    path : Path
        The page.
    n_objects : int
        Objects in it.
    missing : list of str
        Ids of objects whose cutouts cannot be read, which are left out.
    notes : list of str
        Sentences on the queue.
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

    The page shows the objects in colour, takes grades by the keys of the triage page, and hands them over as a CSV
    file, which `gridlens.grading.GradeBook.import_grades` reads. It needs no server and no other file, and shows no
    scores. The open queue of the first grader is exported where there is one.

    Parameters
    ----------
    scores : str or path
        Table that `gridlens score` wrote.
    folder : str or path
        Folder for the page, which is made if it is missing.
    progress : callable, optional
        Called with the number of objects that were drawn since the last call.
    **options
        As of `gridlens.triage.serve`, without those of the server.

    Returns
    -------
    Exported

    Raises
    ------
    GridlensError
        The folder has a page already, no cutout of the queue can be read, or as for `gridlens.triage.serve`.

    Examples
    --------
    >>> from gridlens.triage import export_page
    >>> export_page("scores.parquet", "for-bob/", graders=["bob"])  # doctest: +SKIP
    """
    from gridlens.grading import GRADES, SUBCLASSES

    path = Path(folder) / "index.html"
    if path.exists():
        raise GridlensError(f"The page {path} exists, and may be in use. Name a new folder.")
    writable_folder(folder)
    triage = open_triage(scores, **options)
    try:
        queue = asyncio.run(_queue(triage))
        items, missing = _drawn(triage, queue["items"], progress)
        # The book knows the pixels before the grades come back.
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
    """Return the items with pictures, and the ids of those without."""
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
    """Return the page with style, script and data in it."""
    scripts = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    lines = [line.removeprefix("export ") for line in scripts.splitlines() if not line.startswith("import ")]
    parts = {
        "title": html.escape(title),
        "style": (STATIC / "style.css").read_text(encoding="utf-8"),
        "script": "\n".join(lines),
        # An id must not end the element that holds the data.
        "data": json.dumps(data).replace("<", "\\u003c"),
    }
    template = (STATIC / "export.html").read_text(encoding="utf-8")
    # In one pass: a title or an id may hold braces.
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
