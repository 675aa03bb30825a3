"""Tests of the compilation and the cache of kernels: never stale, never compiled twice, and never an obstacle."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gridlens import CutoutSet
from gridlens._jit import is_compiled
from gridlens.features import measure
from gridlens.features._kernels import extract_rows

ROOT = Path(__file__).resolve().parents[1]

# A package with two kernel files; the second compiles a function and a constant of the first into its own code.
INNER = """
from gridlens._jit import jit

STEP = 0.5

@jit
def inner(x):
    return 2.0 * x
"""
OUTER = """
import numpy as np
from gridlens._jit import entry, part
from toy.inner import STEP, inner

@part
def middle(x):
    return inner(x) + STEP

@entry
def outer(x):
    return middle(x)

@entry
def total(values):
    result = 0.0
    for value in values:
        if value == value:
            result += value
    return result
"""
RUN_OUTER = """
import json
from toy.outer import outer
result = outer(1.0)
hits, misses = (sum(counts.values()) for counts in (outer.stats.cache_hits, outer.stats.cache_misses))
print(json.dumps({"result": result, "hits": hits, "misses": misses}))
"""
# Each file of the cache is damaged in several ways; after each, the kernel is reloaded and called twice.
RUN_DAMAGED = """
import importlib, json, os
from pathlib import Path
import toy.outer

def call():
    outer = importlib.reload(toy.outer).outer
    result = outer(1.0)
    return [result, sum(outer.stats.cache_hits.values()), sum(outer.stats.cache_misses.values())]

def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]

found = [call()]
for path in [path for path in Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nb*")]:
    whole = path.read_bytes()
    for damaged in (flipped(whole), whole[:-10], b"", b"\\x80\\x04garbage" * 9):
        path.write_bytes(damaged)
        found += [call(), call()]
print(json.dumps(found))
"""
RUN_TOTAL = """
import json, math, re
import numpy as np
from toy.outer import total
result = total(np.array([1.0, np.nan, np.inf]))
(text,) = total.inspect_llvm().values()
flags = {flag for found in re.findall(r"= fadd ((?:[a-z]+ )*)double", text) for flag in found.split()}
print(json.dumps({"infinite": math.isinf(result), "flags": sorted(flags)}))
"""

MEASURE = """
import numpy as np
from gridlens import CutoutSet, GridPatchExtractor
for n in (3, 1):
    pixels = np.random.default_rng(0).normal(size=(n, 48, 48, 3)).astype(np.float32)
    assert np.isfinite(GridPatchExtractor().transform(CutoutSet(pixels, pixel_scale=1.0))[:, :306]).all()
"""
# The cache hits and misses of all compiled functions used by the measurement.
COUNT = """
import json, sys
modules = [module for name, module in sys.modules.items() if name.startswith("gridlens.features")]
stats = [value.stats for module in modules for value in vars(module).values() if hasattr(value, "inspect_llvm")]
hits, misses = (sum(sum(getattr(one, name).values()) for one in stats) for name in ("cache_hits", "cache_misses"))
print(json.dumps({"hits": hits, "misses": misses}))
"""


def environment(*paths, **changes):
    """Return the environment of a child process that imports from `paths` and inherits no setting of numba."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1", **changes}


def answer(code, *paths, **changes):
    """Return the JSON output of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(*paths, **changes), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def toy(tmp_path):
    """Write the toy package and return its folder."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "inner.py").write_text(INNER)
    (folder / "outer.py").write_text(OUTER)
    return folder


@pytest.mark.slow
def test_a_second_process_compiles_nothing(toy):
    assert answer(RUN_OUTER, toy.parent, ROOT) == {"result": 2.5, "hits": 0, "misses": 1}
    assert answer(RUN_OUTER, toy.parent, ROOT) == {"result": 2.5, "hits": 1, "misses": 0}


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new", "result"), [("2.0 * x", "30.0 * x", 30.5), ("STEP = 0.5", "STEP = 70.0", 72.0)])
def test_an_edited_callee_recompiles_its_caller(toy, old, new, result):
    assert answer(RUN_OUTER, toy.parent, ROOT)["result"] == 2.5
    (toy / "inner.py").write_text(INNER.replace(old, new))
    assert answer(RUN_OUTER, toy.parent, ROOT) == {"result": result, "hits": 0, "misses": 1}
    # The entries of the earlier sources are removed: only the index of `outer` is left, because `total` was not called.
    assert len(list((toy / "__pycache__").glob("*.nbi"))) == 1


@pytest.mark.slow
def test_a_damaged_cache_is_rebuilt(toy, tmp_path):
    found = answer(RUN_DAMAGED, toy.parent, ROOT, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert found == [[2.5, 0, 1]] + 8 * [[2.5, 0, 1], [2.5, 1, 0]]


def test_fast_math_keeps_nan_and_the_order_of_sums(toy):
    assert answer(RUN_TOTAL, toy.parent, ROOT) == {
        "infinite": True,
        "flags": ["afn", "arcp", "contract", "nsz"],
    }


@pytest.mark.slow
def test_a_second_process_compiles_no_kernel():
    answer(MEASURE + COUNT, ROOT)
    # There is one entry and one signature: every further type of an argument would need another compilation.
    assert answer(MEASURE + COUNT, ROOT) == {"hits": 1, "misses": 0}


@pytest.mark.slow
def test_interpreted_kernels_pass_their_tests():
    """Some of the tests that CONTRIBUTING.md lists are run without compilation, as a part of the whole suite."""
    files = ["tests/features/test_parts.py", "tests/features/test_parity.py"]
    chosen = "test_parts or parity_on_odd_images or parity_on_the_scenes"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-k", chosen, *files]
    env = environment(ROOT, NUMBA_DISABLE_JIT="1")
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def locked():
    """Yield a copy of the package that all users may read but not write."""
    folder = Path(tempfile.mkdtemp())
    package = shutil.copytree(ROOT / "gridlens", folder / "gridlens", ignore=shutil.ignore_patterns("__pycache__"))
    for path in [folder, package, *package.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def unprivileged():
    """Return ways to run a command without write access: (words before the command, arguments of subprocess)."""
    if os.name == "posix" and os.geteuid() != 0:
        return [([], {})]
    nobody = 65534
    # Root's own Python may lie in a folder closed to other users; this capability opens it for reading only.
    reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    return [
        ([], {"user": nobody, "group": nobody, "extra_groups": []}),
        (["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", *reading], {}),
    ]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="requires the users and file modes of POSIX")
def test_a_read_only_installation_without_a_home(locked):
    """Without a special case, numba itself would raise an error when a function is decorated."""
    env = environment(locked, HOME="/nonexistent", NUMBA_CACHE_DIR="/nonexistent/numba")
    env.pop("XDG_CACHE_HOME", None)

    def child(code, prefix, options):
        command = [*prefix, sys.executable, "-c", code]
        try:
            return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False, **options)
        except OSError:
            return None

    for prefix, options in unprivileged():
        able = child("import numba", prefix, options)
        if able is not None and able.returncode == 0:
            break
    else:
        pytest.skip(f"no unprivileged user can run {sys.executable} with numba: it is in a private folder")
    denied = (
        "import os, tempfile, gridlens\n"
        f"assert gridlens.__file__.startswith({str(locked)!r}), gridlens.__file__\n"
        f"assert not any(os.access(f, os.W_OK) for f in ('/', {str(locked)!r}, os.path.dirname(gridlens.__file__)))\n"
    )
    done = child(denied + MEASURE, prefix, options)
    assert done.returncode == 0, done.stderr
    assert not [path for path in locked.rglob("*") if path.suffix in {".nbi", ".nbc"}]


def test_is_compiled_includes_cached_kernels(noise, monkeypatch):
    measure(CutoutSet(noise(n=1, size=64)))
    assert is_compiled(extract_rows)
    monkeypatch.setattr(type(extract_rows), "signatures", [])
    assert is_compiled(extract_rows)  # found in the cache
    monkeypatch.setattr(extract_rows._cache, "is_written", lambda: False)
    assert not is_compiled(extract_rows)
