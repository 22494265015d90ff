"""Three modalities of the same cells: trained on all three, on each two, and on cells that lack one.

Run from the root of the repository::

    python -m benchmarks.accuracy.three_modalities --data FOLDER --seeds 5

It writes ``three_modalities.csv`` and ``three_modalities.md``. The cells are Patch-seq neurons with RNA,
electrophysiology and morphology. Each seed holds out another third of the cells, by type, and embeds each of its
modalities separately. The canonical correlations learn from the same pairs of training cells, for each two modalities
by themselves, with the number of principal components that is best on cells held out of these. ``--settings`` runs a
part: rows of earlier runs stay in the tables.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from mudata import MuData, read_h5mu
from sklearn.model_selection import train_test_split

import scminnet as mn
from benchmarks.accuracy import linear_baseline
from benchmarks.shared import command_line
from benchmarks.shared.development_sets import DevelopmentSet, together
from benchmarks.shared.pages import RESULTS, versions
from benchmarks.shared.tables import mean_and_deviation, merged, ordered

SET = "patchseq_trimodal"
LABELS = "cell_type_TEM"
MODALITIES = ("rna", "ephys", "morph")
PAIRS = tuple(combinations(MODALITIES, 2))

#: Share of the cells held out to measure, and of the training cells held out to choose the linear baseline.
TEST_SHARE, VALIDATION_SHARE = 1 / 3, 1 / 5

#: Principal components that the linear baseline chooses from.
N_COMPONENTS = (10, 15, 20, 30, 50)

#: Neighbours that vote in label transfer. Half of the types have at most five test cells.
N_NEIGHBORS = 5

#: What is learned from: the training cells with all modalities, with two, or with two of three drawn for each cell.
SETTINGS = ("three", "two", "three, each cell lacks one")

METHODS = ("default", "default, with query", "cca", "cca, unit length")
MEASURES = {"foscttm": "FOSCTTM", "transfer": "label transfer", "matching": "matching score"}

RUN = ["setting", "seed"]
RANKS = {"setting": SETTINGS, "method": METHODS, "modalities": [", ".join(pair) for pair in PAIRS]}


def split(types: pd.Series, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the names of the cells to learn from and of those held out, in equal proportions of the types.

    A type of one cell is taken for the most frequent one.
    """
    strata = types.where(types.map(types.value_counts()) > 1, types.mode()[0])
    train, test = train_test_split(types.index.to_numpy(), test_size=share, stratify=strata, random_state=seed)
    return train, test


def without_one(cells: MuData, modalities: tuple[str, ...], seed: int) -> MuData:
    """Take one modality from each cell, another for each third of the cells."""
    lacks = np.random.default_rng(seed).permutation(np.arange(cells.n_obs) % len(modalities))
    partly = together({m: cells[m][lacks != i].copy() for i, m in enumerate(modalities)})
    partly.obs = cells.obs.loc[partly.obs_names]
    return partly


def shared_cells(cells: MuData, pair: tuple[str, str]) -> MuData:
    """Return the cells that were measured in both modalities."""
    names = cells[pair[0]].obs_names.intersection(cells[pair[1]].obs_names, sort=False)
    both = together({m: cells[m][names].copy() for m in pair})
    both.obs = cells.obs.loc[both.obs_names]
    return both


def network(train: MuData, test: MuData, modalities: tuple[str, ...], seed: int, *, with_query: bool) -> dict:
    """Train with the defaults; return each modality's embedding of the test cells."""
    mn.MinNet.setup_mudata(train, list(modalities), labels_key=LABELS)
    model = mn.MinNet(train, seed=seed)
    query = test if with_query else None
    model.train(query=query, seed=seed, enable_progress_bar=False, accelerator="cpu")
    return {m: model.get_latent_representation(test, modality=m) for m in modalities}


def linear(train: MuData, test: MuData, pair: tuple[str, str], seed: int, *, unit_length: bool, n: int) -> dict:
    """Return the canonical components of the test cells, from the training cells with both modalities."""
    data = DevelopmentSet(shared_cells(train, pair), test, pair, LABELS, None)
    linear_baseline.embed(data, seed=seed, unit_length=unit_length, n_components=n)
    return {m: test[m].obsm["X_cca"] for m in pair}


def best_n_components(train: MuData, pair: tuple[str, str], seed: int, *, unit_length: bool) -> int:
    """Choose the number of principal components of the linear baseline on some of the training cells."""
    both = shared_cells(train, pair)
    # not by type, because cells with both modalities can be fewer than five a type
    names = train_test_split(both.obs_names.to_numpy(), test_size=VALIDATION_SHARE, random_state=seed)
    inner, held_out = (both[part].copy() for part in names)
    found = {}
    for n in N_COMPONENTS:
        embedding = linear(inner, held_out, pair, seed, unit_length=unit_length, n=n)
        found[n] = mn.metrics.foscttm(*embedding.values()).mean
    return min(found, key=lambda n: found[n])


def measure(embedding: Mapping[str, np.ndarray], pair: tuple[str, str], types: np.ndarray) -> dict[str, float]:
    """Measure how well two modalities of the same cells fit: mean of both directions."""
    x, y = (embedding[m] for m in pair)
    transfer = [
        mn.metrics.label_transfer_accuracy(a, types, b, types, n_neighbors=N_NEIGHBORS).accuracy
        for a, b in ((x, y), (y, x))
    ]
    return {
        "foscttm": mn.metrics.foscttm(x, y).mean,
        "transfer": float(np.mean(transfer)),
        "matching": mn.metrics.matching_score(x, y).mean,
    }


def run(cells: MuData, setting: str, seed: int) -> pd.DataFrame:
    """Train in one setting; return one row a method, two modalities and measure."""
    learnt, held_out = split(cells.obs[LABELS].astype(str), TEST_SHARE, seed)
    train, test = cells[learnt].copy(), cells[held_out].copy()
    types = test.obs[LABELS].astype(str).to_numpy()
    if setting.endswith("lacks one"):
        train = without_one(train, MODALITIES, seed)
    rows = []

    def add(method: str, pair: tuple[str, str], embedding: Mapping[str, np.ndarray], n_components: int = 0) -> None:
        for name, value in measure(embedding, pair, types).items():
            rows.append((setting, seed, method, ", ".join(pair), n_components, name, round(value, 5)))

    for method in ("default", "default, with query"):
        with_query = method.endswith("with query")
        for modalities in PAIRS if setting == "two" else (MODALITIES,):
            embedding = network(train, test, modalities, seed, with_query=with_query)
            for pair in combinations(modalities, 2):
                add(method, pair, embedding)
    for pair in PAIRS:
        # the canonical correlations of two modalities do not know the third
        for unit_length in (False, True) if setting != "two" else ():
            n = best_n_components(train, pair, seed, unit_length=unit_length)
            embedding = linear(train, test, pair, seed, unit_length=unit_length, n=n)
            add("cca, unit length" if unit_length else "cca", pair, embedding, n)
    return pd.DataFrame(rows, columns=[*RUN, "method", "modalities", "n_components", "metric", "value"])


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, measures side by side."""
    groups = ["modalities", "setting", "method"]
    wide = mean_and_deviation(table.groupby([*groups, "metric"], sort=False)["value"]).unstack("metric")
    return ordered(wide[list(MEASURES)].rename(columns=MEASURES).reset_index(), groups, RANKS)


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """FOSCTTM as a share of what canonical correlations of the same pairs give, and of what all modalities give."""
    found = table[table["metric"] == "foscttm"].groupby(["setting", "method", "modalities"])["value"].mean()
    rows = []
    for setting, method in found.index.droplevel("modalities").unique():
        if method.startswith("cca"):
            continue
        own = found[setting, method]
        bars = {
            # those of two modalities are in the rows of the three
            f"/ {other}": found.get(("three" if setting == "two" else setting, other))
            for other in METHODS
            if other.startswith("cca")
        } | {"/ three": found.get(("three", method))}
        for pair, value in own.items():
            ratios = {name: value / bar[pair] for name, bar in bars.items() if bar is not None}
            rows.append({"modalities": pair, "setting": setting, "method": method} | ratios)
    result = ordered(pd.DataFrame(rows), ["modalities", "setting", "method"], RANKS)
    ratios = [column for column in result if column.startswith("/")]
    return result.assign(**{column: result[column].map("{:.2f}".format).replace("nan", "") for column in ratios})


def write(table: pd.DataFrame) -> None:
    """Write both tables."""
    table.to_csv(RESULTS / "three_modalities.csv", index=False)
    used = versions("scminnet", "scvi-tools", "torch", "mudata", "scikit-learn")
    n_seeds = table.groupby("setting")["seed"].nunique().min()
    (RESULTS / "three_modalities.md").write_text(
        "# Three modalities of the same cells\n\n"
        f"A third of the 448 neurons of `{SET}`, held out by type, {n_seeds} seeds with a split each, mean ± standard "
        "deviation. Every modality of a held-out cell is embedded by itself. FOSCTTM (lower is better), accuracy of "
        f"label transfer ({N_NEIGHBORS} neighbours, {LABELS}: 27 types) and matching score, means of both directions. "
        "`setting`: what was learned from. Written by\n"
        "`python -m benchmarks.accuracy.three_modalities` "
        f"(Python {platform.python_version()}, {used}; 1 thread).\n\n"
        + summary(table).to_markdown(index=False)
        + "\n\nFOSCTTM, mean over seeds, as a share of that of canonical correlations of the same pairs, and of "
        "training with all three modalities of every cell:\n\n"
        + shares(table).to_markdown(index=False, disable_numparse=True)
        + "\n"
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = command_line.parser(__doc__, data="required", seeds=5)
    parser.add_argument("--settings", nargs="+", default=SETTINGS, choices=SETTINGS)
    arguments = parser.parse_args()
    command_line.quiet()
    torch.set_num_threads(1)
    cells = read_h5mu(Path(arguments.data) / f"{SET}.h5mu")
    path = RESULTS / "three_modalities.csv"
    for seed in command_line.seeds_of(arguments):
        for setting in arguments.settings:
            began = time.process_time()
            new = run(cells, setting, seed)
            old = pd.read_csv(path) if path.is_file() else None
            write(ordered(merged(new, old, RUN), [*RUN, "modalities", "method"], RANKS))
            print(f"{setting}, seed {seed}: {time.process_time() - began:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
