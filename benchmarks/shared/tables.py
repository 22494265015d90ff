"""Tables of results: rows of new runs replace older ones, and seeds become mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from pandas.core.groupby import DataFrameGroupBy, SeriesGroupBy


def mean_and_deviation(values: DataFrameGroupBy | SeriesGroupBy, digits: int = 3) -> pd.DataFrame | pd.Series:
    """Return the mean ± standard deviation of each group as text.

    A single seed has no deviation. A measure that no seed has is empty.
    """
    mean, deviation = values.mean(), values.std()
    spread = deviation.map(f" ± {{:.{digits}f}}".format).where(deviation.notna(), "")
    return (mean.map(f"{{:.{digits}f}}".format) + spread).where(mean.notna(), "")


def merged(new: pd.DataFrame, old: pd.DataFrame | None, run: Sequence[str]) -> pd.DataFrame:
    """Return the old rows and the new ones. Old rows of a run that is also new are left out.

    Parameters
    ----------
    new, old
        Rows of results; ``None`` if nothing was measured before.
    run
        Columns that identify a run.
    """
    if old is None:
        return new
    again = pd.MultiIndex.from_frame(old[list(run)]).isin(pd.MultiIndex.from_frame(new[list(run)]))
    # a concatenation would take the types of columns from empty tables
    return pd.concat([part for part in (old[~again], new) if len(part)], ignore_index=True)


def ordered(table: pd.DataFrame, by: Sequence[str], ranks: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Sort rows by columns. A column in ``ranks`` follows the order of the names listed there."""
    listed = {column: list(names) for column, names in ranks.items()}
    return table.sort_values(
        list(by), key=lambda c: c.map(listed[c.name].index) if c.name in listed else c, kind="stable"
    )
