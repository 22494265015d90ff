"""A user's own table of links."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from scminnet._core.arguments import shorten
from scminnet._core.text_files import name_without_gz, open_text
from scminnet.coupling.gene_names import name_keys
from scminnet.coupling.linking import TABLE, Linked, pairs_of


def read_table(table: pd.DataFrame | str | os.PathLike[str], first: str, second: str) -> pd.DataFrame:
    """Return a user's table of links as ``first``, ``second`` (names) and ``weight``, raising where it is not one.

    Parameters
    ----------
    table
        The table or its path.
    first, second
        The two modalities. Columns of these names are taken; otherwise the first two.
    """
    if isinstance(table, (str, os.PathLike)):
        table = _read_file(Path(table))
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"`table` is a {type(table).__name__}. Give a DataFrame or the path of a .tsv or .csv file, with a "
            "column of features for "
            f"each of {first!r} and {second!r}."
        )
    if table.shape[1] < 2 or table.empty:
        raise ValueError(
            f"`table` has {len(table):,} rows and the columns {shorten(table.columns)}. Give two columns, of the "
            f"features of {first!r} and "
            f"of {second!r}, and, if you like, a column 'weight'."
        )
    columns = list(table.columns)
    if columns.count(first) == 1 and columns.count(second) == 1:
        places = [columns.index(first), columns.index(second)]
    elif {"first_feature", "second_feature"} <= set(columns):
        places = [columns.index("first_feature"), columns.index("second_feature")]
    else:
        places = [i for i, c in enumerate(columns) if c != "weight"][:2]
    rest = [i for i in range(len(columns)) if i not in places]
    of_weight = [i for i in rest if columns[i] == "weight"]
    if not of_weight and len(rest) == 1 and pd.api.types.is_numeric_dtype(table.iloc[:, rest[0]]):
        of_weight = rest
    if len(places) < 2:
        raise ValueError(f"`table` has the columns {shorten(columns)}. Give two columns of features beside the weight.")
    names = [table.iloc[:, i].astype(object) for i in places]
    weight = pd.Series(1.0, table.index)
    if of_weight:
        weight = pd.to_numeric(table.iloc[:, of_weight[0]], errors="coerce")
    values = weight.to_numpy(float, na_value=np.nan)
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        shown = [" ".join(map(str, row)) for row in table[wrong].head(3).to_numpy(object)]
        raise ValueError(
            f"`table`: {int(wrong.sum()):,} of {len(table):,} weights are negative, infinite or no numbers, e.g. "
            f"{shorten(shown)}. "
            "Give weights of 0 or more, or leave these rows out."
        )
    read = pd.DataFrame({"first": names[0].to_numpy(), "second": names[1].to_numpy(), "weight": values})
    named = read["first"].notna() & read["second"].notna()
    if not named.all():
        raise ValueError(
            f"`table`: {int((~named).sum()):,} of {len(read):,} rows lack a feature. Fill them or leave these rows out."
        )
    return read.astype({"first": str, "second": str})


def _read_file(path: Path) -> pd.DataFrame:
    separators = {".tsv": "\t", ".txt": "\t", ".csv": ","}
    suffix = Path(name_without_gz(path)).suffix
    if suffix not in separators:
        raise ValueError(
            f"`table` is {path.name!r}. Give a file whose name ends in {shorten(separators)}, or that and '.gz'."
        )
    if not path.is_file():
        raise FileNotFoundError(f"`table`: there is no file {str(path)!r}. Give the path of a table of links.")
    try:
        with open_text(path, "table") as file:
            # a feature may be called NA
            return pd.read_csv(file, sep=separators[suffix], keep_default_na=False, na_values=[""])
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(
            f"`table`: {path.name!r} cannot be read ({error}). Give a table with a line of column names."
        ) from error


def link_table(
    table: pd.DataFrame, spelt: tuple[pd.DataFrame, pd.DataFrame], names: tuple[pd.Index, pd.Index]
) -> Linked:
    """Link the features that a user's table names; rows that name none of both modalities are left out.

    Parameters
    ----------
    table
        What :func:`read_table` returns.
    spelt
        All names of the two modalities' features.
    names
        Their ``var_names``, which count first.
    """
    options = []
    # the columns may be in either order
    for columns in (("first", "second"), ("second", "first")):
        found = table[["weight"]].assign(row=np.arange(len(table)))
        for column, side, spelling, own in zip(columns, ("first", "second"), spelt, names, strict=True):
            at = _positions(table[column], spelling, own)
            found = found.merge(at.rename(columns={"feature": side}), on="row")
        options.append(found)
    best = max(options, key=lambda found: found["row"].nunique())
    best = best[best["weight"] > 0]
    return Linked(pairs_of(best["first"], best["second"], best["weight"], TABLE), ({}, {}))


def _positions(values: pd.Series, spelling: pd.DataFrame, own: pd.Index) -> pd.DataFrame:
    """Return which features rows of a table name: ``row``, ``feature``."""
    exact = own.get_indexer(values)
    rows = np.arange(len(values))
    rest = pd.DataFrame({"row": rows[exact < 0], "key": name_keys(values[exact < 0].reset_index(drop=True)).to_numpy()})
    alike = rest.merge(spelling[["feature", "key"]].drop_duplicates(), on="key")[["row", "feature"]]
    return pd.concat([pd.DataFrame({"row": rows[exact >= 0], "feature": exact[exact >= 0]}), alike])
