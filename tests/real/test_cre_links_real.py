from __future__ import annotations

import warnings

import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse, stats

import scminnet as mn

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def bulks(real_data) -> mudata.MuData:
    """About a hundred bulks, each of random cells of one type."""
    mdata = mudata.read_h5mu(real_data / "snareseq_mouse_cortex.h5mu")
    types = mdata.obs["cell_type"].astype(str).to_numpy()
    rng = np.random.default_rng(0)
    codes, n = np.empty(len(types), dtype=int), 0
    for cells in (rng.permutation(np.flatnonzero(types == name)) for name in np.unique(types)):
        k = max(1, round(len(cells) / len(types) * 100))
        codes[cells] = n + np.arange(len(cells)) % k
        n += k
    sums = sparse.csr_matrix((np.ones(len(codes), np.float32), (codes, np.arange(len(codes)))), shape=(n, len(codes)))
    names = [f"bulk_{i}" for i in range(n)]
    modalities = {}
    for modality, adata in mdata.mod.items():
        modalities[modality] = AnnData(sums @ adata.X, obs=pd.DataFrame(index=names), var=adata.var[[]])
        sc.pp.normalize_total(modalities[modality])
        sc.pp.log1p(modalities[modality])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return mudata.MuData(modalities)


def test_genes_moved_to_other_chromosomes_have_uniform_p(bulks, real_data) -> None:
    """No gene is near its own peaks, so no link is true."""
    tss = mn.genomics.read_annotation(real_data / "tss_mm10.bed")
    tss = tss[tss["gene"].isin(bulks["rna"].var_names)].drop_duplicates("gene", ignore_index=True)
    order = np.random.default_rng(0).permutation(len(tss))
    moved = tss.assign(gene=tss["gene"].to_numpy()[order])
    elsewhere = moved["chrom"].to_numpy() != tss["chrom"].to_numpy()[order]
    rates = {}
    for null in ("matched", "theoretical"):
        mn.tl.cre_links(bulks, moved[elsewhere], upstream=100_000, downstream=100_000, null=null)
        links = bulks.uns["cre_links"]
        p = links["p"]
        assert len(p) > 10_000
        rates[null] = stats.kstest(p, "uniform").statistic, (p < 0.05).mean(), (links["fdr"] < 0.1).sum()
    distance, five_percent, n_found = rates["matched"]
    assert distance < 0.03
    assert 0.04 < five_percent < 0.065
    assert n_found <= 3
    assert rates["theoretical"][1] > 0.08
    assert rates["theoretical"][2] > 50


def test_promoters_and_near_peaks_follow_their_gene(bulks, real_data) -> None:
    mn.tl.cre_links(bulks, real_data / "tss_mm10.bed", upstream=100_000, downstream=100_000)
    links = bulks.uns["cre_links"]
    assert links["gene"].nunique() > 1_500
    away = links["distance"].abs()
    assert links.loc[links["promoter"], "z"].mean() > 0.6
    assert links.loc[away < 10_000, "z"].mean() > links.loc[away > 50_000, "z"].mean()
    # more pairs than by chance
    assert (links["p"] < 0.001).mean() > 0.003
