"""Tools for tests of the triage page in a headless browser: a server process, and the example cutouts."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

EXAMPLES = Path(__file__).parents[1] / "examples" / "cutouts"
ROOT = Path(__file__).parents[1]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None
)
# Chromium's sandbox does not work for root, nor in most containers.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]


class Server:
    """A `gridlens triage` server in a separate process.

    Attributes
    ----------
    links : dict of str to str
        A single-use link for each grader.
    port : int
    """

    def __init__(self, folder, graders, *options, port=0, program=("-m", "gridlens")):
        command = [sys.executable, *program, "triage", "scores.parquet", "--graders", ",".join(graders)]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins"), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [*command, "--port", str(port), "--no-browser", *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.links, said = {}, []
        while len(self.links) < len(graders):
            line = self.process.stdout.readline()
            said.append(line)
            if not line:
                raise RuntimeError("The server ended: " + "".join(said))
            if found := re.search(r"(http://127\.0\.0\.1:(\d+)/\?token=\S+)", line):
                # The links are printed in the order of the graders, and without a name for a single grader.
                self.links[graders[len(self.links)]] = found[1]
                self.port = int(found[2])

    def kill(self):
        """Kill the server immediately, as a crash or `kill -9` would."""
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            self.process.stdout.close()


def example_table():
    """Return a table of scores of the example cutouts with invented probabilities, best first."""
    real = sorted(path.name.replace("_g.fits", "") for path in EXAMPLES.glob("*_g.fits"))
    rows = [(name, ";".join(f"cutouts/{name}_{band}.fits" for band in "gri")) for name in real]
    with np.load(EXAMPLES / "simulated.npz") as shard:
        rows += [(str(name), "cutouts/simulated.npz") for name in shard["ids"]]
    p = np.linspace(0.9, 0.01, len(rows))
    columns = {"rank": np.arange(len(rows)) + 1, "score": p, "p_lens": p, "p_low": p / 2, "p_high": p}
    return pd.DataFrame(rows, columns=["id", "path"]).assign(**columns, status="ok", ra=30.0, dec=-5.0)


def example_folder(path):
    """Put the example cutouts and a table of their scores into a folder."""
    (path / "cutouts").symlink_to(EXAMPLES)
    example_table().to_parquet(path / "scores.parquet")
    return path


def example_pixels(name):
    """Return one of the simulated example cutouts (H, W, 3)."""
    with np.load(EXAMPLES / "simulated.npz") as shard:
        return shard["pixels"][shard["ids"].tolist().index(name)]
