from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from mudata import MuData
from scipy import sparse, stats

from scminnet.datasets import simulate_multiome

N_BULKS = 60
N_GENES = 5


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def text_apart() -> Callable[[Figure], None]:
    """Check that no two texts of a figure overlap and none is cut off."""

    def check(figure: Figure) -> None:
        figure.canvas.draw()
        beyond = set()
        for axis in (a for axes in figure.findobj(Axes) for a in (axes.xaxis, axes.yaxis)):
            low, high = sorted(axis.get_view_interval())
            # not drawn
            ticks = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
            beyond |= {label for tick in ticks for label in (tick.label1, tick.label2)}
        texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and t not in beyond]
        boxes = [text.get_window_extent() for text in texts]
        for i, (text, box) in enumerate(zip(texts, boxes, strict=True)):
            assert figure.bbox.padded(1).contains(*box.min), text
            assert figure.bbox.padded(1).contains(*box.max), text
            # boxes hold the space above and below the letters
            others = [o for o, its in zip(texts[:i], boxes[:i], strict=True) if box.shrunk(0.95, 0.8).overlaps(its)]
            assert not others, text

    return check


def summed(mdata: MuData, types: pd.Series, n_bulks: int, conditions: tuple[str, ...]) -> MuData:
    """Bulks of the cells of one type each, in the format of `tl.minibulk`, with conditions in turn."""
    order = np.argsort(types.to_numpy(str), kind="stable")
    bulk = np.empty(len(order), dtype=int)
    bulk[order] = np.arange(len(order)) * n_bulks // len(order)
    member = sparse.csr_matrix((np.ones(len(bulk), np.float32), (bulk, np.arange(len(bulk)))))
    names = [f"bulk_{i}" for i in range(n_bulks)]
    parts = {}
    for m, adata in mdata.mod.items():
        counts = sparse.csr_matrix(member @ adata.X)
        parts[m] = AnnData(
            counts.copy(), obs=pd.DataFrame(index=names), var=adata.var.copy(), layers={"counts": counts}
        )
        sc.pp.normalize_total(parts[m])
        sc.pp.log1p(parts[m])
    bulks = MuData(parts)
    bulks.obs["cell_type"] = types.groupby(bulk).first().to_numpy(str)
    bulks.obs["condition"] = pd.Categorical(
        [conditions[i % len(conditions)] for i in range(n_bulks)], categories=conditions
    )
    for m in mdata.mod:
        bulks.obs[f"n_cells_{m}"] = np.bincount(bulk)
    bulks.uns["minibulk"] = {"params": {"groupby": "cell_type"}}
    return bulks


def linked(bulks: MuData, genes: list[str]) -> pd.DataFrame:
    """Links of some genes in the format of `tl.cre_links`; the p values serve as FDR."""
    rna, atac = bulks["rna"], bulks["atac"]
    rows = []
    for gene in genes:
        place = rna.var.loc[gene]
        forward = place["strand"] == "+"
        for peak, at in atac.var[atac.var["chrom"].astype(str) == place["chrom"]].iterrows():
            distance = ((at["start"] + at["end"]) // 2 - place["tss"]) * (1 if forward else -1)
            if not -150_000 <= distance <= place["end"] - place["start"]:
                continue
            r, p = stats.spearmanr(rna[:, gene].X.toarray()[:, 0], atac[:, peak].X.toarray()[:, 0])
            rows.append(
                {
                    "gene": gene,
                    "peak": peak,
                    "chrom": place["chrom"],
                    "start": at["start"],
                    "end": at["end"],
                    "tss": place["tss"],
                    "strand": place["strand"],
                    "distance": distance,
                    "promoter": -2_000 <= distance <= 0,
                    "r": r,
                    "z": r,
                    "p": p,
                    "fdr": p,
                    "n_bulks": bulks.n_obs,
                    "group": "all",
                }
            )
    return pd.DataFrame(rows).dropna(subset="r", ignore_index=True)


@pytest.fixture(scope="session")
def linked_bulks() -> MuData:
    """60 bulks of 3 types and 3 conditions, with the links of five genes; not to be changed."""
    mdata = simulate_multiome(900, n_types=3, n_genes=60, n_peaks=300, seed=1)
    bulks = summed(mdata, mdata.obs["cell_type"], N_BULKS, ("healthy", "moderate", "critical"))
    with_links = mdata.uns["regulation"]["gene"].value_counts().index[:N_GENES]
    bulks.uns["cre_links"] = linked(bulks, list(with_links))
    bulks.uns["cre_links_info"] = {
        "params": {},
        "genes_left_out": pd.DataFrame({"gene": ["gene_lost"], "reason": ["no peak in its window"]}),
    }
    return bulks


@pytest.fixture
def bulks(linked_bulks: MuData) -> MuData:
    return linked_bulks.copy()
