"""Draws the page Architecture from the code: ``python docs/architecture.py`` after files moved.

Writes ``docs/_static/rooms.svg``, ``docs/_static/data_way.svg`` and the tables of ``docs/architecture.md``. With
``--check`` it only says what is stale. Needs Python only. ``tests/test_architecture.py`` fails when any of them is
stale, and when an import goes up.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from html import escape
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
SRC = ROOT / "src" / "scminnet"
PAGE = DOCS / "architecture.md"
ROOMS_PICTURE = DOCS / "_static" / "rooms.svg"
WAY_PICTURE = DOCS / "_static" / "data_way.svg"

# The allowed order. A room imports from floors below its own, never from its own floor or from above.

#: The package, top floor first. ``scminnet``: the files beside the packages, which hand out the public names.
FLOORS = (
    ("cli",),
    ("scminnet",),
    ("reporting",),
    ("model", "datasets", "tl", "pl"),
    ("metrics", "pp"),
    ("coupling", "imputation"),
    ("graph", "genomics"),
    ("_core",),
)
#: Inside ``model``. ``model``: the class.
MODEL_FLOORS = (
    ("model",),
    ("model/training", "model/storage"),
    ("model/diagnosis",),
    ("model/inference",),
    ("model/network",),
    ("model/data",),
    ("model/recipe.py", "model/_scvi.py"),
)
#: Rooms that have a floor and no files yet. Take a room off this list when its first file comes.
COMING = ()
#: All files that stand beside rooms rather than in one.
BESIDE = {
    "scminnet": ("__init__.py", "_accessor.py", "_muon.py", "motifs.py"),
    "model": ("__init__.py", "minnet.py"),
}

HOLDS = {
    "cli": "the command scminnet: integrate, fit, embed, links, demo",
    "scminnet": "public names, mdata.minnet, mu.tl",
    "reporting": "mn.report",
    "model": "MinNet, the class",
    "model/training": "train, pairs, resuming",
    "model/storage": "saved format",
    "model/diagnosis": "whether a query fits the reference: checks, verdict",
    "model/inference": "embed and predict",
    "model/network": "input layer, encoders, heads, losses",
    "model/data": "registration, sparse rows",
    "model/recipe.py": "hyperparameters",
    "model/_scvi.py": "private scvi-tools",
    "datasets": "public, simulated",
    "tl": "after embedding",
    "pl": "figures",
    "coupling": "feature links",
    "metrics": "scores",
    "pp": "preprocessing",
    "imputation": "missing values",
    "graph": "neighbours, geodesic distances",
    "genomics": "annotation, peaks, motifs, links",
    "_core": "validation, matrices in memory and on disk, files, keys, versions of other packages",
}


class Row(NamedTuple):
    """A row of "Where do I find": files are found by the names that they define."""

    wish: str
    #: room (or ``benchmarks``) and name that one of its files defines
    places: tuple[tuple[str, str], ...]
    hint: str


WHERE = (
    Row(
        "The formula of the margin",
        (("model/network", "margins"),),
        "All other losses are in the same file.",
    ),
    Row(
        "Where a query's missing feature is filled",
        (("model/data", "align_features"),),
        "Called for each modality by `align_query`.",
    ),
    Row(
        "The null of the links",
        (("tl", "matched_null"),),
        "Without a matched background: `theoretical_null`, same file.",
    ),
    Row(
        "Where output may go, and which format its name means",
        (("_core", "check_output"), ("_core", "format_of")),
        "Called before the work. A command also claims its output: `cli/outputs.py`.",
    ),
    Row(
        "Where a file is written safely",
        (("_core", "atomic_text_file"), ("_core", "atomic_path")),
        "The first yields an open file, the second a path.",
    ),
    Row(
        "A default, or a preset",
        (("model/recipe.py", "Recipe"), ("model/recipe.py", "PRESETS")),
        "With its measurement in [Decisions](decisions.md).",
    ),
    Row(
        "The only call of pynndescent",
        (("graph", "nearest_neighbors"),),
        "Exact search is in the same file.",
    ),
    Row(
        "Add an encoder for one modality",
        (
            ("model/network", "Encoder"),
            ("model/network", "SiameseModule"),
            ("model", "MinNet"),
        ),
        "`SiameseModule.__init__` makes one encoder for each modality. An encoder has what other files use: "
        "`input` and `hidden`, which `model/network/module.py` calls; `input.weight` (`module.py`, "
        "`model/inference/forward_pass.py`, `model/diagnosis/reference_range.py`, `model/storage/saved_checks.py`); "
        "`input.mean` and `input.std` (`model/diagnosis/diagnose.py`); `input.set_moments` and `input.set_weights` "
        "(`model/training/input_layers.py`); `layers`, each with `activated` (`forward_pass.py`). A new field of "
        "`Recipe` for the network is also an argument of `MinNet.__init__`.",
    ),
    Row(
        "Add a pair strategy",
        (("model/training", "PairSampler"), ("model/recipe.py", "Recipe")),
        "Name it in `Recipe.pair_strategy`, and draw its partners in `PairSampler._partners`. Also name it in the "
        "check of `strategy` in `model/training/train_arguments.py`, in the docstring of `train` "
        "(`model/training/train.py`) and in `tests/test_random_calls.py`.",
    ),
    Row(
        "Add a check to `diagnose`",
        (
            ("model/diagnosis", "CHECKS"),
            ("model/diagnosis", "level_ratio"),
            ("model/diagnosis", "DiagnoseMixin"),
            ("model/diagnosis", "fit_reference_range"),
        ),
        "`checks.py` holds limits and texts, `statistics.py` the measures, `diagnose.py` the findings. "
        "`reference_range.py: fit_reference_range` returns what is kept of the reference. `is_cause` decides how the "
        "check counts in the verdict, which `model/diagnosis/verdict.py` explains in the docstring of `Diagnosis`. "
        "Describe the check in the docstring of `diagnose`, and add it to `CHECKS` of "
        "`benchmarks/accuracy/diagnose/page.py`.",
    ),
    Row(
        "Add an annotation format",
        (("genomics", "read_gtf"), ("genomics", "_read_file")),
        "Write a reader beside `read_gtf`; `_read_file` chooses it by the file's ending. Also name the format in the "
        "texts of `genomics/annotation.py`, `cli/links.py`, `cli/integrate.py`, `docs/cli.md` and "
        "`docs/user_guide/data.md`.",
    ),
    Row(
        "Add a source of feature links",
        (("coupling", "link_antibodies"), ("pp", "feature_links")),
        "Write it beside the other sources, and let `feature_links` call it.",
    ),
    Row(
        "Add a figure",
        (
            ("pl", "history"),
            ("pl", "check_axes"),
            ("pl", "check_save"),
            ("pl", "axes_for"),
            ("pl", "finish"),
        ),
        "Write one file, e.g. `history`. Check `ax` and `save` first (`check_axes`, `check_save`), draw on `axes_for`, "
        "end with `finish`. Export it in `pl/__init__.py`. List it in `docs/api/index.md` and "
        "`tests/test_random_calls.py`, and in `tests/test_bad_input.py` if it takes a MuData.",
    ),
    Row(
        "Add a section to the report",
        (("reporting", "Section"), ("reporting", "linked"), ("reporting", "report")),
        "A function that returns a `Section` or `None`; `report` lists them in their order.",
    ),
    Row(
        "Add a command",
        (("cli", "main"), ("cli", "new_command")),
        "A file with `add(commands)`, listed in `main`.",
    ),
    Row(
        "Add a peer to compare with",
        (("benchmarks", "Method"), ("benchmarks", "interpreter")),
        "An entry in `METHODS`, a script `run_….py` and pinned requirements in `benchmarks/peers/`.",
    ),
)


# What the code says


def files() -> list[Path]:
    """Return the package's files, relative to its folder."""
    return sorted(path.relative_to(SRC) for path in SRC.rglob("*.py"))


def room_of(path: Path) -> str:
    """Return the room of a file of the package; a folder without a floor is its own."""
    if len(path.parts) == 1:
        return "scminnet"
    if path.parts[0] != "model":
        return path.parts[0]
    inner = f"model/{path.parts[1]}"
    return inner if len(path.parts) > 2 or inner in sum(MODEL_FLOORS, ()) else "model"


@cache
def tree(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text())


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the dotted names that a file imports, in functions as well, and whether for type annotations only."""
    typing_only = {
        inner
        for node in ast.walk(tree(path))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for part in node.body
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = (
                ("scminnet", *path.relative_to(SRC).parts)[: -node.level]
                if node.level
                else ()
            )
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (
                (f"{module}.{alias.name}", node in typing_only) for alias in node.names
            )


def _file_of(name: str) -> Path | None:
    """Return the file of the package that a dotted name leads to; ``None``: another package's."""
    parts = name.split(".")
    if parts[0] != "scminnet":
        return None
    for n in range(len(parts), 0, -1):
        for end in (
            SRC.joinpath(*parts[1:n], "__init__.py"),
            SRC.joinpath(*parts[1:n]).with_suffix(".py"),
        ):
            if end.is_file():
                return end.relative_to(SRC)
    return None


@cache
def file_imports() -> dict[Path, set[Path]]:
    """Return the files that each file imports.

    Imports for type annotations do not count, except those of ``__init__.py``: they name what its ``__getattr__``
    imports.
    """
    found = {}
    for path in files():
        targets = {
            _file_of(name)
            for name, typing_only in imported(SRC / path)
            if not typing_only or len(path.parts) == 1
        }
        found[path] = {target for target in targets if target is not None} - {path}
    return found


def room_imports() -> dict[str, set[str]]:
    """Return the rooms that each room imports."""
    found: dict[str, set[str]] = {room_of(path): set() for path in files()}
    for path, targets in file_imports().items():
        found[room_of(path)] |= {room_of(target) for target in targets}
    return {room: targets - {room} for room, targets in found.items()}


def rooms_in_order() -> list[str]:
    """Return all rooms that have files, top floor first."""
    order = []
    for room in sum(FLOORS, ()):
        order += sum(MODEL_FLOORS, ()) if room == "model" else [room]
    return [room for room in order if room not in COMING]


def goes_down(above: str, below: str) -> bool:
    """Return whether the first room may import the second."""
    inside = above.startswith("model") and below.startswith("model")
    floors = MODEL_FLOORS if inside else FLOORS
    first, second = (
        room if inside else room.partition("/")[0] for room in (above, below)
    )
    floor = {room: n for n, rooms in enumerate(floors) for room in rooms}
    return floor[first] < floor[second]


def _defined(path: Path) -> set[str]:
    """Return the names that a file defines at its top level."""
    names = set()
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def places_of(room: str, name: str) -> list[Path]:
    """Return the files of a room, or of ``benchmarks``, that define a name; relative to the repository."""
    if room == "benchmarks":
        among = sorted((ROOT / room).rglob("*.py"))
    else:
        among = [SRC / path for path in files() if room_of(path) == room]
    return [path.relative_to(ROOT) for path in among if name in _defined(path)]


def place_of(room: str, name: str) -> Path:
    """Return the one file of a room that defines a name."""
    found = places_of(room, name)
    if len(found) != 1:
        raise LookupError(
            f"{name!r} is defined by {len(found)} files of {room!r}: name the right one in docs/architecture.py"
        )
    return found[0]


# Tables


def rooms_table() -> str:
    """Return what each room holds and imports."""
    imports = room_imports()
    lines = ["| room | holds | imports |", "|---|---|---|"]
    for room in rooms_in_order():
        named = ", ".join(
            f"`{other}`" for other in rooms_in_order() if other in imports[room]
        )
        lines.append(f"| `{room}` | {HOLDS[room]} | {named or 'none'} |")
    return "\n".join(lines)


def shown_rows() -> list[Row]:
    """Return the rows all of whose rooms are there."""
    return [row for row in WHERE if not any(room in COMING for room, _ in row.places)]


def where_table() -> str:
    """Return where to find or change something."""
    lines = ["| I look for, or want to | file: name | then |", "|---|---|---|"]
    for row in shown_rows():
        named = "<br>".join(
            f"`{str(place_of(room, name)).removeprefix('src/scminnet/')}`: `{name}`"
            for room, name in row.places
        )
        lines.append(f"| {row.wish} | {named} | {row.hint} |")
    return "\n".join(lines)


# Pictures


class Box(NamedTuple):
    """A box of a picture, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        """Return its centre."""
        return self.x + self.width / 2, self.y + self.height / 2


HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    'role="img" font-family="Helvetica, Arial, sans-serif">\n'
    "<title>{title}</title>\n"
    '<rect x="0" y="0" width="{width}" height="{height}" fill="#ffffff"/>\n'
)
BLUE, GREY, TEXT = "#0072B2", "#5f6b76", "#1c2329"
FILL, FLOOR, FRAME = "#eaf3f9", "#f1f1ee", "#f8fafb"


def _rect(box: Box, fill: str = FILL, stroke: str = BLUE) -> str:
    return (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="5" '
        f'fill="{fill}" stroke="{stroke}"/>\n'
    )


def _text(
    x: float,
    y: float,
    text: str,
    size: float,
    fill: str = TEXT,
    *,
    bold: bool = False,
    anchor: str = "middle",
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}" text-anchor="{anchor}"{weight}>'
        f"{escape(text)}</text>\n"
    )


def _labelled(
    box: Box, name: str, *lines: str, fill: str = FILL, stroke: str = BLUE
) -> str:
    x, y = box.middle
    y += 4.5 - 7 * len(lines)
    below = "".join(
        _text(x, y + 14.5 * n, line, 11, GREY) for n, line in enumerate(lines, 1)
    )
    return _rect(box, fill, stroke) + _text(x, y, name, 13, bold=True) + below


def _arrow(path: str, x: float, y: float, towards: str = "down") -> str:
    """Draw a path and a head whose tip is at (x, y); drawn as a triangle, for not every viewer knows markers."""
    side, back = 4, 8
    corners = {
        "down": [(x - side, y - back), (x + side, y - back)],
        "right": [(x - back, y - side), (x - back, y + side)],
        "left": [(x + back, y - side), (x + back, y + side)],
    }[towards]
    points = " ".join(f"{a:g},{b:g}" for a, b in [(x, y), *corners])
    return (
        f'<path d="{path}" fill="none" stroke="{GREY}" stroke-width="1.3"/>\n'
        f'<polygon points="{points}" fill="{GREY}"/>\n'
    )


WIDTH = 800
#: Where each room is drawn.
PLACES = {
    "cli": Box(20, 14, 760, 46),
    "scminnet": Box(20, 88, 760, 46),
    "reporting": Box(450, 162, 102, 46),
    "model": Box(36, 264, 244, 44),
    "model/training": Box(142, 332, 138, 44),
    "model/storage": Box(36, 332, 98, 44),
    "model/diagnosis": Box(142, 400, 138, 44),
    "model/inference": Box(142, 468, 138, 44),
    "model/network": Box(36, 536, 244, 44),
    "model/data": Box(112, 604, 168, 44),
    "model/recipe.py": Box(36, 672, 114, 44),
    "model/_scvi.py": Box(158, 672, 122, 44),
    "datasets": Box(338, 264, 102, 44),
    "tl": Box(562, 264, 102, 44),
    "pl": Box(676, 264, 102, 44),
    "coupling": Box(452, 596, 78, 44),
    "imputation": Box(354, 596, 88, 44),
    "metrics": Box(338, 452, 74, 42),
    "pp": Box(424, 452, 128, 42),
    "graph": Box(338, 672, 214, 44),
    "genomics": Box(564, 672, 214, 44),
    "_core": Box(20, 760, 760, 46),
}
#: Where an arrow passes beside a box that stands between.
LANES = {
    ("model/network", "model/recipe.py"): 74,
    ("pp", "graph"): 535,
    ("pp", "coupling"): 470,
    ("metrics", "graph"): 346,
}
MODEL_FRAME = Box(20, 236, 276, 496)


def drawn_arrows() -> set[tuple[str, str]]:
    """Return the imports that do not follow from others on the way down, without those of ``_core``."""
    imports = room_imports()
    TopologicalSorter(imports).prepare()  # raises CycleError

    def below(room: str) -> set[str]:
        return imports[room] | {
            deeper for other in imports[room] for deeper in below(other)
        }

    return {
        (room, other)
        for room, others in imports.items()
        for other in others
        if other != "_core"
        and not any(other in below(between) for between in others - {other})
    }


def _room_arrow(above: str, below: str) -> str:
    a, b = PLACES[above], PLACES[below]
    bottom = a.y + a.height
    left, right = max(a.x, b.x), min(a.x + a.width, b.x + b.width)
    if right - left > 16:
        x = LANES.get((above, below), (left + right) / 2)
        return _arrow(f"M{x:g} {bottom:g}V{b.y - 6:g}", x, b.y)
    if above.startswith("model/") and not below.startswith(
        "model"
    ):  # out of the side, then down
        x, y = b.middle[0], a.y + a.height - 8
        return _arrow(
            f"M{a.x + a.width:g} {y:g}H{x - 8:g}Q{x:g} {y:g} {x:g} {y + 8:g}V{b.y - 6:g}",
            x,
            b.y,
        )
    is_right = b.x > a.x
    start = a.x + a.width - 10 if is_right else a.x + 10
    end = b.x + 26 if is_right else b.x + b.width - 14
    turn = b.y - 84
    path = (
        f"M{start:g} {bottom:g}V{max(turn, bottom):g}"
        f"C{start:g} {b.y - 40:g} {end:g} {b.y - 50:g} {end:g} {b.y - 6:g}"
    )
    return _arrow(path, end, b.y)


def rooms_picture() -> str:
    """Return the rooms and their imports as SVG."""
    drawn = [
        HEAD.format(
            width=WIDTH, height=846, title="The rooms of scminnet; arrows are imports"
        )
    ]
    drawn += [
        _rect(MODEL_FRAME, FRAME, GREY),
        _text(30, 255, "model/", 13, GREY, bold=True, anchor="start"),
    ]
    drawn += [_room_arrow(*pair) for pair in sorted(drawn_arrows())]
    for room in rooms_in_order():
        name = {"model": "minnet.py", "scminnet": "scminnet/"}.get(
            room, room.removeprefix("model/")
        )
        lines = (
            HOLDS[room].split(": ")[-1:] if room == "model/diagnosis" else [HOLDS[room]]
        )
        drawn.append(
            _labelled(
                PLACES[room], name, *lines, fill=FLOOR if room == "_core" else FILL
            )
        )
    note = "All rooms stand on _core. Its arrows are not drawn, nor those that follow from others."
    return "".join(drawn) + _text(20, 830, note, 11, GREY, anchor="start") + "</svg>\n"


class Step(NamedTuple):
    """A step of the data's way: where it is drawn (column, row), what happens, and the code that does it."""

    column: int
    row: int
    says: str
    room: str = ""
    name: str = ""


STEPS = {
    "reference": Step(1, 0, "paired or partly paired cells"),
    "query": Step(2, 0, "cells of any modality"),
    "graph": Step(0, 1, "batch-corrected neighbour graph", "pp", "build_margin_graph"),
    "register": Step(1, 1, "called by setup_mudata", "model/data", "register"),
    "align": Step(2, 1, "the model's features, in order", "model/data", "align_query"),
    "distances": Step(0, 2, "distances between cells", "graph", "GeodesicIndex"),
    "pairs": Step(
        1, 2, "rows, labels, distances by batch", "model/training", "PairDataset"
    ),
    "moments": Step(
        2, 2, "the query's own mean and spread", "model/data", "feature_moments"
    ),
    "input": Step(0, 3, "canonical input layer", "model/network", "fit_projections"),
    "module": Step(
        1, 3, "encoders, embedding, cell types", "model/network", "SiameseModule"
    ),
    "project": Step(
        2, 3, "standardise, input layer", "model/inference", "project_rows"
    ),
    "losses": Step(
        1, 4, "and info_nce, margins, in one file", "model/network", "contrastive_loss"
    ),
    "embed": Step(
        2, 4, "hidden layers, embedding", "model/inference", "embed_projected"
    ),
    "pl": Step(0, 5, "know the key, not the model"),
    "tl": Step(1, 5, "transfer, match, smooth, link"),
    "key": Step(2, 5, "written by MinNet.embed"),
}
PLAIN = {
    "reference": "MuData: reference",
    "query": "MuData: query",
    "pl": "pl, metrics",
    "tl": "tl",
    "key": 'obsm["X_minnet"]',
}
WAY = (
    ("reference", "graph"), ("reference", "register"), ("graph", "distances"), ("register", "pairs"),
    ("distances", "pairs"), ("pairs", "module"), ("input", "module"), ("module", "losses"), ("query", "align"),
    ("align", "moments"), ("moments", "project"), ("module", "project"), ("project", "embed"), ("embed", "key"),
    ("key", "tl"), ("tl", "pl"),
)  # fmt: skip


def _step_box(step: Step) -> Box:
    return Box(20 + 266 * step.column, 44 + 98 * step.row, 228, 62)


def _step_arrow(first: str, second: str) -> str:
    a, b = _step_box(STEPS[first]), _step_box(STEPS[second])
    if a.y == b.y:
        y, is_right = a.middle[1], b.x > a.x
        start, end = (a.x + a.width, b.x) if is_right else (a.x, b.x + b.width)
        return _arrow(
            f"M{start:g} {y:g}H{end - 6 if is_right else end + 6:g}",
            end,
            y,
            "right" if is_right else "left",
        )
    if a.x == b.x:
        return _arrow(
            f"M{a.middle[0]:g} {a.y + a.height:g}V{b.y - 6:g}", a.middle[0], b.y
        )
    x, y = b.middle[0], a.middle[1]  # out of the left side, then down
    return _arrow(
        f"M{a.x:g} {y:g}H{x + 8:g}Q{x:g} {y:g} {x:g} {y + 8:g}V{b.y - 6:g}", x, b.y
    )


def way_picture() -> str:
    """Return the data's way as SVG."""
    drawn = [
        HEAD.format(
            width=WIDTH, height=612, title="The way of the data through scminnet"
        )
    ]
    for column, title in enumerate(("Before training", "Training", "Query")):
        drawn.append(_text(134 + 266 * column, 28, title, 13, GREY, bold=True))
    drawn += [_step_arrow(*pair) for pair in WAY]
    for key, step in STEPS.items():
        box = _step_box(step)
        if step.name:
            where = str(place_of(step.room, step.name)).removeprefix("src/scminnet/")
            drawn.append(_labelled(box, step.name, step.says, where))
        else:
            drawn.append(_labelled(box, PLAIN[key], step.says, fill=FLOOR, stroke=GREY))
    return "".join(drawn) + "</svg>\n"


# Writing


def _with_part(page: str, name: str, text: str) -> str:
    """Return the page with the text between a part's two marks."""
    start, end = (
        f"<!-- {name}: written by docs/architecture.py -->\n",
        f"<!-- end of {name} -->",
    )
    before, _, rest = page.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise LookupError(f"{PAGE.name} lacks the marks {start.strip()!r} and {end!r}")
    return f"{before}{start}\n{text}\n\n{end}{after}"


def wanted() -> dict[Path, str]:
    """Return what the generated files shall hold."""
    page = _with_part(PAGE.read_text(), "rooms", rooms_table())
    return {
        PAGE: _with_part(page, "where", where_table()),
        ROOMS_PICTURE: rooms_picture(),
        WAY_PICTURE: way_picture(),
    }


def stale() -> list[str]:
    """Return the generated files that do not hold what they shall."""
    return [
        path.name
        for path, text in wanted().items()
        if not path.exists() or path.read_text() != text
    ]


def main() -> int:
    """Write what is stale; with ``--check``, only name it."""
    names = stale()
    if "--check" not in sys.argv[1:]:
        for path, text in wanted().items():
            path.write_text(text)
    print(*(names or ["nothing is stale"]), sep="\n")
    return int("--check" in sys.argv[1:] and bool(names))


if __name__ == "__main__":
    sys.exit(main())
