"""The page as data, and as HTML: sections of text, figures and tables. Jinja2 escapes all that comes from users."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from pandas.api.types import is_bool_dtype, is_numeric_dtype

#: Dots an inch of the figures: legible in print, and some 100 kB each.
DPI = 170

#: Figures are drawn at printed size. On a screen, which is farther from the eye, they are larger by this factor.
ON_SCREEN = 1.35


@dataclass(frozen=True)
class Picture:
    """A figure as PNG.

    Attributes
    ----------
    source
        The picture itself, as a ``data:`` address.
    width
        Width in CSS pixels, of which an inch has 96.
    text
        What it shows, for readers who do not see it.
    caption
        What stands below it.
    """

    source: str
    width: int
    text: str
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption. Columns are sorted by a click on their head.

    Attributes
    ----------
    head
        Names of the columns.
    rows
        Cells as they are shown, each with the value that it is sorted by, and whether it is a number.
    caption
        What stands above it.
    marked
        Positions of the rows that stand out.
    """

    head: list[str]
    rows: list[list[tuple[str, str, bool]]]
    caption: str = ""
    marked: frozenset[int] = frozenset()


@dataclass
class Section:
    """A part of the page. ``name`` is its anchor."""

    name: str
    title: str
    text: list[str] = field(default_factory=list)
    parts: list[Table | Picture] = field(default_factory=list)
    """Tables and pictures, in their order."""
    steps: list[tuple[str, str]] = field(default_factory=list)
    """What to do next: a sentence, and code or ``""``."""


def picture(axes: Any, text: str, caption: str = "") -> Picture:
    """Turn the figure of some Axes into a picture, and close it."""
    figure = np.asarray(axes, dtype=object).flat[0].figure.figure
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    png = file.getvalue()
    # the first field of a PNG's header is its width
    width = int(int.from_bytes(png[16:20], "big") / DPI * 96 * ON_SCREEN)
    return Picture("data:image/png;base64," + base64.b64encode(png).decode(), width, text, caption)


def table(
    frame: pd.DataFrame,
    caption: str = "",
    *,
    digits: int = 2,
    percent: Collection[str] = (),
    marked: Sequence[bool] | pd.Series = (),
) -> Table:
    """Turn a DataFrame into a table. Columns in ``percent`` hold shares. A missing value is a dash.

    ``marked`` tells for each row whether it stands out.
    """
    numbers = {name for name in frame.columns if _is_number(frame[name])}
    rows = []
    for values in frame.itertuples(index=False):
        row = []
        for name, value in zip(frame.columns, values, strict=True):
            if pd.isna(value):
                row.append(("–", "", name in numbers))
            elif name in numbers:
                places = 0 if isinstance(value, int | np.integer) else digits
                row.append((_number(float(value), places, percent=name in percent), repr(float(value)), True))
            else:
                row.append((str(value), str(value), False))
        rows.append(row)
    return Table([str(name) for name in frame.columns], rows, caption, frozenset(np.flatnonzero(marked).tolist()))


def _is_number(column: pd.Series) -> bool:
    """Tell whether a column holds numbers: it is aligned and sorted as such, also where a value is missing."""
    return is_numeric_dtype(column) and not is_bool_dtype(column)


def _number(value: float, digits: int, *, percent: bool) -> str:
    if percent:
        text = f"{100 * value:.0f} %" if value in (0, 1) or abs(value) >= 0.095 else f"{100 * value:.1f} %"
    elif digits and 0 < abs(value) < 10**-digits:
        text = f"{value:.1e}"
    else:
        text = f"{value:,.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if "e" not in text else text


def render(title: str, lead: Sequence[str], sections: Sequence[Section], footer: str) -> str:
    """Return the page as HTML that needs nothing else and loads nothing."""
    environment = Environment(
        loader=PackageLoader("scminnet.reporting", "."),
        # every value is escaped, whatever the template's name
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = environment.loader.get_source(environment, "page.js")[0]  # type: ignore[union-attr]  # it is given above
    style = environment.loader.get_source(environment, "page.css")[0]  # type: ignore[union-attr]
    # the page's own script is the only one that may run
    allowed = "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        title=title, lead=lead, sections=sections, footer=footer, script=script, style=style, allowed=allowed
    )
