"""Draws the method for README and the landing page: ``python docs/drawing.py``.

Writes ``docs/_static/method.svg``. With ``--check`` it only says whether that is stale. Needs Python only. Each
function that the drawing names must be public, so the drawing can not outlive a name. ``tests/test_docs.py`` fails when
the file is stale.
"""

from __future__ import annotations

import ast
import math
import random
import sys
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "src" / "scminnet"
PICTURE = DOCS / "_static" / "method.svg"

WIDTH, HEIGHT = 1000, 388
#: Colours of ``scminnet.pl``: the first modality is blue, the second orange.
RNA, OTHER, INK, GREY, PALE = "#0072B2", "#E69F00", "#24292f", "#5f6b76", "#f3f6f8"

#: What links cells of two modalities, and how users give it.
EVIDENCE = (
    ("by feature links", "pp.feature_links"),
    ("and/or paired cells", "same obs_names"),
    ("with cell types or without", "labels_key"),
)

#: What the embedding is for, and what to call.
USES = (
    ("annotate ATAC or protein cells", "tl.transfer_labels"),
    ("match cells", "tl.match_cells"),
    ("impute the missing modality", "tl.impute"),
    ("find enhancers of a gene", "tl.cre_links"),
    ("compare patients", "tl.differential_links"),
    ("check and report", "report"),
)

Point = tuple[float, float]


def public_names() -> set[str]:
    """Return the public functions, as users call them after ``mn.``"""
    names = set()
    for path in (PACKAGE / "__init__.py", *PACKAGE.glob("*/__init__.py")):
        room = "" if path.parent == PACKAGE else f"{path.parent.name}."
        for node in ast.parse(path.read_text()).body:
            if (
                isinstance(node, ast.Assign)
                and getattr(node.targets[0], "id", "") == "__all__"
            ):
                names |= {room + name for name in ast.literal_eval(node.value)}
    return names


def text(
    x: float,
    y: float,
    words: str,
    size: int = 14,
    colour: str = INK,
    anchor: str = "start",
    **style: str,
) -> str:
    """Return a line of text."""
    more = "".join(
        f' {name.replace("_", "-")}="{value}"' for name, value in style.items()
    )
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"{more}>'
        f"{escape(words)}</text>"
    )


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str = PALE,
    line: str = "#c9d1d9",
) -> str:
    """Return a rectangle with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="{fill}" stroke="{line}"/>'


def dots(places: list[Point], colour: str, radius: float = 4.5) -> list[str]:
    """Return a dot for each cell."""
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}" fill-opacity="0.85"/>'
        for x, y in places
    ]


def arrow(start: Point, end: Point) -> str:
    """Return a line with a head."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    wings = [
        (end[0] - 9 * math.cos(angle + turn), end[1] - 9 * math.sin(angle + turn))
        for turn in (0.45, -0.45)
    ]
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in (end, *wings))
    line = f'<path d="M{start[0]:g} {start[1]:g}L{end[0]:g} {end[1]:g}" stroke="{GREY}" stroke-width="1.6"/>'
    return f'{line}<polygon points="{head}" fill="{GREY}"/>'


def scattered(
    rng: random.Random, centre: Point, spread: float, n: int, apart: float = 9.0
) -> list[Point]:
    """Return cells around a centre that do not cover each other."""
    places: list[Point] = []
    while len(places) < n:
        radius, turn = spread * math.sqrt(rng.random()), 2 * math.pi * rng.random()
        place = centre[0] + radius * math.cos(turn), centre[1] + radius * math.sin(turn)
        if all(math.dist(place, other) >= apart for other in places):
            places.append(place)
    return places


def draw() -> str:
    """Return the picture."""
    missing = {call for _, call in (*USES, EVIDENCE[0])} - public_names()
    if missing:
        raise SystemExit(
            f"the drawing names {sorted(missing)}, which scminnet does not have"
        )
    rng = random.Random(4)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" font-family="Helvetica, Arial, sans-serif">',
        "<title>RNA of some cells and ATAC or proteins of others go through MinNet into one embedding</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    heads = (
        (124, "You have"),
        (386, "MinNet"),
        (600, "One embedding"),
        (850, "You get"),
    )
    parts += [
        text(x, 28, head, 17, anchor="middle", font_weight="bold") for x, head in heads
    ]

    # cells of two modalities, and what links them
    for top, colour, label in (
        (44, RNA, "RNA of some cells"),
        (262, OTHER, "ATAC or proteins of others"),
    ):
        parts += [
            box(10, top, 228, 102),
            text(124, top + 92, label, 14, colour, "middle", font_weight="bold"),
        ]
        parts += dots(
            scattered(rng, (60, top + 34), 24, 10)
            + scattered(rng, (124, top + 46), 24, 10),
            colour,
        )
        parts += dots(scattered(rng, (188, top + 34), 24, 10), colour)
    parts.append(text(124, 167, "linked", 13, GREY, "middle"))
    for i, (evidence, given) in enumerate(EVIDENCE):
        y = 186 + 22 * i
        parts.append(text(10, y, evidence, 13))
        parts.append(text(240, y, given, 10, GREY, "end", font_family="monospace"))

    # two encoders, one embedding layer
    for top, colour, label in ((62, RNA, "encoder"), (280, OTHER, "encoder")):
        middle = top + 33
        parts.append(
            f'<polygon points="290,{top} 370,{top + 16} 370,{top + 50} 290,{top + 66}" '
            f'fill="{colour}" fill-opacity="0.18" stroke="{colour}"/>'
        )
        parts += [
            text(330, middle + 5, label, 13, colour, "middle"),
            arrow((242, middle), (284, middle)),
        ]
        parts.append(arrow((374, middle), (408, 166 if top < 100 else 242)))
    parts += [
        box(388, 170, 92, 68),
        text(434, 199, "shared", 13, INK, "middle"),
        text(434, 217, "layers", 13, INK, "middle"),
    ]
    parts.append(arrow((484, 204), (508, 204)))

    # the embedding: cell types are mixed by modality
    parts.append(box(514, 44, 172, 320))
    for centre, spread, name in (
        ((570, 112), 40, "T cells"),
        ((632, 204), 38, "B cells"),
        ((570, 292), 38, "monocytes"),
    ):
        cells = scattered(rng, centre, spread, 34)
        parts += dots(cells[::2], RNA) + dots(cells[1::2], OTHER)
        side = centre[0] + (spread + 6 if centre[0] < 600 else -spread - 6)
        parts.append(
            text(
                side,
                centre[1] + 4,
                name,
                12,
                GREY,
                "start" if centre[0] < 600 else "end",
            )
        )
    parts.append(arrow((690, 204), (714, 204)))

    for i, (use, call) in enumerate(USES):
        y = 66 + 54 * i
        parts += [
            text(724, y, use, 15),
            text(724, y + 19, f"mn.{call}", 13, GREY, font_family="monospace"),
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Write the picture, or say that it is stale."""
    picture = draw()
    if sys.argv[1:] == ["--check"]:
        if not PICTURE.exists() or PICTURE.read_text() != picture:
            raise SystemExit(
                "docs/_static/method.svg is stale: run `python docs/drawing.py`"
            )
    else:
        PICTURE.write_text(picture)


if __name__ == "__main__":
    main()
