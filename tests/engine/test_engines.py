"""Tests that threads, processes and Dask workers do the same work, and that no row is lost if a worker dies."""

import json
import os
import subprocess
import sys
import time

import dask
import pyarrow as pa
import pytest
from partitions import Numbers, Tally

from gridlens.engine import _dask
from gridlens.engine._dask import DaskEngine
from gridlens.engine._local import ProcessEngine, ThreadEngine
from gridlens.engine._parts import Parts
from gridlens.engine._run import run
from gridlens.engine._task import Task
from gridlens.errors import GridlensError

ENGINES = {"threads": ThreadEngine, "processes": ProcessEngine, "dask": DaskEngine}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("processes", "dask")]


def made(folder, name, source, work, *, resume=False):
    """Return all rows, computed by an engine with two workers."""
    task, done = Task(source, work), []
    with Parts(folder, source.identity(), resume=resume) as parts:
        run(task, source.partitions(), ENGINES[name](task, 2), parts, done.append)
        assert sum(done) + parts.resumed == parts.count()
        assert sum(gaps.joined for gaps, _ in parts.reports()) <= source.n
        return pa.concat_tables(parts.tables()).to_pandas()


@pytest.mark.parametrize("name", ["threads", *SLOW])
def test_rows_in_their_order(tmp_path, name):
    rows = made(tmp_path / name, name, Numbers(53), Tally())
    assert rows["id"].tolist() == [str(k) for k in range(53)]
    assert set(rows["status"]) == {"ok"}


@pytest.mark.parametrize("name", SLOW)
def test_the_partition_of_a_dead_worker_is_retried(tmp_path, name):
    mark = tmp_path / "died"
    rows = made(tmp_path / name, name, Numbers(40), Tally(once=("17", str(mark))))
    assert mark.exists()
    assert rows["id"].tolist() == [str(k) for k in range(40)]
    assert set(rows["status"]) == {"ok"}


@pytest.mark.parametrize("name", SLOW)
def test_a_cutout_that_kills_every_worker_is_rejected(tmp_path, name):
    # Give up after the first failure, which saves the time of three more processes.
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        rows = made(tmp_path / name, name, Numbers(12, each=4), Tally(deadly=["6"]))
    assert rows["id"].tolist() == [str(k) for k in range(12)]
    (bad,) = rows.index[rows["status"] == "rejected"]
    assert bad == 6
    assert "each process that tried it again" in rows["message"][6]
    assert rows["flags"][6] == 1 << 14


def test_a_cutout_that_fails_is_a_rejected_row(tmp_path):
    rows = made(tmp_path / "p", "threads", Numbers(20, each=10), Tally(failing=["3", "11"]))
    assert rows["id"].tolist() == [str(k) for k in range(20)]
    assert rows.index[rows["status"] == "rejected"].tolist() == [3, 11]
    assert rows["message"][3] == "Measuring it failed: ArithmeticError: odd pixels"


def test_a_model_that_always_fails_stops_the_run(tmp_path):
    ids = [str(k) for k in range(30)]
    with pytest.raises(GridlensError, match=r"All of the first 10 cutouts .* odd pixels"):
        made(tmp_path / "p", "threads", Numbers(30, each=10), Tally(failing=ids))


def test_finished_partitions_are_not_repeated(tmp_path):
    first = Numbers(30)
    with pytest.raises(GridlensError):
        made(tmp_path / "p", "threads", first, Failing())
    finished = len(list((tmp_path / "p").glob("part-*.parquet")))
    assert 0 < finished < 6
    rows = made(tmp_path / "p", "threads", first, Tally(), resume=True)
    assert rows["id"].tolist() == [str(k) for k in range(30)]


class Failing(Tally):
    """Work that raises an error at the cutout with id 20."""

    def table(self, measured):
        if "20" in measured.ids:
            raise GridlensError("No further.")
        return super().table(measured)


def test_a_missing_scheduler_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(_dask, "_PATIENCE", 0.5)
    with pytest.raises(GridlensError, match=r"There is no Dask scheduler at tcp://127\.0\.0\.1:9"):
        DaskEngine(Task(Numbers(1), Tally()), 1, "tcp://127.0.0.1:9").__enter__()
    with pytest.raises(GridlensError, match="There is no Dask scheduler at nonsense"):
        DaskEngine(Task(Numbers(1), Tally()), 1, "nonsense://x").__enter__()


@pytest.fixture
def scheduler(tmp_path_factory):
    """Yield the address of a new scheduler in a separate process. It has no workers, not even those of other tests."""
    folder = tmp_path_factory.mktemp("scheduler")
    where = folder / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", str(where)], stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        for _ in range(600):
            if where.is_file() and where.stat().st_size:
                break
            time.sleep(0.1)
        yield json.loads(where.read_text())["address"]
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_remote_scheduler_with_its_own_workers(tmp_path, scheduler, monkeypatch):
    monkeypatch.setattr(_dask, "_PATIENCE", 1.0)
    task = Task(Numbers(20), Tally())
    with pytest.raises(GridlensError, match="has no workers"):
        DaskEngine(task, 1, scheduler).__enter__()
    monkeypatch.setattr(_dask, "_PATIENCE", 60.0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--nthreads", "1", "--no-dashboard"]
    command.append("--no-nanny")  # a nanny would outlive the process that is killed here
    worker = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path, env=environment)
    try:
        with Parts(tmp_path / "p", {}, resume=False) as parts:
            run(task, task.source.partitions(), DaskEngine(task, 1, scheduler), parts)
            assert parts.count() == 20
        # Only this process sees the other version.
        monkeypatch.setattr(_dask, "version", lambda name: "0.0.1")
        with pytest.raises(GridlensError, match=r"The Dask worker .* has .*lightgbm .* for 0\.0\.1"):
            DaskEngine(task, 1, scheduler).__enter__()
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.slow
def test_a_worker_without_gridlens_is_reported(tmp_path, scheduler, monkeypatch):
    (tmp_path / "gridlens").mkdir()
    (tmp_path / "gridlens" / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'gridlens'\")\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--nthreads", "1", "--no-dashboard"]
    command.append("--no-nanny")  # a nanny would outlive the process that is killed here
    worker = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path, env=environment)
    monkeypatch.setattr(_dask, "_PATIENCE", 60.0)
    task = Task(Numbers(20), Tally())
    try:
        with pytest.raises(GridlensError, match="workers cannot load gridlens"):
            DaskEngine(task, 1, scheduler).__enter__()
        # Skip the check, as if the worker had joined after it.
        monkeypatch.setattr(DaskEngine, "_check_workers", lambda self: None)
        with Parts(tmp_path / "p", {}, resume=False) as parts, pytest.raises(GridlensError, match="cannot do the work"):
            run(task, task.source.partitions(), DaskEngine(task, 1, scheduler), parts)
    finally:
        worker.kill()
        worker.wait()


def test_missing_dask_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(GridlensError, match=r"pip install 'gridlens\[dask\]'"):
        DaskEngine(Task(Numbers(1), Tally()), 1)
