"""Tests of members by name, and of plugins that are broken, duplicated or in conflict."""

import sys
import tomllib
import warnings
from importlib.metadata import EntryPoint, EntryPoints, PackageNotFoundError
from pathlib import Path

import pytest

from gridlens import members
from gridlens.errors import GridlensError
from gridlens.stacking import build_member, known_members, list_members
from gridlens.stacking._registry import ENTRY_POINT_GROUP, member_class, split_members


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Return a function that installs a distribution with a module and entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, module, points):
        (tmp_path / f"{name}_module.py").write_text(module)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "\n".join(f"{point} = {name}_module:{value}" for point, value in points.items())
        (info / "entry_points.txt").write_text(f"[gridlens.members]\n{lines}\n")

    return install


ROOT = Path(__file__).parents[2]
TOY = "class Toy:\n    'A toy.'\n    name = 'toy'\n    consumes = 'cutouts'\n"


def test_members_by_name():
    assert member_class("lightgbm").name == "lightgbm"
    assert {"elkan-noto", "lightgbm", "nnpu"} <= set(known_members())
    with pytest.raises(GridlensError, match=r"among .*lightgbm.* Got 'lightgm' instead"):
        member_class("lightgm")


def test_built_in_members_are_entry_points_of_the_package():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][ENTRY_POINT_GROUP]
    listed = {member.name: member for member in list_members()}
    assert {name for name, member in listed.items() if member.source == "gridlens"} == set(declared)
    own = {name for name in members.__all__ if name.endswith("Member")}
    built_in = {value for value in declared.values() if value.startswith("gridlens.members:")}
    assert {value.removeprefix("gridlens.members:") for value in built_in} == own
    for name, value in declared.items():
        assert listed[name].status != "ok" or member_class(name).__name__ == value.split(":")[1]


class Absent:
    """A distribution whose metadata list only the members of an earlier version."""

    entry_points = EntryPoints([EntryPoint("resnet", "gridlens_deep:ResNetMember", ENTRY_POINT_GROUP)])


def not_there(name):
    raise PackageNotFoundError(name)


@pytest.mark.parametrize("distribution", [not_there, lambda name: Absent()], ids=["missing", "old"])
def test_missing_metadata_suggests_installing_the_package(monkeypatch, distribution):
    monkeypatch.setattr("gridlens.stacking._registry.distribution", distribution)
    for call in (known_members, list_members, lambda: member_class("lightgbm")):
        with pytest.raises(GridlensError, match=r"metadata of its installation.*`pip install -e \.` in a checkout"):
            call()


def test_members_are_built_from_a_string():
    line = " lightgbm, patch( n_estimators=300, top_k=2 ),elkan-noto(cv=4),nnpu(class_prior=None)"
    specs = split_members(line)
    assert len(specs) == 4
    first, patch, elkan, nnpu = (build_member(spec, random_state=9) for spec in specs)
    assert (first.name, first.random_state, patch.n_estimators, patch.top_k) == ("lightgbm", 9, 300, 2)
    assert (elkan.cv, nnpu.class_prior) == (4, None)
    assert build_member("patch(random_state=3)", random_state=9).random_state == 3
    assert build_member("linear", random_state=9).get_params() == build_member("linear").get_params()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("patch(trees=3)", r"'patch' has no parameter 'trees'\. It has colsample_bytree, "),
        ("patch(n_trees=3)", r"'patch' has no parameter 'n_trees'\. It has .*n_estimators, "),
        ("nnpu(prior=0.1)", r"'nnpu' has no parameter 'prior'\. It has class_prior, "),
        ("patch(3)", r"must name members, optionally with parameters, .* Got 'patch\(3\)'"),
        ("patch(n_estimators=open('x'))", r"must name members"),
        ("patch(**{'n_estimators': 3})", r"must name members"),
        ("patch(n_estimators=3", r"must name members"),
        ("", r"must name members"),
    ],
)
def test_invalid_member_strings_are_refused(spec, words):
    with pytest.raises(GridlensError, match=words):
        build_member(spec)


def test_a_broken_plugin_does_not_affect_the_others(plugin):
    plugin("toys", TOY, {"toy": "Toy", "broken": "Absent"})
    assert member_class("toy").name == "toy"
    assert {"toy", "broken", "lightgbm"} <= set(known_members())
    with pytest.raises(GridlensError, match=r"'broken' cannot be loaded from toys_module:Absent.*remove toys 1\.0"):
        member_class("broken")
    listed = {member.name: member for member in list_members()}
    assert listed["toy"] == ("toy", "cutouts", "toys 1.0", "ok", "A toy.")
    assert listed["broken"].status.startswith("The member 'broken' cannot be loaded")
    assert listed["lightgbm"].source == "gridlens"


def test_a_plugin_that_raises_at_import_is_named(plugin):
    plugin("raising", "raise RuntimeError('no device')", {"raising": "Member"})
    with pytest.raises(GridlensError, match=r"'raising' cannot be loaded .* no device"):
        member_class("raising")


@pytest.mark.parametrize(
    "absence",
    [
        "sys.modules['arcnet'] = None",
        "class Blocker:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'arcnet':\n            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocker())",
    ],
    ids=["set to None", "blocked"],
)
def test_blocked_requirements_of_a_plugin_are_reported(plugin, monkeypatch, absence):
    monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())
    monkeypatch.setitem(sys.modules, "arcnet", None)
    del sys.modules["arcnet"]
    toy = f"{TOY}    requires = ('json', 'arcnet', 'toys[arcs]')\n"
    plugin("wanting", f"import sys\n{absence}\n{toy}", {"toy": "Toy"})
    (listed,) = (member for member in list_members() if member.name == "toy")
    assert listed.status == (
        "The member 'toy' needs packages that are not installed: arcnet. Install them with `pip install 'toys[arcs]'`."
    )


def test_a_member_may_need_one_of_two_packages_and_more_to_be_fitted(plugin):
    needs = "    requires = ('arcnet|json', 'toys[arcs]')\n    requires_to_fit = ('arcnet', 'toys[all]')\n"
    plugin("scoring", TOY + needs, {"toy": "Toy"})
    assert member_class("toy").name == "toy"
    (listed,) = (member for member in list_members() if member.name == "toy")
    said = "can score, but fitting it requires packages that are not installed: arcnet."
    assert listed.consumes == member_class("toy").consumes
    assert said in listed.status
    with pytest.raises(GridlensError, match=rf"'toy' {said} Install them with `pip install 'toys\[all\]'`"):
        build_member("toy")


def test_a_member_without_either_of_two_packages_names_both(plugin):
    plugin("choosing", f"{TOY}    requires = ('arcnet|arcweb', 'toys[arcs]')\n", {"toy": "Toy"})
    with pytest.raises(GridlensError, match=r"not installed: arcnet or arcweb\. Install"):
        member_class("toy")


def test_a_plugin_that_exits_does_not_end_the_process(plugin):
    plugin("leaving", "raise SystemExit('no licence')", {"leaving": "Member"})
    (listed,) = (member for member in list_members() if member.name == "leaving")
    assert "cannot be loaded from leaving_module:Member: no licence" in listed.status


def test_a_name_that_two_plugins_claim_is_refused(plugin):
    plugin("first", TOY, {"toy": "Toy"})
    plugin("second", TOY, {"toy": "Toy"})
    with pytest.raises(GridlensError, match=r"'toy' is claimed by first 1\.0 and second 1\.0. Remove one"):
        member_class("toy")


def test_a_plugin_cannot_take_the_place_of_a_built_in_member(plugin):
    plugin("rival", TOY.replace("toy", "lightgbm"), {"lightgbm": "Toy"})
    with pytest.warns(UserWarning, match=r"rival 1\.0 claims the name of the built-in member 'lightgbm'"):
        known_members()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert member_class("lightgbm").__module__.startswith("gridlens.")
        assert sum(member.name == "lightgbm" for member in list_members()) == 1


def test_a_member_goes_by_the_name_of_its_entry_point(plugin):
    plugin("other", TOY, {"game": "Toy"})
    with pytest.raises(GridlensError, match=r"'game' of other 1\.0 has the name 'toy'"):
        member_class("game")
