"""README's blocks run as pasted."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mudata import MuData

import scminnet as mn

README = Path(__file__).parents[1] / "README.md"

pytestmark = pytest.mark.skipif(not README.is_file(), reason="README is not part of this distribution")


def block(name: str) -> str:
    found = re.search(rf"<!-- test: {name} -->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found, f"README has no block {name!r}"
    return found[1]


def annotated(mdata: MuData) -> MuData:
    """The simulated cells as a lab has them: donors, and the cell types of the RNA cells."""
    for name, adata in mdata.mod.items():
        adata.obs["donor"] = mdata.obs["batch"].loc[adata.obs_names].astype(str)
        if name == "rna":
            adata.obs["cell_type"] = mdata.obs["cell_type"].loc[adata.obs_names].astype(str)
    mdata.uns.clear()
    return mdata


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that README names, in which the block runs with a short training."""
    mdata = mn.datasets.simulate_multiome(600, n_types=3, n_genes=150, n_peaks=400)
    rows = [
        f"{gene.chrom}\t.\tgene\t{gene.start + 1}\t{gene.end}\t.\t{gene.strand}\t.\t"
        f'gene_id "{name}"; gene_name "{name}";'
        for name, gene in mdata["rna"].var.iterrows()
    ]
    with gzip.open(tmp_path / "genes.gtf.gz", "wt") as file:
        file.write("\n".join(rows) + "\n")
    of_query = mdata.obs["batch"].isin(["batch_3", "batch_4"]).to_numpy()
    for name, cells in (("reference", mdata[~of_query].copy()), ("query", mdata[of_query].copy())):
        parts = annotated(cells)
        MuData({m: adata.copy() for m, adata in parts.mod.items()}).write(tmp_path / f"{name}.h5mu")
    apart = annotated(mdata)
    apart["rna"][::2].copy().write(tmp_path / "rna.h5ad")
    apart["atac"][1::2].copy().write(tmp_path / "atac.h5ad")
    monkeypatch.chdir(tmp_path)
    whole = mn.MinNet.train
    monkeypatch.setattr(
        mn.MinNet, "train", lambda self, **_: whole(self, 5, enable_progress_bar=False, accelerator="cpu")
    )
    return tmp_path


def test_the_first_block_runs_as_pasted_and_ends_in_a_figure(tmp_path: Path) -> None:
    # FOSCTTM and label transfer do not see a gap between the modalities, which the figure shows
    mixed = (
        "from_rna = mdata.obs_names.isin(mdata['rna'].obs_names)\n"
        "print('mixing:', mn.metrics.neighbor_mixing(mdata.obsm['X_minnet'], from_rna))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", block("first block") + mixed],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "lies inside the reference's range" in done.stdout
    assert float(done.stdout.partition("mixing: ")[2]) > 0.7
    assert (tmp_path / "umap.png").stat().st_size > 50_000


def test_the_block_without_a_reference(folder: Path) -> None:
    exec(block("no reference"), {})
    assert (folder / "report.html").exists()
    written = mn.read_lazy(folder / "integrated.h5mu")
    assert written.n_obs == 600
    assert {"transferred_label"} <= set(written["atac"].obs)


def test_the_block_with_a_reference(folder: Path) -> None:
    exec(block("reference"), {})
    assert (folder / "query.html").exists()
    assert "predicted" in mn.read_lazy(folder / "embedded.h5mu").obs
