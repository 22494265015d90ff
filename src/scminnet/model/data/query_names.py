"""Whether a query names its modalities and features as the model does. What a difference in names hides is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from mudata import MuData

from scminnet._core.arguments import shorten
from scminnet._core.feature_names import Renaming, find_renaming
from scminnet._core.user_warnings import warn

#: A modality that the model does not know is one that it knows if it has this share of that one's features.
_SHARED = 0.1

#: A smaller share of the features tells little of the cells. If more are there under other names, those are wrong.
_MIN_KNOWN = 0.05

Features = Mapping[str, Sequence[str] | Any]


def check_modality_names(mdata: MuData, features: Features, argument: str = "mdata") -> None:
    """Raise if a modality of a query seems to be one that the model knows under another name.

    Parameters
    ----------
    mdata
        The query.
    features
        Features of the model, by modality.
    argument
        Name of the argument in the error message.

    Raises
    ------
    ValueError
        A modality that the model does not know has the name of one that the query lacks, apart from letter case, or a
        tenth of its features. A modality that was made from one that the model knows, such as gene activity, may have
        them.
    """
    absent = [m for m in features if m not in mdata.mod]
    unknown = [m for m in mdata.mod if m not in features and not _is_made_of(mdata, m, features)]
    for modality in unknown:
        var = mdata.mod[modality].var
        found: dict[str, tuple[int, Renaming | None]] = {}
        for known in absent:
            reference = pd.Index(features[known])
            found[known] = int(reference.isin(var.index).sum()), find_renaming(var, reference)
        alike = [known for known in absent if _plain(known) == _plain(modality)]
        if not found:
            continue
        known = max(alike or absent, key=lambda m: _n_found(*found[m]))
        n_now, renaming = found[known]
        n_model = len(features[known])
        if alike or _n_found(n_now, renaming) >= _SHARED * n_model:
            more = f" {renaming.advice(modality)}" if renaming else ""
            names = f"has modalities {shorten(mdata.mod)}, the model {shorten(features)}"
            names += ": none in common" if len(absent) == len(features) else ""
            raise ValueError(
                f"`{argument}` {names}. The model knows {known!r}, the query has {modality!r} with {n_now:,} of "
                f"{n_model:,} of its features.{more} Rename the modality: `mdata.mod[{known!r}] = "
                f"mdata.mod.pop({modality!r})`, then `mdata.update()`. If it is something else, remove it: "
                f"`del mdata.mod[{modality!r}]`."
            )


def check_feature_names(mdata: MuData, modality: str, reference: pd.Index) -> int:
    """Return how many of the model's features a modality has. Raise or warn if many have another name there.

    Raises
    ------
    ValueError
        There is none, or there are less than 5 % and more under names that are written otherwise.

    Warns
    -----
    UserWarning
        There are less than 5 %, or more under names that are written otherwise.
    """
    adata = mdata.mod[modality]
    n_known = int(reference.isin(adata.var_names).sum())
    renaming = find_renaming(adata.var, reference)
    is_few = n_known < _MIN_KNOWN * len(reference)
    if not is_few and renaming is None:
        return n_known
    text = (
        f"modality {modality!r} of `mdata` has {f'only {n_known:,}' if n_known else 'none'} of the model's "
        f"{len(reference):,} features. It has {shorten(adata.var_names, 3)}, the model {shorten(reference, 3)}. "
    )
    elsewhere = [m for m in mdata.mod if m != modality and reference.isin(mdata.mod[m].var_names).mean() >= _SHARED]
    if renaming:
        text += renaming.advice(modality)
    elif elsewhere:
        text += f"Those are in {shorten(elsewhere)}: name the modalities as in the model."
    else:
        text += "Use the same kind of names: symbols or Ensembl ids, and the same peaks."
    if n_known == 0 or (is_few and renaming):
        raise ValueError(text)
    warn(text)
    return n_known


def _n_found(n_now: int, renaming: Renaming | None) -> int:
    return max(n_now, renaming.n_found if renaming else 0)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_made_of(mdata: MuData, modality: str, features: Features) -> bool:
    """Tell whether scminnet made a modality from one that the model knows."""
    made = mdata.uns.get(modality)
    params = made.get("params") if isinstance(made, Mapping) else None
    if not isinstance(params, Mapping):
        return False
    sources = [params["atac"]] if "atac" in params else list(params.get("modalities", ()))
    return bool(sources) and all(str(source) in features for source in sources)
