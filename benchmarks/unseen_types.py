"""How well cells of types that the reference lacks stay unassigned, and what that costs cells of known types.

Run from the repository's root::

    pip install -e ".[benchmark]"
    python benchmarks/unseen_types.py --data FOLDER

writes ``benchmarks/results/unseen_types.csv`` and ``unseen_types.md``. For each type held out, its cells leave the reference before training
and the source's labels; the test cells of all types are embedded, each modality apart, and the labels of the RNA are transferred to
the other modality. With ``--split validation`` the same is done on cells held out of the training split (as in ``ablation.py``), on which defaults may
be chosen; nothing is then written but the table on the screen.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

import development_sets
import pandas as pd
import torch
from ablation import validation_split
from development_sets import DevelopmentSet
from mudata import MuData

import scminnet as mn

RESULTS = Path(__file__).parent / "results"

#: Types held out, of each set two that are kinds of their own and two with a close relative among the others. None: every type is known.
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
    """Transfer the labels; count who stays unassigned and who is labelled right."""
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
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SCMINNET_DATA"), help="folder of the data sets")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data, or set SCMINNET_DATA")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

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
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "unseen_types.csv", index=False)

    default = table[table["quantile"] == 0.95].drop(columns="quantile")
    held = table[table["held out"] != "none"]
    means = held.groupby(["data", "quantile"], sort=False)[
        ["unassigned", "known unassigned", "accuracy of assigned"]
    ].mean()
    (RESULTS / "unseen_types.md").write_text(
        "# Types that the reference lacks\n\n"
        "Test cells of the standard splits, one seed. Each type in turn leaves the reference before training and the source's labels; "
        "labels go from\nRNA to the other modality with `tl.transfer_labels` at its defaults. `unassigned`: share of the held-out type's cells; "
        "`known unassigned` and\n`accuracy of assigned`: of the cells of all other types. Written by `python benchmarks/unseen_types.py`.\n\n"
        + default.fillna("").to_markdown(index=False, floatfmt=".3f")
        + "\n\nMeans over the held-out types, by `quantile` (0.95 is the default):\n\n"
        + means.reset_index().to_markdown(index=False, floatfmt=("", "g", ".3f", ".3f", ".3f"))
        + "\n"
    )


if __name__ == "__main__":
    main()
