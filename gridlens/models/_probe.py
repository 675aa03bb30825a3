"""Test of bundles with plugin members in a separate process, the only one that a file can crash.

Hashes detect damage, not malice: a file can be modified together with its hash in the manifest.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from gridlens.errors import ModelError

__all__ = ["probe", "try_bundle"]

# Limit of the processor time; a busy machine needs longer, mainly where torch has to be imported.
_PROCESSOR_SECONDS = 120
_SECONDS = 600.0
# Python with its libraries needs 0.3 GB; the objects of a member are a few times as large as its files.
_MEMORY = 4 << 30
_MEMORY_PER_BYTE = 16
_SAID = "said.txt"
# Set sys.path first, so that modules are imported from it and never from the working folder.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from gridlens.models._probe import try_bundle; try_bundle(*sys.argv[2:])"
)


def probe(folder: Path, where: str, n_bytes: int) -> None:
    """Load the bundle in `folder` in another process and score with it; raise ModelError if that fails.

    The process has ten minutes, an empty working folder, one thread, no GPU, and, if the system can limit them, two
    minutes of processor time and memory of 4 GiB plus 16 times the size of the bundle.
    """
    with tempfile.TemporaryDirectory(prefix="gridlens-probe-") as empty:
        limits = str(_MEMORY + _MEMORY_PER_BYTE * n_bytes), str(_PROCESSOR_SECONDS)
        arguments = [json.dumps(_import_path(folder)), str(folder.resolve()), where, empty, *limits]
        # Without a GPU, because the memory that a driver allocates does not depend on the bundle.
        spare = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")} | {
            "CUDA_VISIBLE_DEVICES": ""
        }
        try:
            # -P removes the working folder from sys.path. -I would also hide packages of the user and of PYTHONPATH.
            code = subprocess.run(
                [sys.executable, "-P", "-c", _CODE, *arguments],
                cwd=empty,
                env={**os.environ, **spare},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as exc:
            raise ModelError(
                f"The model in {where} cannot be loaded: it was not finished after {_SECONDS:g} seconds in a separate "
                "process. Get or train the model again."
            ) from exc
        if not code:
            return
        said = Path(empty, _SAID)
        why = said.read_text() if said.is_file() else f"it ended a separate process {_ended(code)}"
    raise ModelError(f"The model in {where} cannot be loaded: {why} Get or train the model again.")


def try_bundle(folder: str, where: str, empty: str, memory: str, seconds: str) -> None:
    """Load the bundle and score a few rows in the other process; on failure, write a message and exit with status 1."""
    _limit(int(memory), int(seconds))
    try:
        from gridlens.models._trial import load_and_score

        load_and_score(Path(folder), where)
    except BaseException as exc:
        said = str(exc) if isinstance(exc, ModelError) else f"{type(exc).__name__}: {str(exc)[:300]}."
        Path(empty, _SAID).write_text(said.removesuffix(" Get or train the model again."))
        sys.exit(1)


def _limit(memory: int, seconds: int) -> None:
    try:
        import resource

        # The address space is not limited, because libraries reserve much more of it than they use.
        limits = (
            (resource.RLIMIT_DATA, memory),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_CORE, 0),
        )
        for kind, most in limits:
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    except (ImportError, OSError, ValueError):
        return  # not supported by this system; the limit of the elapsed time always applies


def _import_path(folder: Path) -> list[str]:
    """Return the import path for the other process: the current one without the working folder and the bundle."""
    own = str(Path(__file__).resolve().parents[2])
    bundle = folder.resolve()
    known = [path for path in sys.path if os.path.isabs(path) and not Path(path).resolve().is_relative_to(bundle)]
    return known if own in known else [own, *known]


def _ended(code: int) -> str:
    if code >= 0:
        return f"with status {code}."
    try:
        return f"by {signal.Signals(-code).name}."
    except ValueError:
        return f"by signal {-code}."
