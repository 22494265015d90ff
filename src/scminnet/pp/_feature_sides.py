"""How the features of two modalities are linked: what each measures decides, unless the user says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scminnet._core.arguments import check_choice, shorten
from scminnet.coupling.gene_names import look_like_ids, look_like_intervals, name_keys, spellings, told_organism
from scminnet.coupling.link_tables import link_table
from scminnet.coupling.linking import (
    Linked,
    distinct,
    link_antibodies,
    link_names,
    link_proteins,
    through_genes,
    turned,
)
from scminnet.genomics import parse_intervals, why_no_overlap
from scminnet.genomics.chromosomes import ByChromosome, check_chromosomes, genes_by_chromosome
from scminnet.pp._kinds import GENES, PEAKS, PROTEINS, infer_kind, resolve_kinds
from scminnet.pp._link_peaks import link_peaks

#: Ways to link features.
METHODS = ("names", "antibodies", "peaks", "table")


#: What features lack that a method does not link.
_UNLINKED_BY = {
    "names": "without a namesake",
    "antibodies": "without a protein",
    "peaks": "without a peak near",
    "table": "not in the table",
}
_UNLINKED = {
    ("antibodies", PROTEINS): "without the same antigen",
    ("peaks", PEAKS): "without a gene near",
}


@dataclass
class Side:
    """One of two modalities: its features, all their names, and what they are, if that is known."""

    modality: str
    adata: AnnData
    kind: str | None
    column: str | None

    @property
    def names(self) -> pd.Index:
        """Names of the features."""
        return self.adata.var_names

    @cached_property
    def spelt(self) -> pd.DataFrame:
        """All names of the features; not asked for of peaks, which are many and have one each."""
        return spellings(self.adata, self.column)

    @property
    def noun(self) -> str:
        """What the features are called."""
        return self.kind or "features"


Sides = tuple[Side, Side]


def sides_of(
    mdata: MuData,
    modalities: Sequence[str],
    kinds: Mapping[str, str] | None,
    columns: Mapping[str, str] | None,
    *,
    kinds_needed: bool,
) -> Sides:
    """Collect what is known of two modalities, raising where ``kinds`` or ``name_keys`` name what is not there."""
    columns = dict(columns or {})
    other = [m for m in columns if m not in modalities]
    if other:
        raise ValueError(f"`name_keys` names the modalities {shorten(other)}. Name columns of {shorten(modalities)}.")
    for modality, column in columns.items():
        if column not in mdata.mod[modality].var:
            raise KeyError(
                f"`name_keys` is {column!r} for {modality!r}, which is no column of its var; it has "
                f"[{shorten(mdata.mod[modality].var.columns, 10)}]."
            )
    told: dict[str, str | None] = {m: infer_kind(mdata.mod[m], m) for m in modalities}
    for modality in modalities:
        # the name of a modality may say nothing, those of peaks do
        if told[modality] is None and look_like_intervals(mdata.mod[modality].var_names):
            told[modality] = PEAKS
    known = {m: kind for m, kind in told.items() if kind} | dict(kinds or {})
    if kinds_needed or kinds:
        asked = modalities if kinds_needed else [m for m in modalities if m in known]
        known = resolve_kinds(mdata, asked, known) if asked else known
    first, second = (Side(m, mdata.mod[m], known.get(m), columns.get(m)) for m in modalities)
    return first, second


def asked_methods(method: str | Sequence[str] | None, *, table: bool) -> list[str]:
    """Return the methods that the user asks for, none if what the modalities measure is to decide."""
    if method is None:
        return ["table"] if table else []
    methods = [method] if isinstance(method, str) else list(method)
    if not methods:
        raise ValueError(f"`method` is empty. Choose among {shorten(METHODS)}, or leave it out.")
    for one in methods:
        check_choice(one, METHODS, "method")
    return list(dict.fromkeys(methods))


def default_method(sides: Sides) -> str:
    """Return how features of two kinds are linked."""
    kinds = [side.kind for side in sides]
    if kinds[0] == kinds[1]:
        return "antibodies" if kinds[0] == PROTEINS else "names"
    return "peaks" if PEAKS in kinds else "antibodies"


def check_methods(methods: Sequence[str], sides: Sides, given: Mapping[str, Any]) -> None:
    """Raise when a method lacks what it needs, or ``table`` or ``annotation`` would have no effect."""
    kinds = {side.kind for side in sides}
    what = " and ".join(f"{side.modality!r} ({side.noun})" for side in sides)
    if "antibodies" in methods and PROTEINS not in kinds:
        raise ValueError(
            f"`method` is 'antibodies', but neither of {what} measures proteins. Say which does in `kinds`."
        )
    if "peaks" in methods and (PEAKS not in kinds or len(kinds) == 1):
        raise ValueError(f"`method` is 'peaks', which links peaks to genes or proteins, not {what}. Correct `kinds`.")
    if "antibodies" in methods and PEAKS in kinds:
        raise ValueError(f"`method` is 'antibodies', but {what} are linked by 'peaks', which uses antibodies as well.")
    for argument, method in (("table", "table"), ("annotation", "peaks")):
        if method in methods and given[argument] is None:
            raise ValueError(
                f"`{argument}` is missing: {what} are linked by {method!r}. "
                + (
                    "Give your table of links."
                    if argument == "table"
                    else "Give the genes' transcription start sites, e.g. the path of a GTF file."
                )
            )
        if method not in methods and given[argument] is not None:
            raise ValueError(
                f"`{argument}` is given, but {what} are linked by {shorten(methods)}. Leave it out, or add "
                f"{method!r} to `method`."
            )


def check_side_chromosomes(sides: Sides, starts: pd.DataFrame) -> None:
    """Check that peaks and annotation name chromosomes alike; to be called by the public function."""
    for side in sides:
        if side.kind == PEAKS:
            chroms = parse_intervals(side.adata.var, argument=f"mdata[{side.modality!r}].var")["chrom"]
            peaks = ByChromosome.of("peaks", "peaks", chroms)
            check_chromosomes(peaks, genes_by_chromosome(starts), argument="annotation")


def told_organism_of(sides: Sides, starts: pd.DataFrame | None) -> str:
    """Return whose genes the modalities have; human where names do not tell."""
    tables = [side.spelt for side in sides if side.kind == GENES]
    if not tables and starts is not None:
        tables = [pd.DataFrame({"name": starts["gene"].astype(str)})]
    return next((told for told in map(told_organism, tables) if told), "human")


def link(
    methods: Sequence[str],
    sides: Sides,
    *,
    table: pd.DataFrame | None,
    starts: pd.DataFrame | None,
    organism: str,
    windows: Mapping[str, Any],
) -> Linked:
    """Link two modalities by one or more methods; of several, a pair keeps its largest weight."""
    first, second = sides
    ways: dict[str, Callable[[], Linked]] = {
        "names": lambda: link_names(first.spelt, second.spelt),
        "antibodies": lambda: _by_antibodies(sides, organism),
        "peaks": lambda: _by_peaks(sides, starts, organism, windows),
        "table": lambda: link_table(_given(table), (first.spelt, second.spelt), (first.names, second.names)),
    }
    linked = [ways[method]() for method in methods]
    pairs = linked[0].pairs
    if len(linked) > 1:
        pairs = distinct(pd.concat([one.pairs for one in linked], ignore_index=True))
    reasons: list[dict[int, tuple[str, str]]] = []
    for side, column in ((0, "first"), (1, "second")):
        found = {i: why for one in linked for i, why in one.reasons[side].items()}
        has = set(pairs[column])
        rest = (_UNLINKED.get((methods[0], sides[side].noun), _UNLINKED_BY[methods[0]]), "")
        n = len(sides[side].names)
        reasons.append({i: found.get(i, rest) for i in range(n) if i not in has})
    return Linked(pairs, (reasons[0], reasons[1]))


def _given(table: pd.DataFrame | None) -> pd.DataFrame:
    if table is None:
        raise ValueError("`table` is missing. Give your table of links.")
    return table


def _by_antibodies(sides: Sides, organism: str) -> Linked:
    first, second = sides
    if first.kind == second.kind:
        return link_proteins(first.names, second.names, organism)
    if first.kind == PROTEINS:
        return link_antibodies(first.names, second.spelt, organism)
    return turned(link_antibodies(second.names, first.spelt, organism))


def _by_peaks(sides: Sides, starts: pd.DataFrame | None, organism: str, windows: Mapping[str, Any]) -> Linked:
    first, second = sides
    if first.kind != PEAKS:
        return turned(_by_peaks((second, first), starts, organism, windows))
    annotated = _given(starts)
    argument = f"mdata[{first.modality!r}].var"
    if second.kind != PROTEINS:
        return link_peaks(first.adata.var, annotated, second.spelt, argument=argument, **windows)
    # the genes of the annotation are what peaks and proteins have in common
    genes = pd.Index(annotated["gene"].astype(str)).unique()
    spelt = pd.DataFrame({"feature": range(len(genes)), "name": genes, "key": genes.str.upper()})
    encoded = link_antibodies(second.names, spelt, organism)
    wanted = spelt[spelt["feature"].isin(encoded.pairs["second"])]
    near = link_peaks(first.adata.var, annotated, wanted, argument=argument, **windows)
    return through_genes(near, encoded, len(genes), (len(first.names), len(second.names)))


def hint(methods: Sequence[str], sides: Sides, starts: pd.DataFrame | None, organism: str, linked: Linked) -> str:
    """Tell what may be wrong with features that hardly link, as the last sentences of an error."""
    if "table" in methods:
        return "Check that the columns of `table` hold the names of these features."
    genes = [side for side in sides if side.kind == GENES]
    if {told_organism(side.spelt) for side in genes} >= {"human", "mouse"}:
        return "The genes of one look human, those of the other mouse. Give a `table` of orthologous genes."
    if "antibodies" in methods:
        return _hint_for_antibodies(sides, organism, linked)
    if "peaks" in methods and starts is not None:
        peaks = next(side for side in sides if side.kind == PEAKS)
        if linked.pairs.empty and _has_genes_of(starts, genes):
            chroms = parse_intervals(peaks.adata.var)["chrom"]
            return why_no_overlap(chroms, starts).replace("`tss`", "`annotation`")
        return "Check that `annotation` names genes as the data do, and select more features if few were kept."
    return "Check their names, name a column of var in `name_keys`, or give a `table` of links."


def _hint_for_antibodies(sides: Sides, organism: str, linked: Linked) -> str:
    for side, reasons in zip(sides, linked.reasons, strict=True):
        if side.kind == GENES and look_like_ids(pd.Index(side.spelt["name"].iloc[::-1])):
            return (
                f"The genes of {side.modality!r} are named by ids only. Put their symbols into "
                f"mdata[{side.modality!r}].var['gene_name']."
            )
        foreign = [why for why, _ in reasons.values() if why.startswith("antibody against")]
        if side.kind == PROTEINS and len(foreign) > len(side.names) / 2:
            return (
                f"Most proteins have an {foreign[0]}, but the genes are those of {organism}. "
                "Set `organism` if that is wrong."
            )
    return "Give a `table` of the proteins and their genes, or keep more genes."


def _has_genes_of(starts: pd.DataFrame, genes: Sequence[Side]) -> bool:
    """Tell whether the annotation has any gene of the modalities; where none measures genes, it has what there is."""
    columns = [starts[column] for column in ("gene", "gene_id") if column in starts]
    keys = {key for column in columns for key in name_keys(column)}
    return not genes or any(keys & set(side.spelt["key"]) for side in genes)
