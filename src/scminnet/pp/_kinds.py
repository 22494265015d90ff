"""Kind of a modality: genes, peaks or proteins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet._core.arguments import shorten

GENES, PEAKS, PROTEINS = "genes", "peaks", "proteins"

#: Names of modalities by kind, in lower case.
_NAMES = {
    GENES: ("rna", "gex", "expression", "genes", "activity", "gene_activity"),
    PEAKS: ("atac", "peaks", "chromatin"),
    PROTEINS: ("adt", "prot", "protein", "proteins", "ab", "cite"),
}

#: Kinds by the entry of 10x Genomics in ``var["feature_types"]``, in lower case.
_FEATURE_TYPES = {"gene expression": GENES, "gex": GENES, "peaks": PEAKS, "atac": PEAKS, "antibody capture": PROTEINS}


def resolve_kinds(mdata: MuData, modalities: Sequence[str], kinds: Mapping[str, str] | None) -> dict[str, str]:
    """Return the kind of each modality: from the user, else from its feature types, else from its name.

    Parameters
    ----------
    mdata
        The MuData.
    modalities
        Modalities whose kinds are needed. All must be present.
    kinds
        The user's choice by modality, ``"genes"``, ``"peaks"`` or ``"proteins"``. It need not name all modalities.

    Raises
    ------
    ValueError
        ``kinds`` names another modality or kind, a modality's kind is unknown, or it holds features of several kinds.
    """
    given = dict(kinds or {})
    unknown = [m for m in given if m not in modalities]
    wrong = {m: kind for m, kind in given.items() if kind not in _NAMES}
    if unknown or wrong:
        raise ValueError(
            f"`kinds` is {shorten(f'{m}: {kind}' for m, kind in given.items())}. "
            f"Name modalities among {shorten(modalities)}, and one of {shorten(_NAMES)} for each."
        )
    for m in modalities:
        check_one_kind(mdata.mod[m], m)
    found = {m: given.get(m) or infer_kind(mdata.mod[m], m) for m in modalities}
    unknown = [m for m, kind in found.items() if kind is None]
    if unknown:
        raise ValueError(
            f"`kinds`: the kind of modality {shorten(unknown)} is not known from its name. "
            f"Give it, e.g. kinds={{{unknown[0]!r}: 'genes'}} (or 'peaks', 'proteins')."
        )
    return {m: str(kind) for m, kind in found.items()}


def infer_kind(adata: AnnData, modality: str) -> str | None:
    """Return the kind of a modality from its feature types, else from its name. ``None`` if neither is known."""
    types = feature_types(adata).dropna().unique()
    if len(types) == 1 and types[0] in _NAMES:
        return str(types[0])
    return kind_of_name(modality)


def kind_of_name(modality: str) -> str | None:
    """Return the kind that the name of a modality tells, if any."""
    return next((kind for kind, names in _NAMES.items() if modality.lower() in names), None)


def feature_types(adata: AnnData) -> pd.Series:
    """Return for each feature its kind by ``var["feature_types"]``, the text there if it names none, or NaN."""
    if "feature_types" not in adata.var:
        return pd.Series(None, index=adata.var_names, dtype=object)
    texts = adata.var["feature_types"].astype(object)
    texts = texts.where(texts.notna() & (texts.astype(str).str.strip() != ""))
    return texts.map(lambda text: _FEATURE_TYPES.get(str(text).strip().lower(), str(text)), na_action="ignore")


def check_one_kind(adata: AnnData, modality: str) -> None:
    """Raise if a modality holds features of several types, e.g. genes and antibodies."""
    counts = feature_types(adata).value_counts()
    if len(counts) > 1:
        raise ValueError(
            f"modality {modality!r} holds features of several types (var['feature_types']): "
            f"{', '.join(f'{n:,} {kind}' for kind, n in counts.items())}. Split it first, e.g. "
            f"`mudata.MuData(mdata[{modality!r}])` makes each type a modality."
        )
