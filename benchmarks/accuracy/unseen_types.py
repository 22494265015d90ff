"""Accuracy of label transfer when the reference lacks a cell type: how many of its cells stay unassigned.

Run from the root of the repository::

    python -m benchmarks.accuracy.unseen_types --data FOLDER

It writes ``unseen_types.csv`` and ``unseen_types.md``. Each type in turn is removed from the reference before training,
and from the source's labels. The test cells of all types are embedded, each modality apart, and the labels of RNA are
transferred to the other modality. ``--split validation`` uses the validation cells of ``ablation``, on which defaults
may be chosen. It prints the table and writes nothing.
"""

from __future__ import annotations

import pandas as pd
import torch
from mudata import MuData

import scminnet as mn
from benchmarks.shared import command_line, development_sets
from benchmarks.shared.development_sets import DevelopmentSet, validation_split
from benchmarks.shared.pages import RESULTS

#: Types held out. Of each set, two are distinct and two have a close relative. None: every type is known.
HELD_OUT: dict[str, tuple[str | None, ...]] = {
    "pbmc10k_citeseq": (None, "Monocytes", "NK cells", "CD8+ Tem", "naive B-cells"),
    "snareseq_mouse_cortex": (None, "Astro", "Oligo", "L4/5", "Pvalb"),
}

#: The default, and a looser and a stricter limit beside it.
QUANTILES = (0.9, 0.95, 0.99)


def embed(data: DevelopmentSet, held_out: str | None, seed: int) -> MuData:
    """Train without the cells of a type; return the test cells embedded."""
    train = data.train[(data.train.obs[data.labels_key] != held_out).to_numpy()].copy()
    train.obs[data.labels_key] = train.obs[data.labels_key].astype(str)
    mn.MinNet.setup_mudata(train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(train, seed=seed)
    model.train(seed=seed, enable_progress_bar=False, accelerator="cpu")
    return model.embed(data.test, copy=True)


def measure(cells: MuData, data: DevelopmentSet, held_out: str | None, quantile: float) -> dict[str, float]:
    """Transfer the labels. Return the shares of unassigned and of correctly predicted cells."""
    source, target = data.modalities
    truth = cells.obs[data.labels_key].astype(str)
    cells.obs["known"] = truth.where(truth != held_out)
    mn.tl.transfer_labels(cells, source, target, "known", quantile=quantile)
    found = cells[target].obs["transferred_label"].astype(str)
    truth = truth.loc[found.index]
    is_new, unassigned, right = truth == held_out, found == "unassigned", found == truth
    return {
        "cells": int(is_new.sum()),
        "unassigned": unassigned[is_new].mean(),
        "known cells": int((~is_new).sum()),
        "known unassigned": unassigned[~is_new].mean(),
        "accuracy of assigned": right[~is_new & ~unassigned].mean(),
    }


def main() -> None:
    """Measure all held-out types."""
    parser = command_line.parser(__doc__, data="required")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    command_line.quiet()

    rows = []
    for name, types in HELD_OUT.items():
        data = development_sets.load(name, arguments.data)
        if arguments.split == "validation":
            data = validation_split(data)
        # after scanpy's first numba function, which sets torch's threads
        torch.set_num_threads(1)
        for held_out in types:
            cells = embed(data, held_out, arguments.seed)
            for quantile in QUANTILES:
                row = measure(cells, data, held_out, quantile)
                rows.append({"data": name, "held out": held_out or "none", "quantile": quantile} | row)
            print(f"{name}, {held_out}: done", flush=True)
    table = pd.DataFrame(rows).round(4)
    if arguments.split == "validation":
        print(table.to_string(index=False))
        return
    table.to_csv(RESULTS / "unseen_types.csv", index=False)
    (RESULTS / "unseen_types.md").write_text(page(table))


def page(table: pd.DataFrame) -> str:
    """Return the page of the results."""
    default = table[table["quantile"] == 0.95].drop(columns="quantile")
    held = table[table["held out"] != "none"]
    means = held.groupby(["data", "quantile"], sort=False)[
        ["unassigned", "known unassigned", "accuracy of assigned"]
    ].mean()
    return (
        "# Types that the reference lacks\n\n"
        "Test cells of the standard splits, one seed. Each type in turn leaves the reference before training and the "
        "source's labels; labels go from\nRNA to the other modality with `tl.transfer_labels` at its defaults. "
        "`unassigned`: share of the held-out type's cells; `known unassigned` and\n`accuracy of assigned`: of the "
        "cells of all other types. Written by `python -m benchmarks.accuracy.unseen_types`.\n\n"
        + default.fillna("").to_markdown(index=False, floatfmt=".3f")
        + "\n\nMeans over the held-out types, by `quantile` (0.95 is the default):\n\n"
        + means.reset_index().to_markdown(index=False, floatfmt=("", "g", ".3f", ".3f", ".3f"))
        + "\n"
    )


if __name__ == "__main__":
    main()
