from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from scminnet.pl import _layout
from scminnet.reporting import report

#: What a user could name a cell type, a batch or a cell.
HOSTILE = "<script>document.title = 'broken'</script>\"'&"


def umap(mdata: MuData, modalities: list[str], *, use_rep: str, **_) -> pd.DataFrame:
    """The first two dimensions instead: a UMAP takes seconds."""
    return _layout._table(mdata, modalities, [np.asarray(mdata.mod[m].obsm[use_rep])[:, :2] for m in modalities])


def make_cells(n: int = 150) -> MuData:
    """RNA and ATAC of different cells, of which 40 are in both: three types, two batches, transferred labels."""
    rng = np.random.default_rng(0)
    types = np.array([HOSTILE, "B cell", "T cell"])
    parts = {}
    for m, first in (("rna", 0), ("atac", n - 40)):
        code = np.arange(first, first + n) % 3
        names = [f"{'<i>' if i == 0 else ''}cell_{i}" for i in range(first, first + n)]
        obs = pd.DataFrame({"cell_type": types[code], "batch": np.where(code % 2, "a & b", "<c>")}, index=names)
        parts[m] = AnnData(rng.poisson(1, (n, 4)).astype(np.float32), obs=obs)
        parts[m].var_names = [f"{m}_{i}" for i in range(4)]
        parts[m].obsm["X_minnet"] = (rng.normal(size=(n, 5)) + 6 * np.eye(5)[code]).astype(np.float32)
    atac = parts["atac"].obs
    label = np.where(rng.random(n) < 0.2, "B cell", atac["cell_type"])
    atac["transferred_label"] = pd.Categorical(np.where(rng.random(n) < 0.15, "unassigned", label))
    atac["transferred_label_confidence"] = rng.random(n).astype(np.float32)
    mdata = MuData(parts)
    mdata.uns["transferred_label"] = {
        "source": "rna",
        "target": "atac",
        "params": {"labels_key": "cell_type", "unassigned": "unassigned"},
    }
    return mdata


def make_bulks() -> MuData:
    """Bulks with links of four genes, one of them with a hostile name."""
    rng = np.random.default_rng(1)
    names = [f"bulk_{i}" for i in range(20)]
    genes = ["<img src=x onerror=alert(1)>", "g1", "g2", "g3"]
    rna = AnnData(rng.random((20, 4)).astype(np.float32), obs=pd.DataFrame(index=names), var=pd.DataFrame(index=genes))
    peaks = pd.DataFrame({"chrom": "chr1", "start": np.arange(6) * 5_000, "end": np.arange(6) * 5_000 + 500})
    peaks.index = [f"chr1:{row.start}-{row.end}" for row in peaks.itertuples()]
    atac = AnnData(rng.random((20, 6)).astype(np.float32), obs=pd.DataFrame(index=names), var=peaks)
    bulks = MuData({"rna": rna, "atac": atac})
    rows = [
        {
            "gene": gene,
            "peak": peak,
            "chrom": "chr1",
            "start": place.start,
            "end": place.end,
            "tss": 12_000,
            "strand": "+",
            "distance": place.start - 12_000,
            "promoter": False,
            "r": rng.uniform(-1, 1),
            "z": 1.0,
            "p": (p := rng.random()),
            "fdr": p,
            "n_bulks": 20,
            "group": "all",
        }
        for gene in genes
        for peak, place in zip(peaks.index, peaks.itertuples(), strict=True)
    ]
    bulks.uns["cre_links"] = pd.DataFrame(rows)
    return bulks


class Trained:
    """What a report reads of a model, without a training."""

    registry_ = {"setup_args": {"labels_key": "cell_type", "batch_key": "batch", "unlabeled_category": "Unknown"}}
    is_trained, reference_range_, labels = True, None, np.array(["B cell", "T cell"])
    evidence_ = {"summary": f"150 cells of {HOSTILE}"}
    history = {
        "train_loss": pd.DataFrame({"loss": [3.0, 2.0]}),
        "accuracy_rna_validation": pd.DataFrame({"a": [0.5, 0.8]}),
        "chance_accuracy_validation": pd.DataFrame({"a": [0.3, 0.3]}),
    }

    def __init__(self, mdata: MuData | None) -> None:
        self.adata = mdata

    def get_var_names(self) -> dict[str, np.ndarray]:
        return {"rna": np.arange(4), "atac": np.arange(4)}

    def predict(self) -> np.ndarray:
        return np.full(self.adata.n_obs, "B cell")


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Path:
    """A report with all sections."""
    from scminnet.model.diagnosis.verdict import Finding, summarise

    findings = [
        Finding("near", "atac", 0.1, 0.95),
        Finding("features", "rna", 1.0, 1.0),
        Finding("scale", "atac", 9.0, 1.0),
        Finding("mixing", "rna, atac", None, None),
    ]
    path = tmp_path_factory.mktemp("report") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_layout, "joint_umap", umap)
        report(
            Trained(make_cells()),
            path,
            bulks=make_bulks(),
            diagnosis=summarise(findings, {"rna": 150, "atac": 150}, "query"),
            title=f"Report of {HOSTILE}",
            command=f"scminnet integrate {HOSTILE}",
        )
    return path
