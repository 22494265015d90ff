"""Imputed against measured values, in unseen cells, batches and donors.

Run from the root of the repository::

    python -m benchmarks.downstream.imputation --data FOLDER --seeds 3
    python -m benchmarks.downstream.imputation --data FOLDER --seeds 1 --methods totalVI

It writes ``imputation.csv`` and ``imputation.md``. The test cells are of the same donor (PBMC), of unseen batches
(cortex, bone marrow of another donor). Each modality is imputed from the other. Features that are not zero in at least
5 % of the test cells, and at most 600 of them drawn at random, are compared with what was measured:

- ``r``: Pearson's correlation over cells, mean over features. Between cell types it is easy.
- ``within types``: the same after the mean of each type was subtracted from both.
- ``per cell``: correlation over features, each standardised by the measured values, mean over cells.
- ``coverage``: share of the measured values within the 90 % interval, and ``out``: share of cells without values, which
  are left out for all methods.

``kNN`` averages the values of the 50 training cells that are nearest in 50 principal components of the modality that is
there. ``linear`` is a ridge regression on these components. totalVI is that of scvi-tools, by its defaults, given the
training cells' pairs and the test cells' RNA. MultiVI is not in the table: on the 250 cells of a bone marrow reference
its output was unrelated to the measured values, even in training cells, and the larger set would take hours.

``--validation`` splits the training cells instead: on these the neighbours, weights and penalty were chosen.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

import scminnet as mn
from benchmarks.shared import command_line, development_sets
from benchmarks.shared.development_sets import DevelopmentSet
from benchmarks.shared.pages import RESULTS, versions
from benchmarks.shared.tables import mean_and_deviation, merged
from scminnet.coupling.couple import correlate_columns

LEVEL = 0.9
N_FEATURES, LEAST_SHARE = 600, 0.05
N_COMPONENTS, N_NEIGHBORS, PENALTY = 50, 50, 100.0

RUN = ["data", "from", "to", "method", "seed"]

SETS: dict[str, Callable[[Path], DevelopmentSet]] = {
    "pbmc10k_citeseq": lambda folder: development_sets.load("pbmc10k_citeseq", folder),
    "snareseq_mouse_cortex": lambda folder: development_sets.load("snareseq_mouse_cortex", folder, peaks=True),
    "bmmc_citeseq, s1d1": lambda folder: development_sets.between_donors("bmmc_citeseq", folder, reference="s1d1"),
    "bmmc_citeseq, s1d2": lambda folder: development_sets.between_donors("bmmc_citeseq", folder, reference="s1d2"),
    "bmmc_multiome, s1d1": lambda folder: development_sets.between_donors("bmmc_multiome", folder, reference="s1d1"),
    "bmmc_multiome, s1d2": lambda folder: development_sets.between_donors("bmmc_multiome", folder, reference="s1d2"),
}


class Task(NamedTuple):
    """Features of one modality to impute from another."""

    data: DevelopmentSet
    source: str
    target: str
    features: list[str]
    seed: int

    def measured(self) -> np.ndarray:
        """Return the test cells' measured values."""
        return dense(self.data.test[self.target][:, self.features].X)

    def training(self) -> np.ndarray:
        """Return the training cells' measured values."""
        return dense(self.data.train[self.target][:, self.features].X)


class Imputed(NamedTuple):
    """Values of the test cells, and the limits of the interval where there is one."""

    values: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None


def dense(matrix: object) -> np.ndarray:
    """Return a matrix as a float32 array."""
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float32)


def features_of(data: DevelopmentSet, target: str) -> list[str]:
    """Return the features to compare."""
    values = data.test[target].X
    share = np.asarray((values != 0).sum(axis=0)).ravel() / values.shape[0]
    enough = np.flatnonzero(share >= LEAST_SHARE)
    kept = np.sort(np.random.default_rng(0).permutation(enough)[:N_FEATURES])
    return list(data.test[target].var_names[kept])


def trained(data: DevelopmentSet, seed: int) -> mn.MinNet:
    """Train the default model on the training cells."""
    mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(data.train, seed=seed)
    model.train(seed=seed, enable_progress_bar=False, accelerator="cpu")
    return model


def by_model(task: Task, model: mn.MinNet) -> Imputed:
    """Impute by the model."""
    query = MuData({task.source: task.data.test[task.source].copy()})
    made = model.impute(query, task.target, features=task.features, interval=LEVEL, seed=task.seed)
    return Imputed(made.X, made.layers["lower"], made.layers["upper"])


def by_smoothing(task: Task, model: mn.MinNet) -> Imputed:
    """Sum the counts of the nearest cells, and normalise the sums as the counts were."""
    reference = task.data.train[task.target][:, task.features].copy()
    reference.obsm["X_minnet"] = model.get_latent_representation(modality=task.target)
    query = task.data.test[task.source].copy()
    query.obsm["X_minnet"] = model.get_latent_representation(
        MuData({task.source: task.data.test[task.source]}), modality=task.source
    )
    cells = development_sets.together({task.target: reference, task.source: query})
    mn.tl.minnet_smooth(cells, across=True, modalities=[task.target])
    made = cells[f"{task.target}_smoothed"][query.obs_names]
    return Imputed(dense(made.X) / np.maximum(made.obs["n_neighbors"].to_numpy(), 1)[:, None])


def components(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return principal components of the training and of the test cells, by the modality that is there."""
    train, test = (part[task.source].X for part in (task.data.train, task.data.test))
    model = TruncatedSVD(min(N_COMPONENTS, train.shape[1] - 1), random_state=task.seed)
    return model.fit_transform(dense(train) if train.shape[1] < 100 else sparse.csr_matrix(train)), model.transform(
        test
    )


def by_neighbors(task: Task, model: mn.MinNet) -> Imputed:
    """Average the nearest cells in principal components."""
    train, test = components(task)
    near = NearestNeighbors(n_neighbors=min(N_NEIGHBORS, len(train) // 10)).fit(train)
    return Imputed(task.training()[near.kneighbors(test, return_distance=False)].mean(axis=1))


def by_ridge(task: Task, model: mn.MinNet) -> Imputed:
    """Regress the values on principal components."""
    train, test = components(task)
    width = train.std(axis=0).mean()
    return Imputed(Ridge(alpha=PENALTY).fit(train / width, task.training()).predict(test / width))


def by_totalvi(task: Task, model: mn.MinNet) -> Imputed:
    """Impute proteins by totalVI, which was given the training cells' proteins and all cells' RNA."""
    import scvi

    parts = []
    for part, known in ((task.data.train, True), (task.data.test, False)):
        rna = AnnData(part["rna"].layers["counts"], obs=pd.DataFrame(index=part.obs_names))
        rna.var_names = part["rna"].var_names
        counts = dense(part["adt"].layers["counts"])
        # a batch whose proteins are all zero has none, to totalVI
        rna.obsm["protein"] = pd.DataFrame(
            counts if known else np.zeros_like(counts), index=rna.obs_names, columns=part["adt"].var_names
        )
        rna.obs["part"] = "train" if known else "test"
        parts.append(rna)
    adata = ad.concat(parts)
    scvi.settings.seed = task.seed
    scvi.model.TOTALVI.setup_anndata(adata, batch_key="part", protein_expression_obsm_key="protein")
    totalvi = scvi.model.TOTALVI(adata)
    totalvi.train(enable_progress_bar=False, accelerator="cpu")
    _, proteins = totalvi.get_normalized_expression(
        adata[adata.obs["part"] == "test"].copy(), transform_batch="train", n_samples=10, return_mean=True
    )
    return Imputed(np.log1p(proteins[task.features].to_numpy()))


METHODS: dict[str, Callable[[Task, mn.MinNet], Imputed]] = {
    "impute": by_model,
    "minnet_smooth": by_smoothing,
    "kNN": by_neighbors,
    "linear": by_ridge,
    "totalVI": by_totalvi,
}


def applies(method: str, task: Task) -> bool:
    """Tell whether a method can do a task: totalVI imputes proteins only."""
    return method != "totalVI" or task.target == "adt"


def within(values: np.ndarray, types: np.ndarray) -> np.ndarray:
    """Subtract the mean of each type."""
    codes = pd.factorize(types)[0]
    sums = np.zeros((codes.max() + 1, values.shape[1]))
    np.add.at(sums, codes, values)
    return values - (sums / np.bincount(codes)[:, None])[codes]


def measures(measured: np.ndarray, made: Imputed, types: np.ndarray, kept: np.ndarray) -> dict[str, float]:
    """Compare imputed with measured values in the cells that are kept."""
    truth, guess, types = measured[kept].astype(float), made.values[kept].astype(float), types[kept]
    deviation = np.maximum(truth.std(axis=0), 1e-9)
    by_cell = correlate_columns(
        ((guess - truth.mean(axis=0)) / deviation).T, ((truth - truth.mean(axis=0)) / deviation).T
    )
    found = {
        "r": correlate_columns(guess, truth).mean(),
        "within types": correlate_columns(within(guess, types), within(truth, types)).mean(),
        "per cell": by_cell.mean(),
        "out": 1 - kept.mean(),
    }
    if made.lower is not None and made.upper is not None:
        inside = (measured >= made.lower) & (measured <= made.upper)
        found["coverage"] = inside[kept].mean()
    return found


def run(name: str, data: DevelopmentSet, methods: list[str], seed: int) -> pd.DataFrame:
    """Measure all methods on one set."""
    model, rows = trained(data, seed), []
    for source, target in (data.modalities, data.modalities[::-1]):
        task = Task(data, source, target, features_of(data, target), seed)
        measured, types = task.measured(), data.test.obs[data.labels_key].astype(str).to_numpy()
        kept = ~np.isnan(by_model(task, model).values[:, 0])
        for method in methods:
            if not applies(method, task):
                continue
            began = time.process_time()
            made = METHODS[method](task, model)
            found = {**measures(measured, made, types, kept), "CPU s": time.process_time() - began}
            rows += [(name, source, target, method, seed, key, value) for key, value in found.items()]
            print(name, source, target, method, seed, {k: round(float(v), 4) for k, v in found.items()}, flush=True)
    return pd.DataFrame(rows, columns=[*RUN, "metric", "value"])


def write(table: pd.DataFrame) -> None:
    """Write the tables."""
    table.to_csv(RESULTS / "imputation.csv", index=False)
    groups = ["data", "from", "to", "method"]
    wide = mean_and_deviation(table.groupby([*groups, "metric"], sort=False)["value"]).unstack("metric").fillna("")
    wide = wide[["r", "within types", "per cell", "coverage", "out"]]
    n_seeds = table.groupby(groups, sort=False)["seed"].nunique().rename("seeds")
    page = wide.join(n_seeds).reset_index()
    order = {name: i for i, name in enumerate([*SETS, *METHODS])}
    page = page.sort_values(["data", "from", "method"], key=lambda c: c.map(order) if c.name != "from" else c)
    text = (
        "# Imputed against measured values\n\n"
        "Test cells: the standard split of PBMC (same donor), unseen batches of cortex, and the other donor of bone "
        "marrow, whose name is the reference's. Correlations of imputed with measured values (higher is better), mean "
        f"± standard deviation over seeds; coverage of intervals of {LEVEL:.0%}.\n\n"
        f"Written by `python -m benchmarks.downstream.imputation` with {versions('scminnet', 'scvi-tools')}.\n\n"
    )
    (RESULTS / "imputation.md").write_text(text + page.to_markdown(index=False) + "\n")


def main() -> None:
    """Run what the command line asks for."""
    parser = command_line.parser(__doc__, data="required", seeds=3)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS)[:4], choices=list(METHODS))
    parser.add_argument("--validation", action="store_true", help="split the training cells, and write no table")
    arguments = parser.parse_args()
    command_line.quiet()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    path = RESULTS / "imputation.csv"
    for name, seed in product(arguments.sets, command_line.seeds_of(arguments)):
        data = SETS[name](arguments.data)
        if arguments.validation:
            data = development_sets.validation_split(data)
        new = run(name, data, arguments.methods, seed)
        if not arguments.validation:
            write(merged(new, pd.read_csv(path) if path.is_file() else None, RUN))


if __name__ == "__main__":
    main()
