"""The steps of ``scminnet demo --unpaired``: integration of simulated cells without pairs, measured by the truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mudata import MuData

from scminnet import datasets, metrics, pl
from scminnet._core.keys import EMBEDDING_KEY
from scminnet.cli.demo_steps import Measured
from scminnet.cli.figures import write_figures
from scminnet.cli.integrate_drawing import embedded_only
from scminnet.cli.integrate_labels import TRANSFERRED
from scminnet.cli.integrate_steps import integrate

#: The simulated modalities.
MODALITIES = ("rna", "atac")

#: Appended to the names of the cells of the second modality.
ENDING = "-atac"


def simulate_unpaired(n_cells: int, seed: int) -> tuple[MuData, MuData]:
    """Simulate RNA and ATAC of as many cells each.

    Returns
    -------
    What a user has: no two cells of one name, cell types of the RNA only, and batches. And the truth: each cell with
    both modalities, which is only for measuring.
    """
    truth = datasets.simulate_multiome(n_cells // 2, seed=seed)
    parts = {}
    for m in MODALITIES:
        adata = truth[m].copy()
        adata.obs["batch"] = truth.obs["batch"].to_numpy()
        parts[m] = adata
    parts["rna"].obs["cell_type"] = truth.obs["cell_type"].to_numpy()
    # the order must not tell the pairs either
    order = np.random.default_rng(seed).permutation(truth.n_obs)
    parts["atac"] = parts["atac"][order].copy()
    parts["atac"].obs_names = parts["atac"].obs_names + ENDING
    return MuData(parts), truth


def run(
    n_cells: int,
    folder: Path,
    say: Callable[[str], None],
    *,
    max_epochs: int | None = None,
    progress: bool = True,
    seed: int = 0,
) -> Measured:
    """Simulate, integrate as ``scminnet integrate`` does, measure, and write everything."""
    cells, truth = simulate_unpaired(n_cells, seed)
    folder.mkdir(parents=True, exist_ok=True)
    done = integrate(
        cells,
        MODALITIES,
        folder,
        say,
        labels_key="cell_type",
        batch_key="batch",
        annotation=cells["rna"].var.rename_axis("gene").reset_index(),
        max_epochs=max_epochs,
        progress=progress,
        seed=seed,
    )
    say("measuring accuracy (true pairs and the types of the ATAC cells are only used here) ...")
    measured = _with_true_pairs(cells, truth)
    report = metrics.integration_report(
        measured, modalities=MODALITIES, labels_key="cell_type", batch_key="batch", seed=seed
    )
    report.to_csv(folder / "report.csv", index=False)
    axes = pl.transfer_heatmap(
        truth.obs["cell_type"].loc[measured["atac"].obs_names],
        measured["atac"].obs[TRANSFERRED],
        title="labels from rna to atac",
    )
    write_figures({"confusion": axes}, folder / "figures")
    measured.uns[TRANSFERRED] = cells.uns[TRANSFERRED]
    known = {"model": done.model, "diagnosis": done.diagnosis, "labels_key": "cell_type", "batch_key": "batch"}
    return Measured(report, measured, known)


def _with_true_pairs(cells: MuData, truth: MuData) -> MuData:
    """Return the embedding with the cells' true names, types and batches."""
    parts = {}
    for m in MODALITIES:
        adata = cells[m]
        names = adata.obs_names.str.removesuffix(ENDING)
        obs = adata.obs.filter(like=TRANSFERRED).set_axis(names)
        parts[m] = embedded_only(obs, adata.obsm[EMBEDDING_KEY])
    measured = MuData(parts)
    for column in ("cell_type", "batch"):
        measured.obs[column] = truth.obs[column].reindex(measured.obs_names)
    return measured
