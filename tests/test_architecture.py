"""The rooms: imports go down, every file has its room, and the page Architecture says what is there."""

from __future__ import annotations

import ast
import importlib.util
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "architecture.py"

if not SCRIPT.is_file():
    pytest.skip("the documentation is not part of a source distribution", allow_module_level=True)

_spec = importlib.util.spec_from_file_location("architecture", SCRIPT)
house = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(house)


def test_every_file_has_a_room_and_every_room_a_file() -> None:
    rooms = {house.room_of(path) for path in house.files()}
    assert rooms == set(house.rooms_in_order()), (
        "give a new room a floor in docs/architecture.py, take an empty one off"
    )
    beside = {room: {path.name for path in house.files() if house.room_of(path) == room} for room in house.BESIDE}
    assert beside == {room: set(names) for room, names in house.BESIDE.items()}, "put the file into a room"
    assert set(house.HOLDS) == set(house.PLACES) == rooms | set(house.COMING)


def test_no_import_goes_up() -> None:
    up = [
        f"{path} imports {target}"
        for path, targets in house.file_imports().items()
        for target in sorted(targets)
        if house.room_of(path) != house.room_of(target)
        and not house.goes_down(house.room_of(path), house.room_of(target))
    ]
    assert up == []


def test_files_of_a_room_import_each_other_in_no_circle() -> None:
    inside = {path: targets for path, targets in house.file_imports().items() if len(path.parts) > 1}
    TopologicalSorter(inside).prepare()  # raises CycleError


@pytest.mark.parametrize(
    ("above", "below", "may"),
    [
        ("tl", "graph", True),
        ("graph", "tl", False),
        ("tl", "pl", False),
        ("tl", "model/data", False),
        ("model/training", "tl", False),
        ("model/training", "pp", True),
        ("model/network", "model/training", False),
        ("model", "model/_scvi.py", True),
        ("_core", "scminnet", False),
        ("coupling", "pp", False),
    ],
)
def test_what_may_import_what(above: str, below: str, may: bool) -> None:
    assert house.goes_down(above, below) is may


def test_imports_in_functions_count_and_those_for_annotations_do_not(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from scminnet import tl\n"
        "def f():\n    from scminnet.pl import links\n    import scminnet.graph\n"
    )
    found = {name: typing_only for name, typing_only in house.imported(file) if name.startswith("scminnet")}
    assert found == {"scminnet.tl": True, "scminnet.pl.links": False, "scminnet.graph": False}


def test_the_page_is_not_stale() -> None:
    assert house.stale() == [], "run `python docs/architecture.py` and look at the pictures"


def test_what_comes_is_not_there_yet() -> None:
    """A room that has come is drawn, and its rows are shown."""
    assert [room for room in house.COMING if (house.SRC / room).is_dir()] == [], "take it off COMING"


@pytest.mark.parametrize(
    ("room", "name"),
    [place for row in house.shown_rows() for place in row.places]
    + [(step.room, step.name) for step in house.STEPS.values() if step.name],
)
def test_what_the_page_names_is_defined_once(room: str, name: str) -> None:
    assert len(house.places_of(room, name)) == 1


@pytest.mark.parametrize("row", house.shown_rows(), ids=lambda row: row.wish)
def test_the_files_that_a_hint_names_are_there(row: house.Row) -> None:
    """A file is named by its path. The name alone will do for one of the row's places, or if its path came before."""
    shown = {house.place_of(room, name).name for room, name in row.places}
    for named in re.findall(r"`([\w/]+\.(?:py|md))\b", row.hint):
        assert named in shown or any((root / named).is_file() for root in (house.SRC, house.ROOT)), named
        shown.add(Path(named).name)


@pytest.mark.parametrize("path", house.files(), ids=str)
def test_private_and_version_dependent_imports_have_their_file(path: Path) -> None:
    """scvi-tools' private parts in ``model/_scvi.py``; others', and choices between imports, in ``_core/compat.py``."""
    names = [name.split(".") for name, _ in house.imported(house.SRC / path)]
    private = {
        parts[0] for parts in names if parts[0] not in ("scminnet", "__future__") and any(p[0] == "_" for p in parts)
    }
    assert private <= ({"scvi"} if path == Path("model/_scvi.py") else set())
    if path != Path("_core/compat.py"):
        assert "muon" not in {parts[0] for parts in names}
        assert [ast.unparse(node) for node in ast.walk(house.tree(house.SRC / path)) if chooses(node)] == []


def chooses(node: ast.AST) -> bool:
    """Whether a statement imports one thing where another is missing, by a failed import or by a version."""

    def imports(statements: list[ast.stmt]) -> bool:
        return any(isinstance(inner, ast.Import | ast.ImportFrom) for s in statements for inner in ast.walk(s))

    if isinstance(node, ast.Try):
        return imports(node.body) and any(imports(handler.body) for handler in node.handlers)
    if isinstance(node, ast.If):
        return "version" in ast.unparse(node.test).lower() and imports([*node.body, *node.orelse])
    return False


@pytest.mark.parametrize(
    ("code", "is_choice"),
    [
        ("try:\n    import a\nexcept ImportError:\n    import b as a", True),
        ("try:\n    import a\nexcept ImportError as error:\n    raise ImportError('install a') from error", False),
        ("if version('a') >= '2':\n    from a import b", True),
        ("if sys.version_info >= (3, 12):\n    import b", True),
    ],
)
def test_a_choice_between_imports_is_seen(code: str, is_choice: bool) -> None:
    assert chooses(ast.parse(code).body[0]) is is_choice
