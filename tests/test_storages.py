"""Every function that takes data on disk or dask arrays, against the same in memory; and none reads a matrix whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata.io import sparse_dataset
from mudata import MuData
from scipy import sparse

import scminnet as mn
from scminnet._core import matrices

Array = pytest.importorskip("dask.array").Array

OPENED: dict[str, Callable[[Path], MuData]] = {
    "backed h5mu": lambda folder: mudata.read_h5mu(folder / "m.h5mu", backed="r"),
    "h5mu": lambda folder: mn.read_lazy(folder / "m.h5mu"),
    "zarr": lambda folder: mn.read_lazy(folder / "m.zarr"),
    "dask of h5mu": lambda folder: mn.read_lazy(folder / "m.h5mu", dask=True, chunk_cells=70),
    "dask of zarr": lambda folder: mn.read_lazy(folder / "m.zarr", dask=True, chunk_cells=70),
    "dense h5mu": lambda folder: mn.read_lazy(folder / "dense.h5mu"),
}

#: Cells of each modality, about; the most that may be read at once, and the most that a draw of cells may gather.
N_CELLS, MOST, GATHERED = 320, 100, 300

QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}


def in_memory() -> MuData:
    """Partly paired cells, log-normalised in X, counts in a layer, in another order in either modality."""
    mdata = mn.datasets.simulate_multiome(
        N_CELLS + 40, n_types=4, n_lineages=2, n_batches=2, n_genes=80, n_peaks=320, n_conditions=2, paired=0.8
    )
    for adata in mdata.mod.values():
        adata.layers["counts"] = adata.X.copy()
        sc.pp.normalize_total(adata, target_sum=1e3)
        sc.pp.log1p(adata)
    mixed = np.random.default_rng(0).permutation(mdata["atac"].n_obs)
    atac = mdata["atac"][mixed].copy()
    result = MuData({"rna": mdata["rna"].copy(), "atac": atac})
    result.obs = mdata.obs.loc[result.obs_names].copy()
    return result


@pytest.fixture(scope="module")
def memory() -> MuData:
    return in_memory()


@pytest.fixture(scope="module")
def folder(memory: MuData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    memory.write(folder / "m.h5mu")
    mn.read_lazy(folder / "m.h5mu").write_zarr(folder / "m.zarr")
    dense = memory.copy()
    for adata in dense.mod.values():
        adata.X, adata.layers["counts"] = adata.X.toarray(), adata.layers["counts"].toarray()
    dense.write(folder / "dense.h5mu")
    return folder


@pytest.fixture(params=list(OPENED))
def stored(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> MuData:
    monkeypatch.setattr(matrices, "ROWS", 64)
    monkeypatch.setattr(matrices, "PRODUCT_ROWS", 90)
    monkeypatch.setattr(matrices, "_GAP", 4)
    mdata = OPENED[request.param](folder)
    never_whole(folder, monkeypatch)
    return mdata


def never_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any reading of more than ``MOST`` cells at a time fail."""

    def limited(read: Callable[..., Any], most: int) -> Callable[..., Any]:
        def reading(self: Any, *index: Any, **keywords: Any) -> Any:
            found = read(self, *index, **keywords)
            if getattr(found, "ndim", 1) == 2 and found.shape[0] > most:
                pytest.fail(f"{found.shape[0]} cells are read at once")
            return found

        return reading

    kind = type(sparse_dataset(h5py.File(folder / "m.h5mu")["mod/rna/X"]))
    for owner, name in ((kind, "__getitem__"), (kind, "to_memory"), (h5py.Dataset, "__getitem__")):
        monkeypatch.setattr(owner, name, limited(getattr(owner, name), MOST))
    monkeypatch.setattr(Array, "compute", limited(Array.compute, GATHERED))


@pytest.fixture
def embedded(stored: MuData, memory: MuData) -> tuple[MuData, MuData]:
    """The stored data and a copy of those in memory, with the same embedding: near cells are of one type."""
    memory = memory.copy()
    rng = np.random.default_rng(1)
    codes = memory.obs["cell_type"].cat.codes.to_numpy()
    places = pd.DataFrame(rng.normal(size=(4, 5))[codes] + 0.3 * rng.normal(size=(len(codes), 5)), memory.obs_names)
    for mdata in (stored, memory):
        for adata in mdata.mod.values():
            adata.obsm["X_minnet"] = places.loc[adata.obs_names].to_numpy(np.float32)
    return stored, memory


def dense(matrix: Any) -> np.ndarray:
    if matrices.is_dask(matrix):
        return np.concatenate([dense(chunk.compute()) for chunk in matrix.to_delayed().ravel()])
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def same_tables(left: pd.DataFrame, right: pd.DataFrame, **tolerance: float) -> None:
    pd.testing.assert_frame_equal(left, right, **(tolerance or {"check_exact": False, "rtol": 1e-6}))


def test_opened_as_it_was_written(stored: MuData, memory: MuData) -> None:
    assert stored.obs_names.equals(memory.obs_names)
    same_tables(stored.obs[memory.obs.columns], memory.obs)
    for m in memory.mod:
        pd.testing.assert_frame_equal(stored[m].var, memory[m].var)
        assert not matrices.in_memory(stored[m].X)


def test_margin_graph(stored: MuData, memory: MuData) -> None:
    memory = memory.copy()
    arguments = {"batch_key": "batch", "n_pcs": 10, "n_neighbors": 10, "n_top_genes": 60}
    for mdata in (stored, memory):
        mn.pp.margin_graph(mdata, **arguments)
    pcs = [m["rna"].obsm["X_margin_graph_pca"] for m in (stored, memory)]
    np.testing.assert_allclose(*pcs, atol=2e-3)
    found, expected = (m["rna"].obsp["margin_graph_distances"] for m in (stored, memory))
    assert (found != 0).multiply(expected != 0).nnz > 0.99 * expected.nnz


def test_training_embedding_and_diagnosis(stored: MuData, memory: MuData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scminnet.model.diagnosis.diagnose.MAX_CELLS", 250)
    models = []
    for mdata in (stored, memory.copy()):
        mn.MinNet.setup_mudata(mdata, ["rna", "atac"], labels_key="cell_type", batch_key="batch")
        model = mn.MinNet(mdata, n_hidden=32, n_components=20, n_canonical=10)
        model.train(max_epochs=3, batch_size=64, **QUIET)
        model.embed()
        models.append(model)
    of_stored, of_memory = models
    for m in ("rna", "atac"):
        a, b = (model.module.encoder(m).input for model in models)
        np.testing.assert_allclose(a.mean, b.mean, rtol=1e-6)
        np.testing.assert_allclose(a.std, b.std, rtol=1e-6)
        np.testing.assert_allclose(stored[m].obsm["X_minnet"], of_memory.adata[m].obsm["X_minnet"], atol=5e-3)
    # one and the same model, over either data
    expected = of_memory.get_latent_representation(memory)
    np.testing.assert_allclose(of_memory.get_latent_representation(stored), expected, atol=1e-5)
    by_reference = of_memory.get_latent_representation(memory, statistics="reference", modality="atac")
    found = of_memory.get_latent_representation(stored, statistics="reference", modality="atac")
    np.testing.assert_allclose(found, by_reference, atol=1e-6)
    pd.testing.assert_frame_equal(of_memory.predict(stored, soft=True), of_memory.predict(memory, soft=True), atol=1e-5)
    if any(map(matrices.on_disk, (stored["rna"].X, stored["atac"].X))):
        with pytest.raises(ValueError, match="`copy` is set"):
            of_memory.embed(stored, copy=True)
    same_tables(of_memory.diagnose(stored).table, of_memory.diagnose(memory).table, atol=1e-4)


@pytest.mark.parametrize("stored", ["h5mu", "dask of zarr"], indirect=True)
def test_training_of_a_learned_input_layer(stored: MuData, memory: MuData) -> None:
    found = []
    for mdata in (stored, memory.copy()):
        mn.MinNet.setup_mudata(mdata, ["rna", "atac"], labels_key="cell_type", batch_key="batch")
        model = mn.MinNet(mdata, n_hidden=16, input_layer="learned")
        model.train(max_epochs=1, batch_size=64, **QUIET)
        found.append(model.get_latent_representation())
    np.testing.assert_allclose(*found, atol=5e-3)


@pytest.mark.parametrize("stored", ["h5mu", "zarr", "dask of h5mu", "dense h5mu"], indirect=True)
def test_a_query_of_other_features(stored: MuData, memory: MuData) -> None:
    reference = memory.copy()
    reference.mod["rna"] = reference["rna"][:, reference["rna"].var_names[::-1][:60]].copy()
    reference.update()
    mn.MinNet.setup_mudata(reference, ["rna", "atac"], labels_key="cell_type", batch_key="batch")
    model = mn.MinNet(reference, n_hidden=32, n_components=20, n_canonical=10)
    model.train(max_epochs=1, batch_size=64, **QUIET)
    mn.MinNet.prepare_query_mudata(stored, model)
    assert stored["rna"].var_names.equals(reference["rna"].var_names)
    assert not matrices.in_memory(stored["rna"].X)
    query = mn.MinNet.load_query_data(stored, model)
    np.testing.assert_allclose(query.get_latent_representation(), model.get_latent_representation(), atol=1e-5)


@pytest.mark.parametrize("across", [False, True])
def test_smoothing(embedded: tuple[MuData, MuData], across: bool) -> None:
    for mdata in embedded:
        mn.tl.minnet_smooth(mdata, n_neighbors=5, layer="counts", across=across, condition="condition")
    stored, memory = embedded
    for m in memory.mod:
        name = "X" if m.endswith("smoothed") else "smoothed"
        found, expected = (x[m].X if name == "X" else x[m].layers[name] for x in embedded)
        # sums of whole numbers: to the last bit
        np.testing.assert_array_equal(dense(found), dense(expected))
        assert found.dtype == expected.dtype
    # mudata's own backed mode has X alone on disk
    lazy = not matrices.in_memory(stored["rna"].layers["counts"])
    assert matrices.is_dask(stored["rna"].layers["smoothed"]) is lazy


def test_smoothed_values_are_bulked_without_being_made_and_written_block_by_block(
    embedded: tuple[MuData, MuData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, memory = embedded
    mn.tl.minnet_smooth(memory, n_neighbors=5, layer="counts")
    with monkeypatch.context() as patched:
        # of the sums nothing is made for bulks
        patched.setattr(matrices, "_sum_products", lambda *_: pytest.fail("the sums are made"))
        mn.tl.minnet_smooth(stored, n_neighbors=5, layer="counts")
        bulks = [mn.tl.minibulk(m, 20, groupby="cell_type", layer="smoothed") for m in embedded]
    for m in ("rna", "atac"):
        np.testing.assert_array_equal(*(dense(b[m].layers["counts"]) for b in bulks))
    mn.tl.minnet_smooth(stored, n_neighbors=5, layer="counts")
    adata = anndata.AnnData(stored["rna"].layers["smoothed"], obs=stored["rna"].obs)
    adata.write(tmp_path / "smoothed.h5ad")
    monkeypatch.undo()
    written = anndata.read_h5ad(tmp_path / "smoothed.h5ad").X
    np.testing.assert_array_equal(dense(written), dense(memory["rna"].layers["smoothed"]))


def test_bulks(embedded: tuple[MuData, MuData]) -> None:
    bulks = [mn.tl.minibulk(m, 20, groupby="cell_type", condition="condition", layer="counts") for m in embedded]
    for m in ("rna", "atac"):
        np.testing.assert_array_equal(*(dense(b[m].layers["counts"]) for b in bulks))
    same_tables(bulks[0].obs, bulks[1].obs)
    stored, memory = embedded
    assert stored.obs["minibulk"].astype(str).equals(memory.obs["minibulk"].astype(str))


@pytest.mark.parametrize(
    "arguments", [{}, {"method": "pearson", "nonzero": True}, {"groupby": "condition", "null": "theoretical"}]
)
def test_links(embedded: tuple[MuData, MuData], arguments: dict[str, Any]) -> None:
    stored, memory = embedded
    tss = memory["rna"].var.rename_axis("gene").reset_index()
    for mdata in embedded:
        mn.tl.cre_links(mdata, tss, n_background=40, **arguments)
    # the same columns are correlated by the same code
    same_tables(stored.uns["cre_links"], memory.uns["cre_links"], rtol=1e-12)


def test_differential_links(embedded: tuple[MuData, MuData]) -> None:
    stored, memory = embedded
    mn.tl.cre_links(memory, memory["rna"].var.rename_axis("gene").reset_index(), null=None)
    for mdata in embedded:
        mn.tl.differential_links(mdata, "condition", "control", links=memory.uns["cre_links"])
    same_tables(stored.uns["differential_links"], memory.uns["differential_links"], rtol=1e-12)


def test_labels_and_matches(embedded: tuple[MuData, MuData]) -> None:
    for mdata in embedded:
        mn.tl.transfer_labels(mdata, "rna", "atac", "cell_type", n_neighbors=5)
        mn.tl.match_cells(mdata, "rna", "atac", n_neighbors=5)
    stored, memory = embedded
    same_tables(stored["atac"].obs, memory["atac"].obs[stored["atac"].obs.columns])
    same_tables(stored.uns["match"]["matches"], memory.uns["match"]["matches"])


@pytest.mark.parametrize("arguments", [{}, {"counts_layer": "counts"}])
@pytest.mark.parametrize("some", [False, True])
def test_imputed_values(embedded: tuple[MuData, MuData], arguments: dict[str, Any], some: bool) -> None:
    features = list(embedded[1]["rna"].var_names[[9, 5]]) if some else None
    found, expected = (mn.tl.impute(mdata, "rna", features=features, **arguments) for mdata in embedded)
    np.testing.assert_allclose(found.X, expected.X, rtol=1e-4, atol=1e-5)
    assert found.n_obs == N_CELLS + 40 - embedded[1]["rna"].n_obs


@pytest.mark.parametrize(
    "call",
    [
        lambda m: mn.pp.margin_graph(m, copy=True),
        lambda m: mn.tl.minnet_smooth(m, n_neighbors=5, copy=True),
        lambda m: mn.tl.cre_links(m, m["rna"].var.rename_axis("gene").reset_index(), copy=True),
        lambda m: mn.tl.differential_links(m, "condition", "control", copy=True),
        lambda m: mn.tl.transfer_labels(m, "rna", "atac", "cell_type", copy=True),
        lambda m: mn.tl.match_cells(m, "rna", "atac", copy=True),
    ],
    ids=["margin_graph", "minnet_smooth", "cre_links", "differential_links", "transfer_labels", "match_cells"],
)
def test_copies_of_data_on_disk_are_refused(folder: Path, call: Callable[[MuData], Any]) -> None:
    mdata = mn.read_lazy(folder / "m.h5mu")
    with pytest.raises(ValueError, match=r"`copy` is set, but 'rna', 'atac' is on disk"):
        call(mdata)


def test_data_stored_by_columns_are_refused(memory: MuData, tmp_path: Path) -> None:
    mdata = memory.copy()
    mdata["rna"].X = mdata["rna"].X.tocsc()
    mdata.write(tmp_path / "m.h5mu")
    with pytest.raises(ValueError, match=r"X of 'rna' is stored by columns"):
        mn.read_lazy(tmp_path / "m.h5mu")
    backed = mudata.read_h5mu(tmp_path / "m.h5mu", backed="r")
    with pytest.raises(TypeError, match=r"'rna' is stored by columns \(CSC\)"):
        mn.MinNet.setup_mudata(backed, ["rna", "atac"], labels_key="cell_type")


def test_bad_values_on_disk_are_found(memory: MuData, tmp_path: Path) -> None:
    mdata = memory.copy()
    mdata["atac"].X.data[-1] = np.nan
    mdata.write(tmp_path / "m.h5mu")
    for dask in (False, True):
        with pytest.raises(ValueError, match="'atac' holds 1 NaN values"):
            mn.MinNet.setup_mudata(
                mn.read_lazy(tmp_path / "m.h5mu", dask=dask), ["rna", "atac"], labels_key="cell_type"
            )
    with pytest.warns(UserWarning, match="whole numbers"):
        mn.MinNet.setup_mudata(
            mn.read_lazy(tmp_path / "m.h5mu"), ["rna", "atac"], labels_key="cell_type", layers="counts"
        )


def test_preprocessing_asks_for_data_in_memory(folder: Path) -> None:
    mdata = mn.read_lazy(folder / "m.h5mu")
    with pytest.raises(TypeError, match="'rna' holds a .*memory"):
        mn.pp.select_features(mdata, modalities=["rna", "atac"])


def test_what_is_no_mudata_is_not_opened(memory: MuData, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing at"):
        mn.read_lazy(tmp_path / "none.h5mu")
    (tmp_path / "text.h5mu").write_text("no")
    with pytest.raises(ValueError, match="neither an HDF5 file"):
        mn.read_lazy(tmp_path / "text.h5mu")
    memory["rna"].write(tmp_path / "rna.h5ad")
    with pytest.raises(ValueError, match="holds no MuData"):
        mn.read_lazy(tmp_path / "rna.h5ad")
    with pytest.raises(ValueError, match="`chunk_cells` is 0"):
        mn.read_lazy(tmp_path / "rna.h5ad", chunk_cells=0)
