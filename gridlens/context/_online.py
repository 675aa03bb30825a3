"""Ask SIMBAD and VizieR for known lenses. This is the only module of the room that opens a socket."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlens._files import atomic_path
from gridlens.context._known import RADII, read_known_lenses
from gridlens.context._match import on_sky
from gridlens.errors import GridlensError

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["look_up"]

_URLS = {
    "simbad": "https://simbad.cds.unistra.fr/simbad/sim-tap/sync",
    "vizier": "https://tapvizier.cds.unistra.fr/TAPVizieR/tap/sync",
}
_RADIUS = max(RADII.values()) / 3600.0  # degrees
_BATCH = 2000  # positions of one request
_FRESH = datetime.timedelta(days=30)
_TRIES = 4
_FIRST_WAIT = 2.0  # s, doubled after each failure
_TIMEOUT = 120.0  # s
_LARGEST = 2**26  # bytes of an answer
# Types of SIMBAD, by the type and grade of a known lens. An image may be far from the centre of its cluster.
_SIMBAD = {
    "gLe": ("galaxy", "confident"),
    "gLS": ("galaxy", "confident"),
    "Le?": ("galaxy", "probable"),
    "LS?": ("galaxy", "probable"),
    "LeI": ("cluster", "confident"),
    "LeG": ("cluster", "confident"),
    "LeQ": ("cluster", "confident"),
    "LI?": ("cluster", "probable"),
}
_NEAR = "1 = CONTAINS(POINT('ICRS', {ra}, {dec}), CIRCLE('ICRS', mine.ra, mine.dec, {radius:.8f}))"


def look_up(
    ra: ArrayLike, dec: ArrayLike, service: str = "simbad", *, cache: str | os.PathLike[str] | None = None
) -> pd.DataFrame:
    """Ask an online service for the known lenses within 60 arcsec of positions.

    The positions are sent to the service, in requests of 2,000. A request that fails is repeated up to three times,
    after 2, 4 and 8 s. Answers are kept for 30 days.

    Parameters
    ----------
    ra, dec : array-like of shape (n,)
        Degrees, ICRS. Positions that are unknown or off the sky are left out.
    service : str, default="simbad"
        "simbad" for its gravitational lenses and lensed images, or "vizier:TABLE" for a table of VizieR with the
        columns RAJ2000 and DEJ2000 in degrees, such as "vizier:J/A+A/1/1/lenses".
    cache : str or path, default=None
        Folder for answers; None takes ``gridlens/context`` in the user's cache folder.

    Returns
    -------
    DataFrame
        The columns of `known_lenses`, for `add_context`. ``attrs["date"]`` is the date of the oldest answer, as
        YYYY-MM-DD.

    Raises
    ------
    GridlensError
        The service cannot be reached, refuses the request, or answers with something else than a VOTable.
    ValueError
        The service is unknown.

    Examples
    --------
    >>> from gridlens.context import look_up
    >>> lenses = look_up([198.7719], [51.8173], "simbad")  # doctest: +SKIP
    """
    name, _, table = service.partition(":")
    if name not in _URLS or (name == "vizier") != bool(table):
        raise ValueError(f"The 'service' parameter must be 'simbad' or 'vizier:TABLE'. Got {service!r} instead.")
    query = _vizier_query(table) if table else _simbad_query()
    places = np.column_stack([np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)])
    places = np.round(places[on_sky(places[:, 0], places[:, 1])], 5)
    folder = _cache_folder() if cache is None else Path(cache)
    found, dates = [], []
    for start in range(0, len(places), _BATCH):
        answer = _cached(folder, name, query, places[start : start + _BATCH])
        dates.append(answer["date"])
        found.append(pd.DataFrame(answer["lenses"]))
    found = [one for one in found if len(one)]
    columns = ["name", "ra", "dec", "type", "grade", "z", "ref"]
    lenses = pd.concat(found, ignore_index=True).drop_duplicates() if found else pd.DataFrame(columns=columns)
    lenses = lenses.astype({"ra": float, "dec": float, "z": float}).reset_index(drop=True)
    lenses.attrs = {"date": min(dates, default=datetime.date.today().isoformat())}
    return lenses


def _simbad_query() -> str:
    kinds = ", ".join(f"'{kind}'" for kind in _SIMBAD)
    near = _NEAR.format(ra="b.ra", dec="b.dec", radius=_RADIUS)
    return (
        "SELECT DISTINCT b.main_id AS name, b.ra AS ra, b.dec AS dec, b.rvz_redshift AS z, b.otype AS kind, "
        f"b.coo_bibcode AS ref FROM basic AS b JOIN TAP_UPLOAD.mine AS mine ON {near} WHERE b.otype IN ({kinds})"
    )


def _vizier_query(table: str) -> str:
    near = _NEAR.format(ra="v.RAJ2000", dec="v.DEJ2000", radius=_RADIUS)
    quoted = table.replace('"', '""')
    return f'SELECT v.* FROM "{quoted}" AS v JOIN TAP_UPLOAD.mine AS mine ON {near}'


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "gridlens" / "context"


def _cached(folder: Path, service: str, query: str, places: np.ndarray) -> dict[str, Any]:
    """Return a fresh answer from the cache, or ask the service and keep its answer."""
    digest = hashlib.sha256(json.dumps([_URLS[service], query, places.tolist()]).encode()).hexdigest()
    path = folder / f"{service}-{digest[:32]}.json"
    today = datetime.date.today()
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(kept["lenses"], list) and today - datetime.date.fromisoformat(kept["date"]) <= _FRESH:
            return dict(kept)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is no usable answer
    lenses = _as_lenses(service, _ask(service, query, places))
    rows = json.loads(lenses.to_json(orient="records", double_precision=10))
    answer = {"date": today.isoformat(), "service": service, "lenses": rows}
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(answer) + "\n", encoding="utf-8")
    return answer


def _as_lenses(service: str, table: Table) -> pd.DataFrame:
    """Return the rows of an answer with the columns of `known_lenses`."""
    if not len(table):
        return pd.DataFrame()
    frame = table.to_pandas()
    if service == "simbad":
        kinds = [_SIMBAD.get(str(kind).strip(), ("galaxy", "probable")) for kind in frame.pop("kind")]
        frame = frame.assign(type=[kind for kind, _ in kinds], grade=[grade for _, grade in kinds])
    return read_known_lenses(frame)


def _ask(service: str, query: str, places: np.ndarray) -> Table:
    """Send a query with positions, and return the table of the answer."""
    from astropy.table import Table

    body, kind = _form(query, places)
    request = urllib.request.Request(_URLS[service], data=body, headers={"Content-Type": kind})
    wait, reason = _FIRST_WAIT, ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(wait)
            wait *= 2.0
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                content = answer.read(_LARGEST + 1)
        except urllib.error.HTTPError as exc:
            reason = f"HTTP status {exc.code}"
            if exc.code != 429 and exc.code < 500:
                break
            continue
        except OSError as exc:
            reason = str(getattr(exc, "reason", exc))
            continue
        if len(content) > _LARGEST:
            raise GridlensError(f"The answer of {service} is larger than {_LARGEST // 2**20} MiB. Ask for fewer rows.")
        try:
            return Table.read(io.BytesIO(content), format="votable")
        except Exception as exc:
            # The parser raises as many kinds of error for a damaged answer.
            raise GridlensError(f"The answer of {service} is not a VOTable. Try again later.") from exc
    raise GridlensError(f"The service {service} did not answer ({reason}). Try again later, or work without it.")


def _form(query: str, places: np.ndarray) -> tuple[bytes, str]:
    """Return a request of the Table Access Protocol with its uploaded table, and its content type."""
    from astropy.table import Table

    table = io.BytesIO()
    Table({"ra": places[:, 0], "dec": places[:, 1]}).write(table, format="votable")
    fields = {
        "REQUEST": "doQuery",
        "LANG": "ADQL",
        "FORMAT": "votable",
        "QUERY": query,
        "UPLOAD": "mine,param:mine",
    }
    mark = uuid.uuid4().hex
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{mark}\r\nContent-Disposition: form-data; name="mine"; filename="mine.xml"\r\n'
    parts.append(head.encode() + b"Content-Type: application/x-votable+xml\r\n\r\n" + table.getvalue() + b"\r\n")
    return b"".join([*parts, f"--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}"
