"""Page and figure of ``compare``."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd

from benchmarks.peers.methods import METHODS, NOTHING, PAIRED, TYPED
from benchmarks.shared.tables import mean_and_deviation
from scminnet.pl._colors import COLOUR_BLIND_SAFE
from scminnet.pl._style import NEUTRAL, PAGE, SMALL, TEXT

#: Measures of the page, in its order, and their headings. Those with two directions are averaged over both.
METRICS = {
    "foscttm_mean": "FOSCTTM",
    "label_transfer_accuracy": "label transfer",
    "label_transfer_macro_accuracy": "by type",
    "silhouette_label": "silhouette, type",
    "neighbor_mixing": "neighbour mixing",
    "silhouette_modality": "silhouette, modality",
    "silhouette_batch": "batch mixing",
    "ari": "ARI",
    "scib_bio_conservation (modality)": "scib bio",
    "scib_batch_correction (modality)": "scib modality",
    "scib_batch_correction (batch)": "scib batch",
}

#: Panels of the figure.
SHOWN = ("foscttm_mean", "label_transfer_accuracy", "silhouette_label", "silhouette_modality")

#: Colour and shape by what a method was given.
MARKS = {
    TYPED: (COLOUR_BLIND_SAFE[0], "o"),
    PAIRED: (COLOUR_BLIND_SAFE[1], "s"),
    NOTHING: (COLOUR_BLIND_SAFE[2], "D"),
}


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, scenario, method and seed, one column a measure, directions averaged."""
    values = table[table["metric"].isin(METRICS)]
    keys = ["data", "scenario", "method", "given", "seed"]
    measures = values.groupby([*keys, "metric"], sort=False)["value"].mean().unstack("metric")
    used = values.groupby(keys, sort=False)[["cpu_seconds", "memory_gb"]].first()
    return measures[[m for m in METRICS if m in measures]].join(used)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean ± standard deviation over seeds; one row a method, in their order. A single seed has no deviation."""
    by_seed = wide(table)
    keys = ["data", "scenario", "method", "given"]
    grouped = by_seed.groupby(keys, sort=False)
    mean = grouped.mean()
    shown = mean_and_deviation(grouped[[m for m in METRICS if m in mean]]).rename(columns=METRICS)
    shown["CPU s"] = mean["cpu_seconds"].map("{:.0f}".format)
    shown["GB"] = mean["memory_gb"].map("{:.1f}".format)
    shown["seeds"] = grouped.size()
    return shown.reset_index().sort_values("method", key=_rank, kind="stable")


def failures(table: pd.DataFrame) -> pd.DataFrame:
    """Return the methods without an embedding, their data sets and the reasons."""
    failed = table.loc[table["metric"] == "failed", ["method", "data", "reason"]]
    run = set(zip(table["method"], table["data"], strict=True))
    absent = [
        (name, data, method.missing or "not run for this table")
        for name, method in METHODS.items()
        for data in table["data"].unique()
        if (name, data) not in run
    ]
    both = pd.concat([failed, pd.DataFrame(absent, columns=["method", "data", "reason"])]).drop_duplicates()
    found = both.groupby(["method", "reason"])["data"].agg(", ".join).reset_index()
    return found.sort_values("method", key=_rank)[["method", "data", "reason"]]


def _rank(methods: pd.Series) -> pd.Series:
    return methods.map(list(METHODS).index)


def figure(table: pd.DataFrame, path: Path) -> None:
    """One row of panels a data set, one column a measure; each point a seed, methods below one another."""
    by_seed = wide(table[table["scenario"] == "standard"]).reset_index()
    data_sets = list(by_seed["data"].unique())
    methods = {data: [m for m in METHODS if m in set(part["method"])] for data, part in by_seed.groupby("data")}
    rows = [len(methods[data]) for data in data_sets]
    height = 0.45 + 0.14 * sum(rows) + 0.5 * len(rows)
    with mpl.rc_context({"font.size": SMALL, "axes.titlesize": TEXT, "axes.labelsize": TEXT}):
        shape = len(data_sets), len(SHOWN)
        chart, axes = plt.subplots(
            *shape,
            figsize=(PAGE, height),
            squeeze=False,
            layout="constrained",
            sharey="row",
            height_ratios=[n + 2 for n in rows],
        )
        for row, data in zip(axes, data_sets, strict=True):
            part = by_seed[by_seed["data"] == data]
            for ax, metric in zip(row, SHOWN, strict=True):
                for given, (colour, marker) in MARKS.items():
                    points = part[part["given"] == given]
                    at = points["method"].map(methods[data].index)
                    ax.scatter(points[metric], at, s=14, color=colour, marker=marker, linewidths=0, alpha=0.8)
                better = "lower is better" if metric == "foscttm_mean" else "higher is better"
                ax.set_xlabel(f"{METRICS[metric]}\n({better})")
                ax.grid(axis="both", color=NEUTRAL, alpha=0.25, linewidth=0.5)
                ax.set_axisbelow(True)
                ax.spines[["top", "right"]].set_visible(False)
            row[0].set_yticks(range(len(methods[data])), methods[data])
            row[0].set_ylim(len(methods[data]) - 0.5, -0.5)
            row[0].set_title(data, loc="left")
        handles = [
            mpl.lines.Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4, label=f"given {given}")
            for given, (colour, marker) in MARKS.items()
        ]
        chart.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False)
        chart.savefig(path, dpi=200)
        plt.close(chart)


def write(table: pd.DataFrame, folder: Path) -> None:
    """Write ``compare.md`` and ``compare.png``."""
    sections = []
    measured = summary(table) if table["value"].notna().any() else pd.DataFrame(columns=["data", "scenario"])
    for (data, scenario), part in measured.groupby(["data", "scenario"], sort=False):
        shown = part.drop(columns=["data", "scenario"])
        shown = shown.loc[:, (shown != "").any()]
        sections.append(f"## {data}, {scenario}\n\n{shown.to_markdown(index=False, disable_numparse=True)}\n")
    versions = sorted({one for text in table["versions"].dropna() for one in text.split(", ") if one}, key=str.lower)
    (folder / "compare.md").write_text(
        "# Beside the peers\n\n"
        "The test cells of the standard splits, the modalities shuffled apart. `given`: what a method learns from "
        "beside "
        "these cells, of the training\ncells; methods `with query`, and all that are given nothing, see these "
        "cells' values "
        "in training. Label transfer, overall and as the mean over types (`by type`), is averaged over both "
        "directions; "
        "mean ± standard deviation over\nseeds, of which one alone has none. The columns `scib` are of those of "
        "the seeds "
        "for which `--scib` was called. CPU seconds and largest memory are of the whole process, reading and imports "
        "included. Written by `python -m benchmarks.accuracy.compare` with one\n"
        f"thread (Python {platform.python_version()}, {os.cpu_count()} cores).\n\n"
        + "\n".join(sections)
        + "\n## Not in the tables\n\n"
        + failures(table).to_markdown(index=False)
        + f"\n\nVersions: {', '.join(versions)}.\n"
    )
    if table["value"].notna().any():
        figure(table, folder / "compare.png")
