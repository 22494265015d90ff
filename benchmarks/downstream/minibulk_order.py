"""Distance between the cells of a mini-bulk, for several ways to order the cells before they are cut into bulks.

Run from the root of the repository::

    python -m benchmarks.downstream.minibulk_order --data FOLDER --seeds 3

It writes ``minibulk_order.csv`` and ``minibulk_order.md``. MinNet is trained on the training cells of both development
sets, and the test cells are embedded, each once a modality (about 4,000 points). These points, and 4,000 simulated ones
along curves, are ordered without regard to types and cut into bulks of equal size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.cluster.hierarchy import leaves_list, linkage

import scminnet as mn
from benchmarks.shared import command_line, development_sets
from benchmarks.shared.pages import RESULTS
from scminnet.graph.ward import ward_order

N_BULKS = (20, 50, 100, 200)

#: Orders of points, given the points and a seed.
ORDERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "Ward, branches laid by their neighbours (used up to 4,096 cells)": lambda x, seed: ward_order(
        x, exact_points=len(x)
    ),
    "k-means, then the same (used beyond)": lambda x, seed: ward_order(x, seed=seed, exact_points=len(x) - 1),
    "Ward, branches as scipy has them": lambda x, seed: leaves_list(linkage(x.astype(float), method="ward")),
    "by chance": lambda x, seed: np.random.default_rng(seed).permutation(len(x)),
}


def embedded(name: str, folder: Path) -> np.ndarray:
    """Train on the training cells and embed the test cells' modalities."""
    data = development_sets.load(name, folder)
    mn.MinNet.setup_mudata(data.train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    mn.pp.margin_graph(data.train, batch_key=data.batch_key)
    torch.set_num_threads(1)
    model = mn.MinNet(data.train, seed=0)
    model.train(seed=0, enable_progress_bar=False, accelerator="cpu")
    model.embed(data.test)
    return np.concatenate([data.test[m].obsm["X_minnet"] for m in data.modalities])


def curves(n: int = 4_000) -> np.ndarray:
    """Simulate points along five smooth curves in 32 dimensions."""
    rng = np.random.default_rng(0)
    which, along = rng.integers(5, size=n), rng.uniform(size=(n, 1))
    centre, speed, phase = rng.normal(size=(5, 32)), rng.uniform(0, 6, size=(5, 32)), rng.uniform(0, 6, size=(5, 32))
    points = centre[which] + np.cos(along * speed[which] + phase[which]) + 0.3 * rng.normal(size=(n, 32))
    return points.astype(np.float32)


def within(points: np.ndarray, order: np.ndarray, n_bulks: int) -> float:
    """Return the share of the variance that is within bulks."""
    pieces = np.array_split(points[order], n_bulks)
    return float(sum(((p - p.mean(axis=0)) ** 2).sum() for p in pieces) / ((points - points.mean(axis=0)) ** 2).sum())


def main() -> None:
    """Measure all orders."""
    parser = command_line.parser(__doc__, data="required", seeds=3)
    arguments = parser.parse_args()
    command_line.quiet()

    rows = []
    points_of = {"simulated curves": curves()}
    points_of |= {name: embedded(name, arguments.data) for name in development_sets.NAMES}
    for name, points in points_of.items():
        for order, function in ORDERS.items():
            for seed in command_line.seeds_of(arguments):
                start = time.perf_counter()
                row = function(points, seed)
                seconds = round(time.perf_counter() - start, 2)
                rows += [
                    (name, len(points), order, seed, n_bulks, round(within(points, row, n_bulks), 4), seconds)
                    for n_bulks in N_BULKS
                ]
                print(f"{name}, {order}, seed {seed}: {seconds} s", flush=True)
    table = pd.DataFrame(rows, columns=["data", "points", "order", "seed", "bulks", "within", "seconds"])
    table.to_csv(RESULTS / "minibulk_order.csv", index=False)
    (RESULTS / "minibulk_order.md").write_text(page(table))


def page(table: pd.DataFrame) -> str:
    """Return the page of the results."""
    mean = table.groupby(["data", "points", "order", "bulks"], sort=False)["within"].mean().map("{:.3f}".format)
    shown = mean.unstack("bulks").rename(columns="{} bulks".format)
    shown["seconds"] = table.groupby(["data", "points", "order"], sort=False)["seconds"].mean().map("{:.1f}".format)
    return (
        "# Orders from which mini-bulks are cut\n\n"
        f"Share of the embedding's variance within bulks, the lower the better; mean of {table['seed'].nunique()} "
        "seeds. The points are the test cells "
        "of the development\nsets, once a modality, in an embedding trained on the training cells. Written by "
        "`python -m benchmarks.downstream.minibulk_order`.\n\n" + shown.reset_index().to_markdown(index=False) + "\n"
    )


if __name__ == "__main__":
    main()
