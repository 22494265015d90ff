"""What the threshold of label transfer loses of known cell types, and how many cells of unseen types it finds.

Run from the root of the repository::

    python -m benchmarks.accuracy.unseen_types --data FOLDER

It writes ``unseen_types.csv`` and ``unseen_types.md``. Each type in turn is removed from the reference before training,
and from the source's labels. The test cells of all types are embedded, each modality apart, and the labels of RNA are
transferred to the other modality. Without pairs, one half of the test cells has RNA and the other half the other
modality, and the model is trained on them through feature links. The limits were chosen on other cells, see
``transfer_limit``.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import torch
from mudata import MuData

import scminnet as mn
from benchmarks.shared import command_line, development_sets
from benchmarks.shared.development_sets import DevelopmentSet, together
from benchmarks.shared.pages import RESULTS

#: Types held out. Of each set, two are distinct and two have a close relative. None: every type is known.
HELD_OUT: dict[str, tuple[str | None, ...]] = {
    "pbmc10k_citeseq": (None, "Monocytes", "NK cells", "CD8+ Tem", "naive B-cells"),
    "snareseq_mouse_cortex": (None, "Astro", "Oligo", "L4/5", "Pvalb"),
}

#: The default, and looser and stricter limits beside it.
QUANTILES = (0.9, 0.95, 0.98, 0.99)

DEFAULT = 0.95

#: Column of the labels that the source has.
KNOWN = "known"

#: Most cells of each modality without pairs.
MAX_UNPAIRED = 2000

#: Columns of the table that are shares of cells.
SHARES = ["unassigned", "known unassigned", "right but unassigned", "accuracy of assigned", "accuracy of predict"]


def embed(data: DevelopmentSet, held_out: str | None, seed: int) -> tuple[MuData, pd.Series]:
    """Train on the pairs without the cells of a type. Return the test cells embedded, and their predicted types."""
    train = data.train[(data.train.obs[data.labels_key] != held_out).to_numpy()].copy()
    train.obs[data.labels_key] = train.obs[data.labels_key].astype(str)
    mn.MinNet.setup_mudata(train, data.modalities, labels_key=data.labels_key, batch_key=data.batch_key)
    model = mn.MinNet(train, seed=seed)
    model.train(seed=seed, enable_progress_bar=False, accelerator="cpu")
    cells = model.embed(data.test, copy=True)
    cells.obs["truth"] = cells.obs[data.labels_key].astype(str)
    cells.obs[KNOWN] = cells.obs["truth"].where(cells.obs["truth"] != held_out)
    return cells, pd.Series(model.predict(cells), index=cells.obs_names).astype(str)


def embed_unpaired(data: DevelopmentSet, held_out: str | None, seed: int) -> tuple[MuData, pd.Series]:
    """Couple RNA of some test cells, without those of a type, with the other modality of others. Return as `embed`."""
    (source, target), truth = data.modalities, data.test.obs[data.labels_key].astype(str)
    order = np.random.default_rng(seed).permutation(data.test.n_obs)
    half = min(MAX_UNPAIRED, len(order) // 2)
    names = {source: truth.index[order[:half]], target: truth.index[order[half : 2 * half]]}
    names[source] = names[source][(truth.loc[names[source]] != held_out).to_numpy()]
    parts = {m: data.test[m][names[m]].copy() for m in (source, target)}
    cells = together(parts)
    cells.obs["truth"] = truth.loc[cells.obs_names]
    cells.obs[KNOWN] = cells.obs["truth"].where(cells.obs_names.isin(names[source]))
    if data.batch_key is not None:
        cells.obs[data.batch_key] = data.test.obs[data.batch_key].loc[cells.obs_names].astype(str)
    mn.pp.feature_links(cells, source, target, kinds={m: "genes" for m in (source, target) if m != "adt"})
    mn.MinNet.setup_mudata(cells, data.modalities, labels_key=KNOWN, batch_key=data.batch_key)
    model = mn.MinNet(cells, seed=seed)
    model.train(seed=seed, enable_progress_bar=False, accelerator="cpu")
    model.embed()
    return cells, pd.Series(model.predict(), index=cells.obs_names).astype(str)


def measure(
    cells: MuData, predicted: pd.Series, data: DevelopmentSet, held_out: str | None, quantile: float
) -> dict[str, float]:
    """Transfer the labels. Return the shares of unassigned and of correctly predicted cells."""
    source, target = data.modalities
    mn.tl.transfer_labels(cells, source, target, KNOWN, unassigned=None, key_added="vote")
    mn.tl.transfer_labels(cells, source, target, KNOWN, quantile=quantile)
    found, vote = (cells[target].obs[key].astype(str) for key in ("transferred_label", "vote"))
    truth = cells.obs["truth"].loc[found.index]
    is_new, unassigned, right = truth == held_out, found == "unassigned", found == truth
    return {
        "cells": int(is_new.sum()),
        "unassigned": unassigned[is_new].mean(),
        "known cells": int((~is_new).sum()),
        "known unassigned": unassigned[~is_new].mean(),
        "right but unassigned": (unassigned & (vote == truth))[~is_new].mean(),
        "accuracy of assigned": right[~is_new & ~unassigned].mean(),
        "accuracy of predict": (predicted.loc[found.index] == truth)[~is_new].mean(),
    }


def main() -> None:
    """Measure all held-out types."""
    parser = command_line.parser(__doc__, data="required")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    command_line.quiet()

    rows = []
    for name, types in HELD_OUT.items():
        data = development_sets.load(name, arguments.data)
        # without pairs, the model is trained on the cells that are measured
        runs = {"paired reference": embed, "no pairs": embed_unpaired}
        # after scanpy's first numba function, which sets torch's threads
        torch.set_num_threads(1)
        for (evidence, run), held_out in product(runs.items(), types):
            cells, predicted = run(data, held_out, arguments.seed)
            for quantile in QUANTILES:
                row = measure(cells, predicted, data, held_out, quantile)
                start = {"evidence": evidence, "data": name, "held out": held_out or "none", "quantile": quantile}
                rows.append(start | row)
            print(f"{evidence}, {name}, {held_out}: done", flush=True)
    table = pd.DataFrame(rows).round(4)
    table.to_csv(RESULTS / "unseen_types.csv", index=False)
    (RESULTS / "unseen_types.md").write_text(page(table))


def page(table: pd.DataFrame) -> str:
    """Return the page of the results."""
    default = table[table["quantile"] == DEFAULT].drop(columns="quantile")
    means = table.groupby(["evidence", "data", "quantile"], sort=False)[SHARES].mean()
    most = table.groupby(["evidence", "data", "quantile"], sort=False)["right but unassigned"].max()
    means.insert(3, "at most", most)
    return (
        "# What the threshold of label transfer loses and finds\n\n"
        "Test cells of the standard splits, one seed. Each type in turn leaves the reference before training and the "
        "source's labels. Labels go from\nRNA to the other modality with `tl.transfer_labels` at its defaults. "
        "`unassigned`: share of the held-out type's cells. Of the cells of all other types:\n`known unassigned`, "
        "`right but unassigned` (the vote of the neighbours was right), `accuracy of assigned`, and "
        "`accuracy of predict`, the accuracy of\n`model.predict` on all of them. With no pairs, RNA and the other "
        "modality are measured in different test cells, on which the model is trained.\nWritten by "
        "`python -m benchmarks.accuracy.unseen_types`.\n\n"
        + default.fillna("").to_markdown(index=False, floatfmt=".3f")
        + f"\n\nMeans over the held-out types, by `quantile`. {DEFAULT} is the default. It was chosen on other cells "
        "(`transfer_limit.md`). `at most`: the largest share\nthat is right but unassigned.\n\n"
        + means.reset_index().to_markdown(index=False, floatfmt=("", "", "g", *[".3f"] * (len(SHARES) + 1)))
        + "\n"
    )


if __name__ == "__main__":
    main()
