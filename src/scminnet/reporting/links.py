"""The section on links of genes and peaks."""

from __future__ import annotations

from mudata import MuData

from scminnet import pl
from scminnet.reporting.page import Section, picture, table

#: Most links that are listed, and genes whose arcs are drawn.
MAX_ROWS, MAX_GENES = 20, 3


def linked(bulks: MuData | None, key: str) -> Section | None:
    """Show the strongest links of genes and peaks, and the arcs of the first genes."""
    if bulks is None or key not in bulks.uns or bulks.uns[key].empty:
        return None
    links = bulks.uns[key]
    tested = links["fdr"].notna().any()
    scored = "score" in links and links["score"].notna().any()
    best = links.assign(best=-(links["score"] if scored else links["r"].abs()))
    order = best.sort_values("best" if scored else ["fdr", "p", "best"], kind="stable")
    shown = ["gene", "peak", "distance", *(["score"] if scored else []), "r", "p", "fdr", "group"]
    top = order.head(MAX_ROWS)[shown]
    n = int((links["fdr"] <= 0.05).sum())
    text = [
        f"{len(links):,} pairs of {links['gene'].nunique():,} genes and peaks near them were correlated over bulks."
    ]
    text.append(
        f"{n:,} have a false discovery rate (FDR) of at most 0.05."
        if tested
        else "They were not tested. The strongest are shown."
    )
    section = Section("links", "Links of genes and peaks", text, [table(top, f"The first {len(top)} links", digits=2)])
    params = bulks.uns.get(f"{key}_info", {}).get("params", {})
    names = {"rna": params.get("rna", "rna"), "atac": params.get("atac", "atac")}
    for gene, group in order[["gene", "group"]].drop_duplicates("gene").head(MAX_GENES).itertuples(index=False):
        axes = pl.links(bulks, str(gene), group=str(group), key=key, **names)
        caption = (
            f"Links of {gene}. An arc leads from the gene's start to a peak, and is as high as their correlation r. "
            "Below: the gene, accessibility and expression."
        )
        section.parts.append(picture(axes.arcs, f"Links of {gene} on the genome", caption))
    return section
