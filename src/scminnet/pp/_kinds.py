"""Kind of a modality: genes, peaks or proteins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
        ``kinds`` names another modality or kind, or a modality's kind is unknown.
    """
    given = dict(kinds or {})
    unknown = [m for m in given if m not in modalities]
    wrong = {m: kind for m, kind in given.items() if kind not in _NAMES}
    if unknown or wrong:
        raise ValueError(
            f"`kinds` is {shorten(f'{m}: {kind}' for m, kind in given.items())}. "
            f"Name modalities among {shorten(modalities)}, and one of {shorten(_NAMES)} for each."
        )
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
    if "feature_types" in adata.var:
        types = adata.var["feature_types"].astype(str).str.lower().unique()
        if len(types) == 1 and types[0] in _FEATURE_TYPES:
            return _FEATURE_TYPES[types[0]]
    return next((kind for kind, names in _NAMES.items() if modality.lower() in names), None)
