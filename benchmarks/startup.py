"""Time of `import gridlens` and `gridlens --help`, medians of ten new processes each.

Run ``python benchmarks/startup.py``.
"""

import statistics
import subprocess
import sys
import time

REPEATS = 10
RUNS = {
    "python -c pass": ["-c", "pass"],
    "import gridlens": ["-c", "import gridlens"],
    "gridlens --help": ["-m", "gridlens", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """Return the wall time of one run, s."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    for name, arguments in RUNS.items():
        seconds(arguments)
        times = [seconds(arguments) for _ in range(REPEATS)]
        print(f"{name:18s} median {statistics.median(times):.2f} s, slowest {max(times):.2f} s")


if __name__ == "__main__":
    main()
