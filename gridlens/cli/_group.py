"""The group of commands, and the handling of their errors and warnings.

Command modules import only click and the standard library at the top, and everything else inside functions, so that
`gridlens --help` starts fast.
"""

import contextlib
import io
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

import click

from gridlens.cli._context import context
from gridlens.cli._cutouts import cutouts
from gridlens.cli._evaluate import evaluate
from gridlens.cli._explain import explain
from gridlens.cli._features import features
from gridlens.cli._grades import grades
from gridlens.cli._info import info
from gridlens.cli._members import members
from gridlens.cli._messages import with_flags
from gridlens.cli._runs import terminable
from gridlens.cli._score import score
from gridlens.cli._simulate import simulate
from gridlens.cli._terminal import fitted, say
from gridlens.cli._train import train
from gridlens.cli._triage import triage
from gridlens.errors import GridlensError

__all__ = ["main"]

# Prefix that click writes before the message of an error.
_ERROR = "Error: "
# Number of characters of a repeated warning that are shown.
_BEGINNING = 80


class _Commands(click.Group):
    """Group that reports failures in one sentence on stderr with exit status 1, and usage errors with status 2."""

    def main(self, *args: Any, **extra: Any) -> Any:
        # Characters that a terminal or pipe cannot encode are escaped, so that they do not end the run.
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with terminable(), warnings.catch_warnings(), _Shown() as shown:
                warnings.showwarning = shown.show  # type: ignore[assignment]
                # Always, so that repetitions are counted.
                warnings.simplefilter("always", UserWarning)
                # joblib replaces a worker whose memory has grown between two tasks; no results are lost.
                warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
                return super().invoke(ctx)
        except click.UsageError as exc:
            exc.message = fitted(exc.message, len(_ERROR))  # type: ignore[misc]
            raise
        except GridlensError as exc:
            raise _failure(_printable(with_flags(str(exc)))) from exc
        except KeyboardInterrupt:
            raise _failure("Interrupted. No output was written.") from None
        except BrokenPipeError:
            raise  # the reader of the pipe has closed it; click ends silently
        except OSError as exc:
            where = f" ({exc.filename})" if exc.filename else ""
            raise _failure(_printable(f"{exc.strerror or exc}{where}. No output was written.")) from exc
        except MemoryError:
            raise _failure(
                "Not enough memory. Score fewer or smaller cutouts at a time, or close other programs."
            ) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in order of use instead of alphabetical order


def _failure(message: str) -> click.ClickException:
    """Return the error that ends a command with a message."""
    return click.ClickException(fitted(message, len(_ERROR)))


class _Shown:
    """Filter that shows each warning of a command once, and reports the number of repetitions at the end."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        for text, times in self._times.items():
            if times > 1:
                say(_printable(f"This warning was repeated {times} times: {_beginning(text)}"))

    def show(self, message: Any, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
        """Show a warning as `warnings.showwarning` does, unless it was shown before."""
        if not issubclass(category, UserWarning):
            return
        text = with_flags(str(message))
        self._times[text] += 1
        if self._times[text] == 1:
            say(_printable(f"Warning: {text}"))


def _beginning(text: str) -> str:
    return text if len(text) <= _BEGINNING else f"{text[:_BEGINNING].rstrip()} ..."


def _printable(text: str) -> str:
    """Escape control characters, as in file names, and characters that stderr cannot show; keep line breaks."""
    from gridlens._ids import escaped

    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    lines = "\n".join(map(escaped, text.split("\n")))
    return lines.encode(encoding, "backslashreplace").decode(encoding)


class _SayingHandler(logging.Handler):
    """Handler that writes log messages to stderr, above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            say(_printable(self.format(record)))
        except Exception:
            self.handleError(record)


@contextlib.contextmanager
def _logged(verbose: bool, quiet: bool) -> Iterator[None]:
    """Set the level of the logger "gridlens" within the block, and show its messages if `verbose`."""
    logger = logging.getLogger("gridlens")
    handler, level = _SayingHandler(), logger.level
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    if verbose:
        logger.addHandler(handler)
    if verbose or quiet:
        logger.setLevel(logging.DEBUG if verbose else logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: gridlens score cutouts/ --out scores.csv",
)
@click.option("-v", "--verbose", is_flag=True, help="Show the debug messages of the logger 'gridlens' on stderr.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress, notes or warnings on stderr. Errors are shown.")
@click.version_option(package_name="gridlens", prog_name="gridlens")
@click.pass_context
def main(ctx: click.Context, verbose: bool, quiet: bool) -> None:
    """Rank three-band cutouts of galaxy clusters by the probability that they contain a strong lens."""
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet are mutually exclusive. Give one of them.")
    ctx.with_resource(_logged(verbose, quiet))


for _command in (
    score,
    explain,
    triage,
    grades,
    context,
    cutouts,
    features,
    simulate,
    train,
    evaluate,
    members,
    info,
):
    main.add_command(_command)
