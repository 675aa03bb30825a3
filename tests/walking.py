"""Run the commands of a Markdown page as a user would paste them: in a terminal of 80 columns, or in a pipe.

The process ``python walking.py`` imports gridlens once, reads pages of commands from its standard input, a line of JSON
each, and forks for each command.
Recipes and numbers of scenes are reduced, because the full commands may take an hour.
"""

import dataclasses
import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import time
from functools import lru_cache

__all__ = ["COLUMNS", "commands_of", "printed_lines", "snippets_of", "walk"]

COLUMNS = 80
SMALL = {"--n": "8", "--top": "3"}


def commands_of(page):
    """Return the commands of the bash blocks of a page, each as a list of words."""
    lines = "\n".join(re.findall(r"```bash\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ").splitlines()
    return [part for line in lines for part in _parts(shlex.split(line, comments=True))]


def _parts(words):
    """Split the words of a line at "&&"."""
    parts = [[]]
    for word in words:
        if word == "&&":
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def snippets_of(page):
    """Return the Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def printed_lines(output):
    """Return the lines that were sent to a terminal, without control sequences."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output))


def walk(commands, home, mode):
    """Run commands one after another in the folder `home`; return the output, the status and the seconds of each."""
    walker = _walker()
    walker.stdin.write(json.dumps({"commands": commands, "home": str(home), "mode": mode}) + "\n")
    walker.stdin.flush()
    lines = [walker.stdout.readline() for _ in commands]
    assert all(lines), "The process that runs the commands ended."
    return [json.loads(line) for line in lines]


@lru_cache(maxsize=1)
def _walker():
    """Start the process that forks for each command; it imports gridlens once for all pages of a test process."""
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _preload():
    """Import the modules that the commands need, and reduce the recipes."""
    import lightgbm  # noqa: F401
    import matplotlib.pyplot  # noqa: F401

    import gridlens.cli
    import gridlens.engine
    import gridlens.explain
    import gridlens.models
    import gridlens.reports
    from gridlens.training import RECIPES, _graded_old, _tuned

    _graded_old._SCENES, _tuned._TREES = 64, 10
    for name in ("default", "quick"):
        RECIPES[name] = dataclasses.replace(RECIPES[name], surveys=("hsc",), n_train=64, n_calibrate=64, n_test=32)
    return gridlens.cli.main


def _small(words):
    """Return a quick version of a command: few rows, and for training one process and one quick member."""
    made = list(words)
    for flag, value in SMALL.items():
        if flag in made:
            made[made.index(flag) + 1] = value
    if made[0] == "explain" and not {"--top", "--id"} & set(made):
        made += ["--top", SMALL["--top"]]
    if made[0] in ("simulate", "train"):
        made += ["--jobs", "1"]
    return [*made, "--members", "linear"] if made[0] == "train" else made


def _walk(main, words, in_terminal):
    """Run one command in a separate process; return its output, its status and the seconds."""
    start = time.perf_counter()
    if in_terminal:
        process, reader = pty.fork()
    else:
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:
            # The standard input of the parent contains the next pages.
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
        else:
            os.close(writer)
    if process == 0:
        if in_terminal:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        # The parent's streams may be buffered for a file, so the child needs new ones.
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        main(_small(words[1:]), prog_name="gridlens")
        os._exit(0)
    output = b""
    while True:
        try:
            read = os.read(reader, 65536)
        except OSError:  # raised by a terminal whose process has ended
            break
        if not read:
            break
        output += read
    os.close(reader)
    _, status = os.waitpid(process, 0)
    return {
        "words": words,
        "output": output.decode(errors="replace"),
        "status": os.waitstatus_to_exitcode(status),
        "seconds": time.perf_counter() - start,
    }


if __name__ == "__main__":
    command = _preload()
    os.environ["TERM"] = "xterm-256color"
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    for line in sys.stdin:
        todo = json.loads(line)
        os.chdir(todo["home"])
        for words in todo["commands"]:
            print(json.dumps(_walk(command, words, todo["mode"] == "terminal")), flush=True)
