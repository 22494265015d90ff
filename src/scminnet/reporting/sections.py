"""The sections of a report, each from what is known. A section without anything to say is ``None``."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mudata import MuData
from pandas.api.types import is_numeric_dtype

from scminnet import pl
from scminnet._core.keys import UNASSIGNED
from scminnet._core.obs import obs_column
from scminnet.pl._colors import colours_of
from scminnet.reporting.cells import MAX_CELLS, known_types
from scminnet.reporting.measures import has_truth, measured
from scminnet.reporting.page import Section, picture, table

if TYPE_CHECKING:
    from scminnet.model import Diagnosis, MinNet

#: Packages whose versions are named.
PACKAGES = ("scminnet", "scvi-tools", "torch", "mudata", "anndata", "scanpy", "numpy")

#: Most rows of a table of cells or links, and genes whose arcs are drawn.
MAX_ROWS, MAX_GENES = 20, 3

#: Order of the findings of a diagnosis.
WORST_FIRST = ("outside", "borderline", "unknown", "inside")


def inputs(
    mdata: MuData,
    modalities: Sequence[str],
    model: MinNet | None,
    labels_key: str | None,
    batch_key: str | None,
    command: str | None,
    seed: int,
    *,
    unlabeled: Sequence[str],
) -> Section:
    """Say what went in: cells, features, batches, versions, seed and command."""
    features = {} if model is None else {m: len(names) for m, names in model.get_var_names().items()}
    rows = []
    for m in modalities:
        adata = mdata.mod[m]
        row: dict[str, Any] = {"modality": m, "cells": adata.n_obs, "features": features.get(m, adata.n_vars)}
        for name, key in (("labelled cells", labels_key), ("batches", batch_key)):
            if key is not None:
                values = obs_column(mdata, key, modalities, key).loc[adata.obs_names]
                row[name] = known_types(values, unlabeled).count() if key == labels_key else values.nunique()
        rows.append(row)
    both = [len(mdata.mod[a].obs_names.intersection(mdata.mod[b].obs_names)) for a, b in _pairs(modalities)]
    run: dict[str, Any] = {"seed": str(seed)}
    if command:
        run = {"command": command, **run}
    if len(modalities) > 1:
        run["cells in two modalities"] = ", ".join(
            f"{n:,} ({a} and {b})" for n, (a, b) in zip(both, _pairs(modalities), strict=True)
        )
    if labels_key is not None:
        run["column of cell types"] = labels_key
    if batch_key is not None:
        run["column of batches"] = batch_key
    evidence = getattr(model, "evidence_", None)
    if evidence and evidence.get("summary"):
        run["trained on"] = str(evidence["summary"])
    run["versions"] = ", ".join([f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in PACKAGES)])
    named = pd.DataFrame({"item": list(run), "value": list(run.values())})
    return Section("input", "What went in", tables=[table(pd.DataFrame(rows)), table(named)])


def diagnosed(diagnosis: Diagnosis | None) -> Section | None:
    """Show the diagnosis, with the causes of a problem in front."""
    if diagnosis is None:
        return None
    found, is_cause = diagnosis.table, diagnosis.is_cause()
    rank = found["verdict"].map({verdict: i for i, verdict in enumerate(WORST_FIRST)}).fillna(len(WORST_FIRST))
    fine = found["verdict"] == "inside"
    order = pd.DataFrame({"fine": fine, "symptom": ~is_cause, "rank": rank}).sort_values(
        ["fine", "symptom", "rank"], kind="stable"
    )
    found = found.assign(kind=np.where(is_cause, "cause", "effect")).loc[order.index]
    found = found[["check", "modality", "kind", "value", "expected", "verdict", "advice"]]
    text: list[str] = []
    problems = found[found["verdict"].isin(["outside", "borderline"])]
    causes = problems[problems["kind"] == "cause"]
    if len(causes):
        text.append(
            "Possible causes: " + "; ".join(f"{row.check} ({row.modality})" for row in causes.itertuples()) + "."
        )
    elif len(problems):
        text.append("No check names a cause. Compare tissue, species and preparation of the cells.")
    text.append("Values are compared with those of the reference's own held-out cells (expected).")
    return Section("diagnosis", "Can it be trusted?", text, [table(found)])


def embedded(
    shown: MuData, full: MuData, modalities: Sequence[str], color: Sequence[str], use_rep: str, seed: int
) -> Section:
    """Show the embedding by cell type, modality, batch and confidence."""
    palette: dict[str, str] = {}
    for key in color:
        columns = [shown.mod[m].obs[key] for m in modalities if key in shown.mod[m].obs]
        names = {name for column in columns if not is_numeric_dtype(column) for name in column.dropna()}
        palette = {**colours_of(sorted(names), mdata=full, key=key), **palette}
    axes = pl.embedding(shown, modalities, list(color), use_rep=use_rep, palette=palette or None, seed=seed)
    some = [m for m in modalities if full.mod[m].n_obs > MAX_CELLS]
    text = [f"Shown are {MAX_CELLS:,} cells of each of {', '.join(some)}, drawn at random."] if some else []
    caption = "UMAP of the joint embedding. A point is a cell in one modality. Distances between clusters mean little."
    shows = f"UMAP of the joint embedding, coloured by {', '.join(color)}"
    return Section("embedding", "Embedding", text, pictures=[picture(axes, shows, caption)])


def transferred(
    mdata: MuData,
    transfers: Mapping[str, Mapping[str, Any]],
    truth_key: str | None,
    predicted: pd.Series | None,
    *,
    unlabeled: Sequence[str],
) -> Section | None:
    """Show the transferred labels by cell type, and the cells whose other label or true type disagrees."""
    if not transfers:
        return None
    section = Section("labels", "Transferred labels")
    for key, entry in transfers.items():
        source, target = entry["source"], entry["target"]
        obs = mdata.mod[target].obs
        label = obs[key].astype(str)
        confidence = obs.get(f"{key}_confidence", pd.Series(np.nan, index=obs.index)).astype(float)
        other, what = _other(mdata, target, truth_key, predicted, unlabeled)
        word = entry["params"].get("unassigned", UNASSIGNED)
        n_left = int((label == word).sum())
        section.text.append(
            f"Labels of {source} cells were transferred to {len(label):,} {target} cells; {n_left:,} "
            f"({100 * n_left / max(1, len(label)):.0f} %) have none ({word!r})."
        )
        frame = pd.DataFrame({"label": label, "confidence": confidence, "other": other})
        grouped = frame.groupby("label", observed=True)
        by_type = grouped.agg(cells=("label", "size"), confidence=("confidence", "mean")).reset_index()
        by_type["share"] = by_type["cells"] / len(frame)
        if what:
            known = frame[frame["other"].notna() & ((frame["label"] != word) | (what == "true type"))]
            same = (known["label"] == known["other"]).groupby(known["label"]).mean()
            by_type[f"agrees with {what}"] = by_type["label"].map(same)
            instead = (
                known[known["label"] != known["other"]]
                .groupby("label")["other"]
                .agg(lambda s: s.value_counts().index[0])
            )
            by_type["most often instead"] = by_type["label"].map(instead)
        by_type = by_type.sort_values("cells", ascending=False)
        shares = ["share", f"agrees with {what}"]
        section.tables.append(table(by_type, f"{source} to {target}: by label", percent=shares))
        if what:
            differ = frame[frame["other"].notna() & (frame["label"] != frame["other"]) & (frame["label"] != word)]
            if len(differ):
                most = differ.sort_values("confidence", ascending=False, kind="stable").head(MAX_ROWS)
                most = most.rename_axis("cell").reset_index().rename(columns={"other": what})
                counted = f"{min(len(differ), MAX_ROWS):,} of {len(differ):,}, the most confident first"
                section.tables.append(table(most, f"{target} cells whose label and {what} differ ({counted})"))
            if what == "true type":
                axes = pl.transfer_heatmap(known["other"], known["label"], title=f"labels from {source} to {target}")
                section.pictures.append(picture(axes, f"Share of each true type's {target} cells that got each label"))
    return section


def _other(
    mdata: MuData, target: str, truth_key: str | None, predicted: pd.Series | None, unlabeled: Sequence[str]
) -> tuple[pd.Series, str]:
    """Return what labels of the target's cells are compared with, and its name: truth, predictions, or nothing."""
    names = mdata.mod[target].obs_names
    if truth_key is not None:
        truth = known_types(obs_column(mdata, truth_key, list(mdata.mod), "labels_key").loc[names], unlabeled)
        if truth.notna().any():
            return truth, "true type"
    if predicted is not None and predicted.reindex(names).notna().any():
        return predicted.reindex(names).map(str, na_action="ignore"), "predicted type"
    return pd.Series(np.nan, index=names, dtype=object), ""


def predicted_types(predicted: pd.Series | None, transfers: Mapping[str, Any]) -> Section | None:
    """Show how many cells were predicted to be of each type, where nothing was transferred."""
    if predicted is None or transfers:
        return None
    counts = predicted.dropna().astype(str).value_counts()
    frame = pd.DataFrame({"predicted type": counts.index, "cells": counts.to_numpy(), "share": counts / counts.sum()})
    text = ["Predicted by the model, which names every cell. A cell type that the reference lacks gets a wrong name."]
    return Section("labels", "Predicted cell types", text, [table(frame, percent=["share"])])


def trained(model: MinNet | None) -> Section | None:
    """Show the training curves."""
    if model is None or not model.history:
        return None
    caption = (
        "Validation: cells that were held out. Chance: the most frequent type, and random neighbours in the batch."
    )
    shown = picture(pl.history(model), "Losses and accuracies of training and held-out cells by epoch", caption)
    return Section("training", "Training", pictures=[shown])


def measures(
    shown: MuData,
    modalities: Sequence[str],
    labels_key: str | None,
    batch_key: str | None,
    use_rep: str,
    *,
    seed: int,
    trained_on: bool,
) -> Section | None:
    """Measure the embedding where pairs or types are known."""
    if not has_truth(shown, modalities, labels_key):
        return None
    text = ["Chance: what an embedding without information would give. Mixing has no such value; 1 is perfectly mixed."]
    if trained_on:
        text.append("The model was trained on these cells, so its measures are too good. See held-out cells above.")
    found = measured(shown, modalities, labels_key, batch_key, use_rep, seed=seed)
    return Section("measures", "Accuracy where truth is known", text, [table(found, digits=3)])


def linked(bulks: MuData | None, key: str) -> Section | None:
    """Show the strongest links of genes and peaks, and the arcs of the first genes."""
    if bulks is None or key not in bulks.uns or bulks.uns[key].empty:
        return None
    links = bulks.uns[key]
    tested = links["fdr"].notna().any()
    scored = "score" in links and links["score"].notna().any()
    best = links.assign(best=-(links["score"] if scored else links["r"].abs()))
    order = best.sort_values("best" if scored else ["fdr", "p", "best"], kind="stable")
    shown = ["gene", "peak", "distance", *(["score"] if scored else []), "r", "p", "fdr", "group"]
    top = order.head(MAX_ROWS)[shown]
    n = int((links["fdr"] <= 0.05).sum())
    text = [
        f"{len(links):,} pairs of {links['gene'].nunique():,} genes and peaks near them were correlated over bulks."
    ]
    text.append(
        f"{n:,} have a false discovery rate (FDR) of at most 0.05."
        if tested
        else "They were not tested. The strongest are shown."
    )
    section = Section("links", "Links of genes and peaks", text, [table(top, f"The first {len(top)} links", digits=2)])
    params = bulks.uns.get(f"{key}_info", {}).get("params", {})
    names = {"rna": params.get("rna", "rna"), "atac": params.get("atac", "atac")}
    for gene, group in order[["gene", "group"]].drop_duplicates("gene").head(MAX_GENES).itertuples(index=False):
        axes = pl.links(bulks, str(gene), group=str(group), key=key, **names)
        section.pictures.append(picture(axes.arcs, f"Links of {gene} on the genome", f"Links of {gene}"))
    return section


def next_steps(
    diagnosis: Diagnosis | None,
    labels_key: str | None,
    transfers: Mapping[str, Mapping[str, Any]],
    mdata: MuData,
    *,
    has_links: bool,
    has_embedding: bool,
) -> Section:
    """Say what to do next, by what was found."""
    steps: list[tuple[str, str]] = []
    if diagnosis is not None and diagnosis.verdict in ("outside", "borderline"):
        steps.append(("Look at the causes of the diagnosis before you use labels or pairs of these cells.", ""))
    for key, entry in transfers.items():
        label = mdata.mod[entry["target"]].obs[key].astype(str)
        left = float((label == entry["params"].get("unassigned", UNASSIGNED)).mean())
        if left > 0.1:
            arguments = ", ".join(map(repr, (entry["source"], entry["target"], entry["params"]["labels_key"])))
            text = f"{100 * left:.0f} % of the {entry['target']} cells have no label. To name more of them:"
            steps.append((text, f"mn.tl.transfer_labels(mdata, {arguments}, quantile=0.99)"))
    if has_embedding and labels_key is None and not transfers:
        steps.append(
            (
                "Annotate one modality and transfer its labels:",
                'mn.tl.transfer_labels(mdata, "rna", "atac", "cell_type")',
            )
        )
    if has_embedding:
        steps.append(("Look at genes in the embedding:", 'mn.pl.embedding(mdata, color=["cell_type", "rna:CD3E"])'))
        steps.append(("Pair cells of two modalities:", 'mn.tl.match_cells(mdata, "rna", "atac")'))
    if has_links:
        steps.append(("Look at other genes:", 'mn.pl.links(bulks, "GENE")'))
        steps.append(
            ("Export the links for a genome browser:", 'mn.tl.export_links(bulks.uns["cre_links"], "links.bedpe")')
        )
    elif has_embedding:
        steps.append(
            (
                "Link genes and peaks over bulks of similar cells:",
                "scminnet links embedded.h5mu --tss genes.gtf.gz -o links.tsv",
            )
        )
    return Section("next", "What to do next", steps=steps)


def _pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
