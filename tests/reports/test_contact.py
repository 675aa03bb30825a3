"""Tests of contact sheets, colour images and the marks on them."""

import numpy as np
import pandas as pd
import pytest

from gridlens import CutoutSet
from gridlens.errors import GridlensError
from gridlens.reports import draw_contact_sheet, lupton_rgb
from gridlens.reports._marks import draw_compass

pytest.importorskip("matplotlib")


@pytest.fixture
def cutouts(noise):
    return CutoutSet(noise(n=3, size=64), pixel_scale=1.0, ids=["a", "$b", "a"], paths=["x", "x", "y"])


@pytest.fixture
def table():
    return pd.DataFrame(
        {"id": ["a", "$b"], "path": ["y", "x"], "rank": [1, 0], "score": [0.75, np.nan], "arc_patch": [-1, -1]}
    )


def test_a_contact_sheet_follows_the_table(cutouts, table):
    figure = draw_contact_sheet(table, iter([cutouts[:1], cutouts[1:]]), columns=2)
    assert [text.get_text() for text in figure.texts] == ["1 a", "score 0.75", "0 $b", "rejected"]
    # Of two cutouts with the same id, the one at the row's path is drawn.
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), lupton_rgb(cutouts.pixels[2]))
    assert all("10 arcsec" in [text.get_text() for text in ax.texts] for ax in figure.axes)
    assert len(draw_contact_sheet(table.drop(columns="path"), cutouts).axes) == 2


def test_a_long_id_stays_within_its_picture(cutouts, table):
    name = "a" * 90
    figure = draw_contact_sheet(table.assign(id=[name, "$b"]), CutoutSet(cutouts.pixels, ids=[name, "$b", ""]))
    figure.canvas.draw()
    long, axes = figure.texts[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert long.x1 <= axes.x1 + 1.0


def test_requirements_of_a_contact_sheet(cutouts, table):
    with pytest.raises(GridlensError, match="1 are missing, such as a"):
        draw_contact_sheet(table, cutouts[1:2])
    with pytest.raises(GridlensError, match="It lacks rank, arc_patch"):
        draw_contact_sheet(table[["id", "score"]], cutouts)
    with pytest.raises(GridlensError, match=r"1 to 500 rows\. Got 0"):
        draw_contact_sheet(table[:0], cutouts)
    with pytest.raises(ValueError, match="'columns' parameter must be at least 1"):
        draw_contact_sheet(table, cutouts, columns=0)


def test_noise_is_grey_and_sources_keep_their_colour():
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(64, 64, 3)) * [1.0, 2.0, 6.0]
    y, x = np.indices((64, 64)) - 32
    pixels += 100.0 * np.exp(-np.hypot(x, y)[:, :, None] / 3.0) * [0.2, 1.0, 2.0]
    rgb = lupton_rgb(pixels).astype(int)
    assert np.median(np.ptp(rgb[:16], axis=2)) < 12
    red, _, blue = rgb[32, 32]
    assert red > blue + 60


def test_bad_pixels_are_black():
    pixels = np.random.default_rng(0).normal(size=(16, 16, 3))
    pixels[3, 4, 1] = np.nan
    assert not lupton_rgb(pixels)[3, 4].any()


@pytest.mark.parametrize(
    ("axes", "north", "east"),
    [
        ([[-1.0, 0.0], [0.0, 1.0]], (0, 1), (-1, 0)),  # north up and east to the left
        ([[0.0, 1.0], [1.0, 0.0]], (1, 0), (0, 1)),
        ([[-0.5, 0.0], [0.0, -0.5]], (0, -1), (-1, 0)),
    ],
)
def test_arrows_point_north_and_east(axes, north, east):
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert draw_compass(ax, np.array(axes), np.zeros((100, 100), bool))
    arrows = [text for text in ax.texts if not text.get_text()]
    for arrow, way in zip(arrows, (north, east), strict=True):
        np.testing.assert_allclose(np.subtract(arrow.xy, arrow.xyann), 11.0 * np.array(way), atol=1e-9)
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["N", "E"]


def test_a_compass_does_not_cover_a_candidate():
    from matplotlib.figure import Figure

    occupied = np.zeros((100, 100), bool)
    occupied[:20, 80:] = True
    ax = Figure().add_subplot()
    draw_compass(ax, np.array([[-1.0, 0.0], [0.0, 1.0]]), occupied)
    assert min(text.xy[1] for text in ax.texts if not text.get_text()) > 60
    assert not draw_compass(ax, np.full((2, 2), np.nan), occupied)
