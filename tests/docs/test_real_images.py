"""The commands of the page on real images run beside the data, and give the scores of its tables."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from real_images import DATA
from walking import commands_of, walk

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "real-images.md"

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_the_commands_give_the_scores_of_the_page(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    for source in [*DATA.iterdir(), *(DATA / "catalogues").iterdir()]:
        (tmp_path / source.name).symlink_to(source)
    commands = [
        [word for k, word in enumerate(words) if "--top" not in words[max(k - 1, 0) : k + 1]]
        + ["--out", f"{number}.csv"]
        for number, words in enumerate(words for words in commands_of(text) if words[0] == "gridlens")
    ]
    assert len(commands) == 6
    for done in walk(commands, tmp_path, "pipe"):
        assert done["status"] == 0, f"{' '.join(done['words'])}\n{done['output']}"
    tables = [pd.read_csv(tmp_path / f"{number}.csv", dtype={"id": str}) for number in range(len(commands))]
    cutouts = pd.concat([table for table, words in zip(tables, commands, strict=True) if "--image" not in words])
    scores = cutouts.set_index("id")["score"]
    rows = re.findall(r"^\| (\S+) \| ([01]\.\d\d)? \| .*$", text, re.M)
    printed = {name: float(score) if score else np.nan for name, score in rows if name in scores.index}
    assert len(printed) > 12
    np.testing.assert_allclose(scores[list(printed)], list(printed.values()), atol=0.0051)
