"""Links between features of two modalities that measure the same gene."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice, check_count, check_positive, shorten
from scminnet._core.compat import mudata_0_4_behaviour
from scminnet._core.logging import logger
from scminnet._core.mdata import check_copyable, check_modalities, check_mudata, check_not_view, copied
from scminnet._core.user_warnings import warn
from scminnet.coupling.antibodies import ORGANISMS
from scminnet.coupling.feature_links import FEATURE_LINKS_KEY, stored_links, with_pair
from scminnet.coupling.gene_names import told_organism
from scminnet.coupling.link_tables import read_table
from scminnet.coupling.linking import Linked, count_reasons
from scminnet.genomics import check_annotation
from scminnet.pp._feature_sides import (
    Sides,
    asked_methods,
    check_methods,
    check_side_chromosomes,
    default_method,
    hint,
    link,
    sides_of,
    told_organism_of,
)
from scminnet.pp._kinds import GENES, PEAKS, PROTEINS

#: Fewer features than these on either side, or a smaller share on both, couple nothing.
MIN_LINKED, MIN_SHARE = 3, 0.02


@check_types
def feature_links(
    mdata: MuData,
    first: str,
    second: str,
    *,
    table: pd.DataFrame | str | os.PathLike[str] | None = None,
    annotation: pd.DataFrame | str | os.PathLike[str] | None = None,
    method: str | Sequence[str] | None = None,
    kinds: Mapping[str, str] | None = None,
    organism: str | None = None,
    name_keys: Mapping[str, str] | None = None,
    upstream: int = 10_000,
    downstream: int = 10_000,
    gene_body: bool | None = None,
    decay: float | None = 5000,
    key_added: str = FEATURE_LINKS_KEY,
    copy: bool = False,
) -> MuData | None:
    """Link the features of two modalities that measure the same gene, so that cells can be coupled without pairs.

    What the modalities measure decides how they are linked:

    - Genes to genes: by name. Symbols are compared without letter case, Ensembl ids without version.
    - Proteins to genes: by a table of antibodies that ships with scminnet.
    - Peaks to genes: by the genes' windows in ``annotation``.
    - Proteins to peaks: by both, through the genes.
    - Proteins to proteins: by antigen.

    Parameters
    ----------
    mdata
        Annotated data. Values are not read, so counts and normalised values are both fine. Link after selecting
        features.
    first, second
        Two modalities. Their order does not matter to the coupling.
    table
        Your own links: a table, or the path of a ``.tsv``, ``.txt`` or ``.csv`` file (also with ``.gz``) with a line of
        column names. Columns named ``first`` and ``second`` (the modalities' names) are taken, otherwise the first two,
        in either order. A column ``weight`` is optional. Rows of features that are not measured are left out.
    annotation
        Transcription start sites, needed for peaks: the table of :func:`scminnet.genomics.read_annotation`, or what
        that reads.
    method
        One or more of ``"names"``, ``"antibodies"``, ``"peaks"`` and ``"table"``. Of several, a pair keeps its largest
        weight. ``None``: ``"table"`` where a table is given, otherwise by what the modalities measure.
    kinds
        What modalities measure, ``"genes"``, ``"peaks"`` or ``"proteins"``. Needed where neither
        ``var["feature_types"]`` nor the modality's name tells.
    organism
        ``"human"`` or ``"mouse"``, for antibodies. ``None``: read from the names of the genes; human if these do not
        tell.
    name_keys
        Column of ``var`` with the names of genes, by modality. ``None``: ``var_names`` and common columns such as
        ``gene_ids`` and ``gene_name``.
    upstream, downstream
        Bases of a gene's window before its transcript starts, and from there on. As in :func:`gene_activity`. The
        defaults are wider here and have a decay, because sparse data need more peaks a gene.
    gene_body
        Whether windows reach to the end of the gene. ``None``: where ``annotation`` has ``start`` and ``end``.
    decay
        Distance in bases at which a peak's weight halves. As in :func:`gene_activity`: 1 at the transcript start and,
        with ``gene_body``, in the gene. ``None``: no decay.
    key_added
        Key of ``mdata.uns``.
    copy
        Return a changed copy and leave ``mdata`` as it is.

    Returns
    -------
    ``None``, or the copy. Written, for ``key = key_added``:

    ``mdata.uns[key]``
        One row a link: ``first``, ``second`` (modalities), ``first_feature``, ``second_feature``, ``weight`` (float32)
        and ``source`` (``"name"``, ``"antibody"``, ``"peak"`` or ``"table"``). Links of other modalities are kept,
        those of the same two replaced. Read it as a matrix with
        :func:`scminnet.coupling.feature_links.read_feature_links`.
    ``mdata.uns[key + "_report"]["pairs"]``
        One row a call: how many features of either modality are linked, the methods, parameters and the line that was
        logged.
    ``mdata.uns[key + "_report"]["left_out"]``
        One row a feature without a link: ``modality``, ``other`` (what it was to be linked to), ``feature``, ``reason``
        and ``detail``, e.g. the genes of an antibody that are not measured.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData, or ``table`` or ``annotation`` is neither table nor path.
    FileNotFoundError
        ``table`` or ``annotation`` is the path of no file.
    KeyError
        ``name_keys`` names no column of ``var``.
    ValueError
        A modality is not there, given twice, or has repeated names; what it measures is not known; an argument is
        missing, has no effect or is out of its range; ``table`` has no two columns, or weights that are negative or
        NaN; peaks and ``annotation`` have no chromosome name in common, or those that hold under 5 % of either; fewer
        than 3 features of a modality, or under 2 % of both, are linked.

    Warns
    -----
    UserWarning
        The genes of two modalities look like those of two organisms. Shared chromosomes hold less than half of the
        peaks and of the genes, or renaming them would help.

    Notes
    -----
    A weight tells how well one feature stands for the other, from 0 to 1 (a user's may be larger). Weights are not
    divided among the genes of a complex: CD3 has the weight 1 for each of *CD3D*, *CD3E* and *CD3G*. An antibody
    against an isoform (CD45RA, CD45RO) has 0.1, because the gene's expression does not tell isoforms apart. A
    carbohydrate (CD15, CD57) has 0.3 for its enzyme.

    Whether linked features vary between cells is not looked at here; the coupling leaves out constant ones.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(100, n_genes=60, n_peaks=200)
    >>> mn.pp.feature_links(mdata, "rna", "atac", annotation=mdata["rna"].var.rename_axis("gene").reset_index())
    >>> list(mdata.uns["feature_links"].columns)
    ['first', 'second', 'first_feature', 'second_feature', 'weight', 'source']
    """
    check_mudata(mdata)
    check_not_view(mdata)
    check_copyable(mdata, copy=copy)
    check_modalities(mdata, [first], "first")
    check_modalities(mdata, [second], "second")
    if first == second:
        raise ValueError(f"`second` is {second!r}, the same modality as `first`. Name two different modalities.")
    for value, argument in ((upstream, "upstream"), (downstream, "downstream")):
        check_count(value, argument, minimum=0)
    if decay is not None:
        check_positive(decay, "decay")
    if organism is not None:
        check_choice(organism, ORGANISMS, "organism")
    methods = asked_methods(method, table=table is not None)
    kinds_needed = not methods or bool({"antibodies", "peaks"} & set(methods))
    sides = sides_of(mdata, [first, second], kinds, name_keys, kinds_needed=kinds_needed)
    methods = methods or [default_method(sides)]
    check_methods(methods, sides, {"table": table, "annotation": annotation})
    starts, windows = None, {}
    if annotation is not None:
        windows = {"upstream": upstream, "downstream": downstream, "gene_body": bool(gene_body), "decay": decay}
        starts = check_annotation(annotation, body=bool(gene_body), argument="annotation")
        if gene_body is None and {"start", "end"} <= set(starts.columns):
            starts = check_annotation(starts, body=True, argument="annotation")
            windows["gene_body"] = True
        if not (upstream or downstream or windows["gene_body"]):
            raise ValueError(
                "`upstream` and `downstream` are 0, so windows are empty. Raise one, or set `gene_body=True`."
            )
        check_side_chromosomes(sides, starts)
    own = None if table is None else read_table(table, first, second)
    if key_added in mdata.uns:
        stored_links(mdata, key_added)

    species = organism or told_organism_of(sides, starts)
    linked = link(methods, sides, table=own, starts=starts, organism=species, windows=windows)
    _check_enough(linked, sides, methods, hint(methods, sides, starts, species, linked))
    _warn_of_organisms(methods, sides)
    line = _line(linked, sides)
    logger.info("%s", line)

    params = {"organism": species, **windows, "name_keys": dict(name_keys or {})}
    summary = _summary(linked, sides) | {"methods": ", ".join(methods), "params": json.dumps(params), "line": line}
    links = with_pair(mdata, key_added, _rows(linked, sides), first, second)
    report = _report(mdata.uns.get(f"{key_added}_report"), summary, _left_out(linked, sides))
    with mudata_0_4_behaviour():
        result = copied(mdata) if copy else mdata
    result.uns[key_added] = links
    result.uns[f"{key_added}_report"] = report
    return result if copy else None


def _check_enough(linked: Linked, sides: Sides, methods: Sequence[str], advice: str) -> None:
    """Raise when hardly any features are linked."""
    numbers = [linked.pairs[column].nunique() for column in ("first", "second")]
    shares = [n / len(side.names) for n, side in zip(numbers, sides, strict=True)]
    if min(numbers) >= MIN_LINKED and max(shares) >= MIN_SHARE:
        return
    found = " and ".join(
        f"{n:,} of {len(side.names):,} {side.noun} of {side.modality!r}" for n, side in zip(numbers, sides, strict=True)
    )
    examples = "; ".join(f"{side.modality!r} has {shorten(side.names.astype(str), 3)}" for side in sides)
    raise ValueError(
        f"`first`, `second`: only {found} are linked by {shorten(methods)}. At least {MIN_LINKED} of each and "
        f"{MIN_SHARE:.0%} of one are needed. "
        f"{examples}. {advice}"
    )


def _warn_of_organisms(methods: Sequence[str], sides: Sides) -> None:
    """Warn when names are compared between two organisms; to be called by the public function."""
    told = [told_organism(side.spelt) for side in sides if side.kind in (GENES, None)]
    if "names" in methods and set(told) >= {"human", "mouse"}:
        warn(
            f"The genes of {sides[0].modality!r} look like {told[0]} genes, those of {sides[1].modality!r} like "
            f"{told[1]} genes. They are linked "
            "by symbol, which finds orthologous genes only where both organisms use the same symbol. Give a "
            "`table` of orthologous genes."
        )


def _summary(linked: Linked, sides: Sides) -> dict[str, Any]:
    return {
        "first": sides[0].modality,
        "second": sides[1].modality,
        "n_first": len(sides[0].names),
        "n_first_linked": linked.pairs["first"].nunique(),
        "n_second": len(sides[1].names),
        "n_second_linked": linked.pairs["second"].nunique(),
        "n_links": len(linked.pairs),
    }


def _line(linked: Linked, sides: Sides) -> str:
    """Say in one line what was linked, from the proteins' or peaks' side, and why the rest of these was not."""
    rank = {PROTEINS: 0, PEAKS: 1}
    of, to = sorted((0, 1), key=lambda i: rank.get(str(sides[i].kind), 2))
    columns = ("first", "second")
    n_of, n_to = linked.pairs[columns[of]].nunique(), linked.pairs[columns[to]].nunique()
    text = (
        f"{sides[of].modality} to {sides[to].modality}: {n_of:,} of {len(sides[of].names):,} {sides[of].noun} "
        f"linked to {n_to:,} "
        f"{sides[to].noun}"
    )
    left = linked.reasons[of]
    why = count_reasons(left, sides[of].names, examples=sides[of].kind != PEAKS)
    return f"{text}; left out: {why}" if left else text


def _rows(linked: Linked, sides: Sides) -> pd.DataFrame:
    # categories: as many texts as features, not as links
    features = [
        pd.Categorical.from_codes(linked.pairs[column], side.names.astype(str)).remove_unused_categories()
        for column, side in zip(("first", "second"), sides, strict=True)
    ]
    n = len(linked.pairs)
    return pd.DataFrame(
        {
            "first": pd.Categorical([sides[0].modality] * n),
            "second": pd.Categorical([sides[1].modality] * n),
            "first_feature": features[0],
            "second_feature": features[1],
            "weight": linked.pairs["weight"].to_numpy(np.float32),
            "source": pd.Categorical(linked.pairs["source"]),
        }
    )


def _left_out(linked: Linked, sides: Sides) -> pd.DataFrame:
    """Return one row a feature without a link."""
    parts = []
    for i in (0, 1):
        at = sorted(linked.reasons[i])
        why = [linked.reasons[i][j] for j in at]
        names = sides[i].names.astype(str).to_numpy(object)[at]
        columns = {"modality": sides[i].modality, "other": sides[1 - i].modality, "feature": names}
        parts.append(pd.DataFrame(columns | {"reason": [r for r, _ in why], "detail": [d for _, d in why]}))
    return pd.concat(parts, ignore_index=True)


def _report(stored: Any, summary: dict[str, Any], left_out: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what is reported of all pairs of modalities, that of one pair replaced."""
    pairs = pd.DataFrame([summary])
    both = {summary["first"], summary["second"]}
    if isinstance(stored, Mapping) and {"pairs", "left_out"} <= set(stored):
        before, features = stored["pairs"], stored["left_out"]
        others = [{a, b} != both for a, b in zip(before["first"], before["second"], strict=True)]
        pairs = pd.concat([before[others], pairs], ignore_index=True)
        others = [{a, b} != both for a, b in zip(features["modality"], features["other"], strict=True)]
        left_out = pd.concat([features[others].astype(str), left_out], ignore_index=True)
    return {"pairs": pairs, "left_out": left_out.astype("category")}
