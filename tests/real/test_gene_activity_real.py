from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest

import scminnet as mn

pytestmark = pytest.mark.real


def test_genes_of_the_snareseq_source(real_data):
    mdata = mudata.read_h5mu(real_data / "snareseq_mouse_cortex.h5mu")
    tss = mn.genomics.read_annotation(real_data / "tss_mm10.bed")
    source = pd.Series(mdata["atac"].var["gxr_gene"].astype(str).unique())
    # the others have another name in the annotation
    known = source[source.isin(tss["gene"])]
    assert len(source) == 1674
    assert len(known) == 1611

    agreeing = {}
    for upstream, downstream in ((2_000, 0), (50_000, 50_000)):
        found = mn.pp.gene_activity(mdata, tss, upstream=upstream, downstream=downstream, copy=True)
        agreeing[upstream] = int(known.isin(found["activity"].var_names).sum())
    # the source counted peaks over the gene's whole body, the annotation has starts only: the wide window stands in for it
    assert agreeing[2_000] >= 1306
    assert agreeing[50_000] >= 1603


def test_activity_follows_expression(real_data):
    mdata = mudata.read_h5mu(real_data / "pbmc_multiome_chr1slice.h5mu")
    mn.pp.gene_activity(mdata, real_data / "genes_hg38.bed", gene_body=True)
    rna, activity = mdata["rna"], mdata["activity"]
    genes = rna.var_names.intersection(activity.var_names)
    assert len(genes) >= 39
    # of the 45 genes, 42 are in the annotation
    values = [adata[:, genes].to_df().loc[mdata.obs_names].to_numpy() for adata in (rna, activity)]
    of_gene = [np.corrcoef(np.log1p(x), np.log1p(a))[0, 1] for x, a in zip(values[0].T, values[1].T, strict=True)]
    assert np.median(of_gene) > 0.15
    assert np.mean(np.array(of_gene) > 0) > 0.9
