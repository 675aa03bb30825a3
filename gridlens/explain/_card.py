"""One cutout on a card: a figure, and the same as a page that stands alone. Needs matplotlib."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logit

from gridlens._file_names import file_stem
from gridlens._files import atomic_path
from gridlens.calibration import shift_prior
from gridlens.cutouts import CutoutSet
from gridlens.detector import EVEN
from gridlens.errors import GridlensError
from gridlens.evaluation import report_page
from gridlens.explain._aggregate import POSITION, by_group
from gridlens.explain._explainer import Explainer, Explanation
from gridlens.explain._pictures import AGAINST, FOR, GREY, PANEL, draw_panels, image_uri, n_panels, new_figure, strip
from gridlens.explain._terms import Term, because, strongest_terms
from gridlens.stacking import member_log_odds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CARD_STYLE", "card_html", "card_maps", "draw_card", "write_card"]

_DPI = 110
_LETTERS = 12.5  # in an inch of the sentence
_LONGEST_TITLE = 90  # characters of the id above a card
_LONGEST = 62  # characters of a label beside a bar
CARD_STYLE = f"""
body {{ max-width: 72rem; }}
.card {{ border: 1px solid #d9dee5; border-radius: 10px; padding: 1.1rem 1.3rem 1.2rem; margin: 1.25rem 0; }}
.card h3 {{ margin: 0; font-size: 1.15rem; overflow-wrap: anywhere; }}
.card .p {{ margin: .15rem 0 .1rem; max-width: none; font-variant-numeric: tabular-nums; }}
.card .p b {{ font-size: 1.15rem; }}
.card .why {{ max-width: none; color: #1c2430; }}
.card img {{ width: 100%; height: auto; display: block; margin: .6rem 0; border-radius: 4px; }}
.two {{ display: grid; grid-template-columns: minmax(0, 1.9fr) minmax(0, 1fr); gap: 2rem; }}
@media (max-width: 54rem) {{ .two {{ grid-template-columns: minmax(0, 1fr); }} }}
.fall {{ display: grid; grid-template-columns: minmax(0, 1.35fr) minmax(0, 1fr) 3.4rem; column-gap: .7rem;
  font-size: .86rem; line-height: 1.3; align-items: center; }}
.fall > div {{ padding: .14rem 0; }} .fall .n {{ text-align: right; font-variant-numeric: tabular-nums; }}
.fall .track {{ position: relative; height: 1.05rem; padding: 0; background: #f3f5f8; }}
.fall .track i {{ position: absolute; top: .12rem; bottom: .12rem; border-radius: 2px; }}
.fall .track u {{ position: absolute; top: 0; bottom: 0; width: 1px; background: #b9c1cc; }}
.fall .where {{ color: #6b7685; }} .fall .sum {{ font-weight: 600; }}
.yes {{ background: {FOR}; }} .no {{ background: {AGAINST}; }} .rest {{ background: #9aa4b2; }}
h4 {{ font-size: .86rem; margin: 0 0 .3rem; color: #4a5666; font-weight: 600; }}
.two h4 + * + h4 {{ margin-top: 1rem; }}
"""


def draw_card(
    explainer: Explainer, cutout: CutoutSet, *, prevalence: float = 1e-3, explanation: Explanation | None = None
) -> Figure:
    """Draw why one cutout scored as it did.

    The cutout in colour (Lupton) with the arc candidate that the score owes most to and the circle through it, the
    white and the blue map that candidates are found in, what each patch adds, the ten strongest terms in words and
    units, the members' votes, and the probability with its interval.

    Parameters
    ----------
    explainer : Explainer
    cutout : CutoutSet of 1
    prevalence : float, default=1e-3
        Share of lenses among such clusters, between 0 and 1; it moves the probability and nothing else.
    explanation : Explanation of 1, default=None
        Of this cutout, where it was made before.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    GridlensError
        The cutout is rejected, with the reason, or there is more than one.
    """
    found = _explained(explainer, cutout, explanation)
    return _figure(explainer, cutout, found, card_maps(explainer, cutout), prevalence)


def _figure(
    explainer: Explainer, cutout: CutoutSet, found: Explanation, maps: dict[str, np.ndarray], prevalence: float
) -> Figure:
    width, height = PANEL * n_panels(maps), 7.8
    figure = new_figure(width, height, arrange=False)
    draw_panels(strip(figure, n_panels(maps), 3.5, 3.5 + PANEL - 0.08), cutout, found, 0, maps)
    name, said = str(found.table["id"][0]), because(found, 0)
    title = _short(name, _LONGEST_TITLE)
    # A dollar sign in an id begins no formula.
    figure.text(0.06 / width, 1.0 - 0.07 / height, title, va="top", fontsize=13, fontweight="bold", parse_math=False)
    text = f"{_probability(found, 0, prevalence)}\n{fill(said, int(_LETTERS * width))}"
    figure.text(0.06 / width, 1.0 - 0.32 / height, text, va="top", fontsize=9.5, linespacing=1.35)

    def axes(left: float, bottom: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, bottom / height, wide / width, high / height))

    _draw_waterfall(axes(4.0, 0.3, width - 8.3, 2.75), found, 0)
    _draw_bars(axes(width - 2.45, 2.45, 1.9, 0.6), _votes(explainer, found, 0), "members, log-odds over even")
    _draw_bars(axes(width - 2.45, 0.3, 1.9, 1.6), _groups(found, 0), "by group of features, log-odds")
    return figure


def write_card(
    explainer: Explainer, cutout: CutoutSet, folder: str | os.PathLike[str], *, prevalence: float = 1e-3
) -> tuple[Path, Path]:
    """Write the card of one cutout as a picture, NAME.png, and as a page that stands alone, NAME.html.

    Parameters
    ----------
    explainer, cutout, prevalence
        As of `draw_card`.
    folder : str or path
        It exists. Characters that file names cannot hold become "_", a long name is cut, and digits of the id's hash
        follow a name that was changed.

    Returns
    -------
    picture, page : Path

    Raises
    ------
    GridlensError
        As of `draw_card`; the folder cannot be written.
    """
    found = _explained(explainer, cutout, None)
    name = str(found.table["id"][0])
    stem = file_stem(name)
    picture, page = Path(folder) / f"{stem}.png", Path(folder) / f"{stem}.html"
    # A network takes its time to say where it looks: once for both.
    maps = card_maps(explainer, cutout)
    figure = _figure(explainer, cutout, found, maps, prevalence)
    card = card_html(explainer, cutout, found, 0, maps, prevalence=prevalence, dpi=_DPI)
    body = [f"<h1>Why this score</h1>{_LEAD}", card]
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=_DPI)
    with atomic_path(page) as temporary:
        temporary.write_text(report_page(f"{name}: why this score", body, CARD_STYLE), encoding="utf-8")
    return picture, page


_LEAD = (
    '<p class="lead">Terms are exact Shapley values: what each number of the image adds to the log-odds of the stack, '
    "which the calibration turns into the probability. They say what the model made of the image, not what is so on "
    "the sky, and numbers that say the same share what they add.</p>"
)


def card_maps(explainer: Explainer, cutout: CutoutSet) -> dict[str, np.ndarray]:
    """Where members look that say so, (H, W) by name, in the one cutout of a set."""
    return {name: values[0] for name, values in explainer.maps(cutout).items()}


def card_html(
    explainer: Explainer,
    cutout: CutoutSet,
    explanation: Explanation,
    row: int,
    maps: dict[str, np.ndarray],
    *,
    prevalence: float,
    dpi: int,
    title: str = "",
) -> str:
    """The card of row `row` as a part of a page with `CARD_STYLE`."""
    figure = new_figure(PANEL * n_panels(maps), PANEL + 0.18, arrange=False)
    draw_panels(strip(figure, n_panels(maps), 0.02, PANEL - 0.06), cutout, explanation, row, maps)
    name = str(explanation.table["id"][row])
    message = str(explanation.table["message"][row])
    return "\n".join(
        [
            '<div class="card">',
            f"<h3>{escape(title)}{escape(name)}</h3>",
            f'<p class="p">{_probability(explanation, row, prevalence, "<b>", "</b>")}</p>',
            f'<p class="why">{escape(because(explanation, row))}</p>',
            f'<img alt="{escape(name)} in colour, its maps and patches" src="{image_uri(figure, dpi)}">',
            '<div class="two"><div>',
            _waterfall_html(explanation, row),
            "</div><div>",
            "<h4>Members, log-odds over even</h4>",
            _bars_html(_votes(explainer, explanation, row)),
            "<h4>By group of features, log-odds of the stack</h4>",
            _bars_html(_groups(explanation, row)),
            "</div></div>",
            f'<p class="note">{escape(message)}</p>' if message else "",
            "</div>",
        ]
    )


def _explained(explainer: Explainer, cutout: CutoutSet, explanation: Explanation | None) -> Explanation:
    if len(cutout) != 1:
        raise GridlensError(f"The 'cutout' parameter must be a CutoutSet of one. Got {len(cutout)} cutouts instead.")
    found = explainer.explain(cutout) if explanation is None else explanation
    if found.table["status"][0] != "ok":
        raise GridlensError(
            f"The cutout {found.table['id'][0]} is rejected, so no score needs a reason: {found.table['message'][0]}"
        )
    return found


def _probability(explanation: Explanation, row: int, prevalence: float, before: str = "", after: str = "") -> str:
    line = explanation.table.iloc[row]
    p, low, high = (
        float(shift_prior(float(line[name]), EVEN, prevalence)) for name in ("score", "score_low", "score_high")
    )
    interval = f" [{low:.2g}, {high:.2g}]" if np.isfinite([low, high]).all() else ""
    return (
        f"p = {before}{p:.2g}{after}{interval} at a prevalence of {prevalence:g}; "
        f"score {float(line['score']):.2f} at even prevalence"
    )


def _votes(explainer: Explainer, explanation: Explanation, row: int) -> list[tuple[str, float]]:
    names = explainer.detector.member_names_
    log_odds = member_log_odds(explanation.table.loc[row, names].to_numpy(dtype=np.float64))
    over = log_odds - logit(explainer.detector.training_prevalence_)
    return [
        (f"{name}: {'a lens' if value > 0 else 'no lens'}", float(value))
        for name, value in zip(names, over, strict=True)
    ]


def _groups(explanation: Explanation, row: int) -> list[tuple[str, float]]:
    sums = by_group(explanation.take([row])).drop(columns=POSITION).iloc[0]
    return [(str(name), float(value)) for name, value in sums.items() if value != 0.0]


def _steps(explanation: Explanation, row: int) -> list[tuple[Term, float]]:
    """Terms, and where the sum stands before each."""
    at, steps = explanation.base, []
    for term in strongest_terms(explanation, row):
        steps.append((term, at))
        at += term.value
    return steps


def _draw_waterfall(ax: Axes, explanation: Explanation, row: int) -> None:
    steps = _steps(explanation, row)
    total = float(explanation.log_odds[row])
    for k, (term, at) in enumerate(steps, start=1):
        color = GREY if not term.feature else FOR if term.value > 0 else AGAINST
        ax.barh(k, term.value, left=at, color=color, height=0.66)
        ax.plot([at + term.value] * 2, [k - 0.33, k + 1.33], color="#b9c1cc", lw=0.8, zorder=0)
    ax.plot([explanation.base] * 2, [-0.33, 1.33], color="#b9c1cc", lw=0.8, zorder=0)
    labels = ["before anything is known", *(_short(term.words) for term, _ in steps), "log-odds of the stack"]
    values = [explanation.base, *(term.value for term, _ in steps), total]
    for k in (0, len(labels) - 1):
        ax.plot(values[k], k, "D", color="#1c2430", ms=5)
    for k, value in enumerate(values):
        _number(ax, k, value)
    ax.set_yticks(range(len(labels)), labels, fontsize=8)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    _bare(ax)
    ax.set_title("the ten strongest terms, log-odds", fontsize=9, loc="left")


def _number(ax: Axes, k: int, value: float) -> None:
    """Write a value beside the axes, at bar `k`."""
    ax.annotate(
        f"{value:+.2f}",
        (1.0, k),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
    )


def _draw_bars(ax: Axes, bars: list[tuple[str, float]], title: str) -> None:
    for k, (_, value) in enumerate(bars):
        ax.barh(k, value, color=FOR if value > 0 else AGAINST, height=0.62)
        _number(ax, k, value)
    ax.axvline(0.0, color="#b9c1cc", lw=0.8)
    ax.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=8)
    ax.set_ylim(len(bars) - 0.5, -0.5)
    _bare(ax)
    ax.set_title(title, fontsize=9, loc="left")


def _bare(ax: Axes) -> None:
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8)


def _short(words: str, most: int = _LONGEST) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _waterfall_html(explanation: Explanation, row: int) -> str:
    steps = _steps(explanation, row)
    total = float(explanation.log_odds[row])
    ends = [explanation.base, total, 0.0, *(at + term.value for term, at in steps)]
    low, high = min(ends), max(ends)
    lines = [_line("before anything is known", explanation.base, None, low, high, "sum")]
    for term, at in steps:
        what, _, where = term.words.partition(" [")
        label = escape(what) + (f' <span class="where">{escape(where[:-1])}</span>' if where else "")
        kind = "rest" if not term.feature else "yes" if term.value > 0 else "no"
        lines.append(_line(label, term.value, (at, at + term.value, kind), low, high, ""))
    lines.append(_line("log-odds of the stack", total, None, low, high, "sum"))
    return '<h4>The ten strongest terms, log-odds</h4><div class="fall">' + "".join(lines) + "</div>"


def _bars_html(bars: list[tuple[str, float]]) -> str:
    ends = [0.0, *(value for _, value in bars)]
    low, high = min(ends), max(ends)
    lines = [
        _line(escape(name), value, (0.0, value, "yes" if value > 0 else "no"), low, high, "") for name, value in bars
    ]
    return '<div class="fall">' + "".join(lines) + "</div>"


def _line(label: str, value: float, bar: Any, low: float, high: float, kind: str) -> str:
    """A line of bars: its words, the bar from one value to another (None: a mark at the value), the number."""
    width = max(high - low, 1e-9)

    def share(at: float) -> str:
        return f"{100.0 * (at - low) / width:.1f}%"

    mark = f'<u style="left:{share(0.0)}"></u>'
    if bar is None:
        mark += f'<i style="left:calc({share(value)} - 2px);width:4px;background:#1c2430"></i>'
    else:
        begin, end = sorted(bar[:2])
        mark += f'<i class="{bar[2]}" style="left:{share(begin)};width:{100.0 * (end - begin) / width:.1f}%"></i>'
    return f'<div class="{kind}">{label}</div><div class="track">{mark}</div><div class="n {kind}">{value:+.2f}</div>'
