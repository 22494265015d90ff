"""Tells whether anything that an object holds has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse


def fingerprint(thing: Any) -> Any:
    """Stand for all that an object holds."""
    if isinstance(thing, MuData) or hasattr(thing, "obs_names"):
        parts = {name: getattr(thing, name) for name in ("obs", "var", "uns")}
        parts |= {
            f"{name}/{key}": value
            for name in ("obsm", "varm", "obsp", "layers", "mod")
            for key, value in dict(getattr(thing, name, None) or {}).items()
        }
        if not isinstance(thing, MuData):
            parts["X"] = thing.X
        return {name: fingerprint(part) for name, part in parts.items()}
    if isinstance(thing, Mapping):
        return {key: fingerprint(value) for key, value in thing.items()}
    if isinstance(thing, pd.DataFrame):
        return tuple(thing.columns), str(dict(thing.dtypes)), fingerprint(pd.util.hash_pandas_object(thing).to_numpy())
    if sparse.issparse(thing):
        return thing.shape, tuple(fingerprint(part) for part in (thing.data, thing.indices, thing.indptr))
    if isinstance(thing, np.ndarray):
        values = thing.tobytes() if thing.dtype != object else repr(thing.tolist()).encode()
        return thing.shape, str(thing.dtype), hashlib.md5(values).hexdigest()
    return repr(thing)
