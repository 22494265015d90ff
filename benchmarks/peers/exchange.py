"""Files that ``compare`` and a method exchange: a folder with the cells to embed, and the embedding.

This file runs in the environment of every method, so it needs nothing but anndata, numpy and pandas. The folder holds::

    task.json             the two modalities
    cells/MODALITY.h5ad   the cells to embed, shuffled and renamed in each modality
    pairs/MODALITY.h5ad   the reference: paired cells with type and batch, only for methods that use it

An ``h5ad`` has normalised values (``X``), counts (``layers["counts"]``), the kind of each feature (``var["kind"]``:
gene, protein, activity or peak) and its gene (``var["gene"]``). If known, it has the batch (``obs["batch"]``), and in
the reference the type (``obs["label"]``).
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import numpy as np
from anndata import AnnData, read_h5ad


class Task(NamedTuple):
    """The cells by modality. ``pairs`` is empty for methods without a reference."""

    cells: dict[str, AnnData]
    pairs: dict[str, AnnData]

    @property
    def rna(self) -> AnnData:
        """Cells with expression."""
        return self.cells["rna"]

    @property
    def second(self) -> str:
        """The other modality's name."""
        return next(m for m in self.cells if m != "rna")

    def of_kind(self, kind: str) -> AnnData:
        """The other modality's cells, with its features of one kind only, e.g. ``"peak"``."""
        other = self.cells[self.second]
        chosen = other[:, (other.var["kind"] == kind).to_numpy()].copy()
        if chosen.n_vars == 0:
            raise ValueError(f"no feature of kind {kind!r}: only {sorted(set(other.var['kind']))}")
        return chosen

    def with_pairs(self) -> dict[str, AnnData]:
        """Pairs, and below them the cells to embed, by modality; of the other modality its peaks or its proteins."""
        query = {"rna": self.rna, self.second: self.of_kind("peak" if self.second == "chromatin" else "protein")}
        return {m: ad.concat([self.pairs[m][:, adata.var_names], adata]) for m, adata in query.items()}


class Arguments(NamedTuple):
    """Arguments of a method's script: folders of the task and of the embedding, a seed, and the method's own words."""

    task: Path
    out: Path
    seed: int
    words: list[str]


def arguments() -> Arguments:
    """Read the command line of a method's script: ``TASK OUT SEED [WORD ...]``."""
    task, out, seed, *words = sys.argv[1:]
    return Arguments(Path(task), Path(out), int(seed), words)


def write_task(folder: Path, cells: dict[str, AnnData], pairs: dict[str, AnnData]) -> None:
    """Write the input of a method."""
    for part, modalities in (("cells", cells), ("pairs", pairs)):
        (folder / part).mkdir(parents=True)
        for modality, adata in modalities.items():
            adata.write_h5ad(folder / part / f"{modality}.h5ad")
    (folder / "task.json").write_text(json.dumps({"modalities": list(cells), "pairs": bool(pairs)}))


def read_task(folder: Path) -> Task:
    """Read the input of a method."""
    task = json.loads((folder / "task.json").read_text())

    def read(part: str) -> dict[str, AnnData]:
        return {m: read_h5ad(folder / part / f"{m}.h5ad") for m in task["modalities"]}

    return Task(read("cells"), read("pairs") if task["pairs"] else {})


def shared_features(rna: AnnData, other: AnnData) -> tuple[AnnData, AnnData]:
    """Return both modalities with the features of the same gene, in one order, under the gene's name.

    Peaks are left out, because a gene has many.
    """
    candidates = other.var[(other.var["kind"] != "peak").to_numpy() & other.var["gene"].isin(rna.var_names).to_numpy()]
    if candidates.empty:
        raise ValueError("the modalities share no feature: RNA has none of the genes of the other modality")
    genes = candidates["gene"].astype(str)
    result = rna[:, genes.to_numpy()].copy(), other[:, genes.index].copy()
    result[1].var_names = genes.to_numpy()
    return result


def write_embedding(folder: Path, embedding: dict[str, np.ndarray], cells: dict[str, AnnData], *packages: str) -> None:
    """Write the embedding of each modality's cells, and the versions of the packages that made it."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for modality, points in embedding.items():
        if len(points) != cells[modality].n_obs:
            raise ValueError(f"{len(points)} embedded cells of {modality}, there are {cells[modality].n_obs}")
        arrays[modality] = np.asarray(points, dtype=np.float32)
    np.savez(folder / "embedding.npz", **arrays)
    (folder / "versions.json").write_text(json.dumps({package: version(package) for package in packages}))


def read_embedding(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the embedding, from one file or, as R writes it, from one a modality; and the versions."""
    if (folder / "embedding.npz").exists():
        with np.load(folder / "embedding.npz") as arrays:
            embedding = dict(arrays)
    else:
        embedding = {p.stem: np.loadtxt(p, delimiter=",", ndmin=2, dtype=np.float32) for p in folder.glob("*.csv")}
    if not embedding:
        raise FileNotFoundError(f"no embedding in {folder}")
    return embedding, json.loads((folder / "versions.json").read_text())
