"""From raw counts to a model on real files: the steps of the preparation tutorial."""

from __future__ import annotations

from pathlib import Path

import mudata
import numpy as np
import pytest
import torch

import scminnet as mn

pytestmark = pytest.mark.real


def test_mouse_cortex_from_counts_to_a_trained_model(real_data: Path) -> None:
    mdata = mudata.read_h5mu(real_data / "snareseq_mouse_cortex.h5mu")
    n_before = mdata.n_obs
    mn.pp.filter_cells(mdata, {"rna": {"n_features": (30, 2000)}, "atac": {"total_counts": (40, 20_000)}})
    assert 0.5 * n_before < mdata.n_obs < n_before
    mn.pp.gene_activity(mdata, mn.genomics.read_annotation(real_data / "tss_mm10.bed"))
    mn.pp.normalize(mdata)
    assert {m: a.uns["normalize"]["method"] for m, a in mdata.mod.items()} == {
        "rna": "log",
        "atac": "tfidf",
        "activity": "log",
    }
    del mdata.mod["atac"]
    mdata.update()
    mn.pp.select_features(mdata, ["rna", "activity"], batch_key="batch")
    assert set(mdata["rna"].var_names) == set(mdata["activity"].var_names)
    assert mdata["rna"].n_vars > 500

    held_out = mdata.obs["batch"].isin(["09K", "09L"]).to_numpy()
    training, query = mdata[~held_out].copy(), mdata[held_out].copy()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    mn.MinNet.setup_mudata(training, ["rna", "activity"], labels_key="cell_type", batch_key="batch")
    model = mn.MinNet(training)
    model.train(max_epochs=10, enable_progress_bar=False, accelerator="cpu")
    torch.set_num_threads(threads)
    mn.MinNet.prepare_query_mudata(query, model)
    model.embed(query)
    x, y = (query[m][query.obs_names].obsm["X_minnet"] for m in ("rna", "activity"))
    # measured: 0.29; few peaks lie within 2 kb upstream of a start, and chance is 0.5
    assert mn.metrics.foscttm(x, y).mean < 0.4


def test_fragments_of_pbmc_become_gene_activity(real_data: Path) -> None:
    mdata = mudata.read_h5mu(real_data / "pbmc_multiome_chr1slice.h5mu")
    fragments = real_data / "pbmc_multiome_chr1slice_fragments.tsv.gz"
    mn.pp.gene_activity(mdata, real_data / "genes_hg38.bed", fragments=fragments)
    mn.pp.gene_activity(mdata, real_data / "genes_hg38.bed", key_added="from_peaks")
    shared = mdata["activity"].var_names.intersection(mdata["from_peaks"].var_names)
    assert len(shared) > 20
    of_fragments, of_peaks = (np.asarray(mdata[m][:, shared].X.sum(axis=0)).ravel() for m in ("activity", "from_peaks"))
    # measured: 0.67; a peak reaches beyond the window, and its fragments all count
    assert np.corrcoef(np.log1p(of_fragments), np.log1p(of_peaks))[0, 1] > 0.5
    del mdata.mod["from_peaks"]
    mdata.update()
    mn.pp.filter_cells(mdata, {"activity": {"total_counts": (1, 1e6)}})
    mn.pp.normalize(mdata)
    assert mdata["activity"].uns["normalize"]["method"] == "log"
