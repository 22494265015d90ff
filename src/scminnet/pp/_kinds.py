"""What a modality measures: genes, peaks or proteins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anndata import AnnData
from mudata import MuData

from scminnet._core.arguments import shorten

GENES, PEAKS, PROTEINS = "genes", "peaks", "proteins"

#: What modalities of these names measure, in lower case.
_NAMES = {
    GENES: ("rna", "gex", "expression", "genes", "activity", "gene_activity"),
    PEAKS: ("atac", "peaks", "chromatin"),
    PROTEINS: ("adt", "prot", "protein", "proteins", "ab", "cite"),
}

#: What 10x Genomics writes into ``var["feature_types"]``, in lower case.
_FEATURE_TYPES = {"gene expression": GENES, "gex": GENES, "peaks": PEAKS, "atac": PEAKS, "antibody capture": PROTEINS}


def resolve_kinds(mdata: MuData, modalities: Sequence[str], kinds: Mapping[str, str] | None) -> dict[str, str]:
    """Return what each modality measures: as the user says, or by its feature types, or by its name.

    Parameters
    ----------
    mdata
        The MuData.
    modalities
        Modalities asked for, all of them there.
    kinds
        The user's word, ``"genes"``, ``"peaks"`` or ``"proteins"`` by modality; need not name all.

    Raises
    ------
    ValueError
        ``kinds`` names another modality or kind, or a modality's kind cannot be told.
    """
    given = dict(kinds or {})
    unknown = [m for m in given if m not in modalities]
    wrong = {m: kind for m, kind in given.items() if kind not in _NAMES}
    if unknown or wrong:
        raise ValueError(
            f"`kinds` says {shorten(f'{m}: {kind}' for m, kind in given.items())}. Name modalities among {shorten(modalities)} "
            f"and one of {shorten(_NAMES)} for each."
        )
    found = {m: given.get(m) or told_kind(mdata.mod[m], m) for m in modalities}
    untold = [m for m, kind in found.items() if kind is None]
    if untold:
        raise ValueError(
            f"`kinds`: what modality {shorten(untold)} measures cannot be told from its name. "
            f"Say so, e.g. kinds={{{untold[0]!r}: 'genes'}} (or 'peaks', 'proteins')."
        )
    return {m: str(kind) for m, kind in found.items()}


def told_kind(adata: AnnData, modality: str) -> str | None:
    """Return what a modality measures by its feature types, else by its name; ``None`` where neither tells."""
    if "feature_types" in adata.var:
        types = adata.var["feature_types"].astype(str).str.lower().unique()
        if len(types) == 1 and types[0] in _FEATURE_TYPES:
            return _FEATURE_TYPES[types[0]]
    return next((kind for kind, names in _NAMES.items() if modality.lower() in names), None)
