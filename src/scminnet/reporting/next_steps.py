"""The section on what to do next, by what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mudata import MuData

from scminnet._core.keys import EMBEDDING_KEY, UNASSIGNED
from scminnet.coupling.gene_names import look_like_intervals
from scminnet.pl._points import MODALITY
from scminnet.reporting.page import Section
from scminnet.reporting.sections import PROBLEMS

if TYPE_CHECKING:
    from scminnet.model import Diagnosis

#: Share of unassigned cells that is worth a step.
MANY_LEFT = 0.1

#: A quantile of `transfer_labels` that leaves few cells out.
HIGH_QUANTILE = 0.99


def next_steps(
    mdata: MuData,
    modalities: Sequence[str],
    use_rep: str,
    diagnosis: Diagnosis | None,
    labels_key: str | None,
    transfers: Mapping[str, Mapping[str, Any]],
    bulks: MuData | None,
    links_key: str,
    *,
    has_embedding: bool,
) -> Section:
    """Say what to do next. The code names the user's own modalities, columns, features and genes."""
    steps: list[tuple[str, str]] = []
    if diagnosis is not None and diagnosis.verdict in PROBLEMS:
        causes = diagnosis.table["verdict"].isin(PROBLEMS) & diagnosis.is_cause()
        first = "Look at the possible causes" if causes.any() else "Find out why these cells differ from the reference"
        steps.append((f"{first} before you use labels or pairs of these cells.", ""))
    if has_embedding:
        steps += _of_cells(mdata, modalities, use_rep, labels_key, transfers, has_links=bulks is not None)
    if bulks is not None and links_key in bulks.uns:
        genes = bulks.uns[links_key]["gene"]
        if len(genes):
            steps.append(("Look at the links of other genes:", f"mn.pl.links(bulks, {str(genes.iloc[-1])!r})"))
        steps.append(("Export the links for a genome browser:", 'mn.tl.export_links(bulks, "links.bedpe")'))
    named = [name for name, given in (("mdata", has_embedding), ("bulks", bulks is not None)) if given]
    text = [f"The code needs import scminnet as mn, and these data as {' and '.join(named)}."]
    return Section("next", "What to do next", text if any(code for _, code in steps) else [], steps=steps)


def _of_cells(
    mdata: MuData,
    modalities: Sequence[str],
    use_rep: str,
    labels_key: str | None,
    transfers: Mapping[str, Mapping[str, Any]],
    *,
    has_links: bool,
) -> list[tuple[str, str]]:
    """Return the steps on labels, genes, pairs and links."""
    steps = []
    rep = "" if use_rep == EMBEDDING_KEY else f", use_rep={use_rep!r}"
    for key, entry in transfers.items():
        label = mdata.mod[entry["target"]].obs[key].astype(str)
        left = float((label == entry["params"].get("unassigned", UNASSIGNED)).mean())
        if left > MANY_LEFT and entry["params"].get("quantile", 0) < HIGH_QUANTILE:
            given = ", ".join(map(repr, (entry["source"], entry["target"], entry["params"]["labels_key"])))
            text = f"{100 * left:.0f} % of the {entry['target']} cells are unassigned. To name more of them:"
            steps.append((text, f"mn.tl.transfer_labels(mdata, {given}, quantile={HIGH_QUANTILE}{rep})"))
    both = ", ".join(map(repr, modalities[:2])) if len(modalities) > 1 else ""
    if both and labels_key is None and not transfers:
        text = f"Annotate the {modalities[0]} cells, and transfer their labels:"
        steps.append((text, f'mn.tl.transfer_labels(mdata, {both}, "cell_type"{rep})'))
    genes = [m for m in modalities if not look_like_intervals(mdata.mod[m].var_names)]
    if genes:
        labels = labels_key or next(iter(transfers), MODALITY)
        code = f"mn.pl.embedding(mdata, color={[labels, f'{genes[0]}:{mdata.mod[genes[0]].var_names[0]}']}{rep})"
        steps.append(("Look at a gene or another feature in the embedding:", code))
    if both:
        steps.append(("Pair cells of two modalities:", f"mn.tl.match_cells(mdata, {both}{rep})"))
    if not has_links and genes and len(genes) < len(modalities):
        peaks = next(m for m in modalities if m not in genes)
        names = "" if (genes[0], peaks) == ("rna", "atac") else f", rna={genes[0]!r}, atac={peaks!r}"
        groupby: Any = labels_key
        for key, entry in transfers.items():
            if {entry["source"], entry["target"]} == {genes[0], peaks}:
                groupby = {entry["source"]: entry["params"]["labels_key"], entry["target"]: key}
        code = f"bulks = mn.tl.minibulk(mdata, groupby={groupby!r}{rep})\n"
        code += f'mn.tl.cre_links(bulks, tss="genes.gtf.gz"{names})'
        steps.append(("Link genes and peaks over bulks of similar cells:", code))
    return steps
