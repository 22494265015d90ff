"""What several seeds found, as the tables show it."""

from __future__ import annotations

import pandas as pd
from pandas.core.groupby import DataFrameGroupBy, SeriesGroupBy


def mean_and_deviation(values: DataFrameGroupBy | SeriesGroupBy) -> pd.DataFrame | pd.Series:
    """Mean ± standard deviation of each group, as text. A single seed has no deviation; what no seed found is empty."""
    mean, deviation = values.mean(), values.std()
    text = mean.map("{:.3f}".format) + deviation.map(" ± {:.3f}".format).where(deviation.notna(), "")
    return text.where(mean.notna(), "")
