"""Tests of workers: any script can start them or gets a clear error, and a crash loses a cutout instead of the run."""

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from partitions import Numbers, Tally, Unloadable

from gridlens.engine import _output
from gridlens.engine._dask import DaskEngine
from gridlens.engine._local import ProcessEngine, ThreadEngine
from gridlens.engine._output import finished_parts
from gridlens.engine._parts import Parts
from gridlens.engine._run import run
from gridlens.engine._task import Task
from gridlens.errors import GridlensError

UNGUARDED = """
import sys
import gridlens.engine._output as output
from gridlens.engine import measure_files
from partitions import Numbers

output._PROCESSES_FROM = 1

class Own(Numbers):
    pass

print(measure_files(Own(8, each=4), sys.argv[1], overwrite=True, n_jobs=2, engine=sys.argv[2]).rows)
"""
CRASHING = """
import sys
from test_workers import finish

finish(sys.argv[1], resume=len(sys.argv) > 2)
"""


def child(*arguments, text=None):
    """Run Python in a child process that can import the modules of this process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], input=text, capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "dask"])
@pytest.mark.parametrize("where", ["script", "stdin"])
def test_a_script_without_a_guard_for_its_main_module(tmp_path, engine, where):
    script, out = tmp_path / "script.py", tmp_path / "out.parquet"
    script.write_text(UNGUARDED)
    done = child(script, out, engine) if where == "script" else child("-", out, engine, text=UNGUARDED)
    assert (done.returncode, done.stdout) == (0, "8\n")
    # The only warning is about the missing guard of the script. Standard input has no name and gives no warning.
    assert done.stderr.count("Warning") == (where == "script")
    assert ("The script 'script.py' has no" in done.stderr) == (where == "script")
    assert len(pd.read_parquet(out)) == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImportError("no module named lens"), "cannot start: ImportError: no module named lens"),
        (GridlensError("Another model."), r"Another model\."),
        (None, "cannot start: A process"),
    ],
)
def test_a_first_worker_that_cannot_start_is_not_started_again(tmp_path, error, said):
    mark = tmp_path / "tries"
    task = Task(Numbers(40), Unloadable(mark, error))
    with Parts(tmp_path / "p", {}, resume=False) as parts, pytest.raises(GridlensError, match=said):
        run(task, task.source.partitions(), ProcessEngine(task, 2), parts)
    assert len(mark.read_text()) <= 2
    assert not (tmp_path / "p").exists()


def test_a_source_that_cannot_be_sent_to_workers():
    source = Numbers(40)
    source.lock = threading.Lock()
    with pytest.raises(GridlensError, match="must be picklable"):
        ProcessEngine(Task(source, Tally()), 2)


@pytest.mark.slow
def test_a_dask_worker_that_cannot_load_the_work(tmp_path):
    task = Task(Numbers(10), Unloadable(tmp_path / "tries", ImportError("no module named lens")))
    with Parts(tmp_path / "p", {}, resume=False) as parts, pytest.raises(GridlensError, match="no module named lens"):
        run(task, task.source.partitions(), DaskEngine(task, 1), parts)


@pytest.mark.filterwarnings("ignore:Loky-backed parallel loops")
def test_a_daemonic_process_uses_threads(monkeypatch):
    engine, _ = _output._engine(Numbers(1000), Tally(), 200, "local", None, 2, isolate=False)
    assert isinstance(engine, ProcessEngine)
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    for isolate in (True, False):
        engine, _ = _output._engine(Numbers(1000), Tally(), 200, "local", None, 2, isolate=isolate)
        assert isinstance(engine, ThreadEngine)


def finish(out, resume):
    """Write an output in which a cutout ends the process. The few partitions run in threads."""
    with finished_parts(
        Numbers(12, each=4),
        Tally(deadly=["6"]),
        out,
        resume=resume,
        engine="local",
        scheduler=None,
        n_jobs=1,
        progress=None,
    ) as parts:
        for k, table in enumerate(parts.tables()):
            pq.write_table(table, out if k == 1 else os.devnull)


@pytest.mark.slow
def test_a_run_that_a_cutout_crashed_is_resumed_in_processes(tmp_path):
    out = tmp_path / "out.parquet"
    assert child("-", out, text=CRASHING).returncode == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.parquet.lock", "out.parquet.parts"]
    resumed = child("-", out, "resume", text=CRASHING)
    assert resumed.returncode == 0, resumed.stderr
    assert pd.read_parquet(out)["status"].tolist() == ["ok", "ok", "rejected", "ok"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.parquet.run.json", "out.parquet"]


def test_an_interrupted_run_in_threads_is_not_marked_as_crashed(tmp_path):
    for _ in range(2):
        with Parts(tmp_path / "p", {}, resume=True) as parts:
            assert not parts.crashed
            with pytest.raises(KeyboardInterrupt), parts.in_threads():
                parts.write(0, Task(Numbers(1), Tally()).empty())
                raise KeyboardInterrupt
