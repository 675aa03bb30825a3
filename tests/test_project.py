"""Tests of the project's files: CI runs the README's install commands, and metadata are only in pyproject.toml."""

import configparser
import contextlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def lines_of(text):
    return [line.strip() for line in text.splitlines() if line.strip().startswith("pip install")]


def test_ci_runs_the_lines_of_the_readme():
    block = re.search(r"<!-- ci -->\n(.*?)<!-- /ci -->", (ROOT / "README.md").read_text(), re.DOTALL)
    readme = lines_of(block.group(1))
    assert len(readme) == 3
    assert readme == lines_of((ROOT / ".ci" / "run").read_text())


def test_metadata_are_only_in_pyproject():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert not {"metadata", "options"} & {section.split(".")[0] for section in setup.sections()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "BSD-3-Clause"
    assert set(project["optional-dependencies"]) >= {"deep", "explain", "dask", "dev", "test"}


# The licences of the first four forbid commercial use or redistribution; lenstronomy requires them.
NOT_FREE = {"jampy", "mgefit", "capfit", "plotbin", "lenstronomy"}
# Extras for developers, which users do not install.
DEVELOPERS = {"test", "dev"}


def required(name, extras, seen):
    """Add to `seen` the distributions that `name` with `extras` requires, directly and indirectly."""
    for requirement in map(Requirement, metadata.requires(name) or ()):
        if requirement.marker is not None and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        ):
            continue
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key not in seen:
            seen.add(key)
            # Requirements that are not installed, such as those of another extra, are recorded by name only.
            with contextlib.suppress(metadata.PackageNotFoundError):
                required(requirement.name, requirement.extras, seen)


def test_user_dependencies_are_free_software():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {name: [Requirement(text) for text in texts] for name, texts in project["optional-dependencies"].items()}
    declared[""] = [Requirement(text) for text in project["dependencies"]]
    assert any(requirement.name == "lenstronomy" for requirement in declared["test"])
    for extra in declared.keys() - DEVELOPERS:
        seen = {(canonicalize_name(requirement.name), frozenset(requirement.extras)) for requirement in declared[extra]}
        for requirement in declared[extra]:
            with contextlib.suppress(metadata.PackageNotFoundError):
                required(requirement.name, requirement.extras, seen)
        names = {name for name, _ in seen}
        assert names and not names & NOT_FREE, (extra, names & NOT_FREE)
    # If lenstronomy is installed, the search must find its requirements.
    with contextlib.suppress(metadata.PackageNotFoundError):
        seen = set()
        required("lenstronomy", (), seen)
        assert {"jampy", "mgefit", "capfit", "plotbin"} <= {name for name, _ in seen}


def test_no_module_imports_lenstronomy():
    for path in (ROOT / "gridlens").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) lenstronomy", path.read_text(), re.M), path


def test_the_results_agree_with_the_card():
    """The figures of the bundled model agree with its card."""
    readme = (ROOT / "docs" / "results.md").read_text()
    card = (ROOT / "gridlens" / "models" / "default" / "card.md").read_text()
    quoted = re.search(r"\| all arcs \| (\d+) \| ([^|]+) \|", readme)
    own = re.search(r"\| all arcs \| (\d+) \| ([^|]+) \|", card)
    assert quoted.groups() == own.groups()


# The keys defined by the Citation File Format 1.2.0, https://doi.org/10.5281/zenodo.5171937.
CFF_REQUIRED = {"authors", "cff-version", "message", "title"}
CFF_OPTIONAL = {"abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license"}
CFF_OPTIONAL |= {"license-url", "preferred-citation", "references", "repository", "repository-artifact"}
CFF_OPTIONAL |= {"repository-code", "type", "url", "version"}


def test_the_citation_is_valid_and_has_the_current_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation.keys() >= CFF_REQUIRED
    assert citation.keys() <= CFF_REQUIRED | CFF_OPTIONAL
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["repository-code"] == project["urls"]["Source"]
    assert f"\n## {citation['version']} ({citation['date-released']})\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_changelog_has_the_usual_sections():
    usual = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    _, *versions = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    for version in versions:
        sections = re.findall(r"^### (.*)$", version, re.M)
        assert sections == [name for name in usual if name in sections]


def test_the_issue_templates_have_a_name():
    templates = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))
    assert len(templates) == 2
    for path in templates:
        assert yaml.safe_load(path.read_text().split("---\n")[1]).keys() >= {"name", "about", "labels"}


@pytest.mark.slow
def test_the_wheel_contains_the_model_and_scores(tmp_path):
    """The installed wheel finds its model and its templates without the source tree."""
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("gridlens-*.whl")
    assert wheel.stat().st_size < 15e6
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import gridlens; assert sys.argv[1] in gridlens.__file__;"
        "from importlib.resources import files;"
        "assert len(list((files('gridlens.reports') / 'templates').iterdir())) >= 6;"
        "assert {'index.html', 'export.html', 'style.css', 'app.js'} <= "
        "{path.name for path in (files('gridlens') / 'triage' / 'static').iterdir()};"
        "print(gridlens.load_model().member_names_, len(gridlens.load_model('cluster-cluster').member_names_))"
    )
    target = tmp_path / "unpacked"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(target)], check=True)
    run = subprocess.run(
        [sys.executable, "-c", code, str(target)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert run.stdout.strip() == "['lightgbm', 'patch'] 2", run.stderr
