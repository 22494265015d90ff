"""Page and figure of the speed of the model."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from benchmarks.shared.pages import RESULTS, versions
from scminnet.pl._colors import COLOUR_BLIND_SAFE
from scminnet.pl._style import PAGE, SMALL, TEXT

PARTS = ("machine", "graph", "landmarks", "pipeline", "embedding", "training")

#: Epochs of the paper preset.
PAPER_EPOCHS = 35

CHOICES = {"on most paths": "o", "at random": "s", "farthest point next": "D"}


def write(table: pd.DataFrame, folder: Path) -> None:
    """Write ``speed.md`` and ``speed.png``."""
    sections = (_machine, _graph, _growth, _landmarks, _training, _pipeline, _embedding)
    text = [
        "# Speed",
        f"Written by `python -m benchmarks.speed.model`, which says what the parts are, on {platform.machine()} with "
        f"{os.cpu_count()} cores that other work shared, Python {platform.python_version()}, "
        f"{versions('torch', 'numba', 'scipy')}. Seconds are CPU seconds of all threads: medians, and ranges over "
        "repeats "
        "in brackets. `wall` is by the clock. No GPU was at hand.",
    ]
    text += [section(table).strip() for section in sections]
    (folder / "speed.md").write_text("\n\n".join(part for part in text if part) + "\n")
    if (table["part"] == "landmarks").any():
        _figure(_by_choice(table), folder / "speed.png")


def _values(table: pd.DataFrame, part: str) -> pd.DataFrame:
    """Rows of a part as text, one a case and way, one column a measure."""
    rows = table[table["part"] == part]
    grouped = rows.groupby(["data", "cells", "threads", "way", "measure"], sort=False)["value"]
    return grouped.agg(["median", "min", "max", "count"]).reset_index()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _text(found: pd.DataFrame, way: str, measure: str, case: tuple[str, int, int]) -> str:
    rows = _pick(found, way, measure, case)
    if rows.empty:
        return ""
    median, low, high, count = rows.iloc[0][["median", "min", "max", "count"]]
    return _number(median) + (f" ({_number(low)}-{_number(high)})" if count > 1 else "")


def _pick(found: pd.DataFrame, way: str, measure: str, case: tuple[str, int, int]) -> pd.DataFrame:
    at = (found["way"] == way) & (found["measure"] == measure)
    return found[at & (found[["data", "cells", "threads"]].apply(tuple, axis=1) == case)]


def _median(found: pd.DataFrame, way: str, measure: str, case: tuple[str, int, int]) -> float:
    rows = _pick(found, way, measure, case)
    return float(rows["median"].iloc[0]) if len(rows) else np.nan


def _cases(found: pd.DataFrame) -> list[tuple[str, int, int]]:
    cases = list(dict.fromkeys(found[["data", "cells", "threads"]].itertuples(index=False, name=None)))
    return sorted(cases, key=lambda case: (case[0] == "simulated", case[1], case[2]))


def _named(case: tuple[str, int, int]) -> dict[str, str]:
    return {"data": case[0], "cells": f"{case[1]:,}", "threads": str(case[2])}


def _markdown(title: str, rows: list[dict[str, str]], before: str = "") -> str:
    if not rows:
        return ""
    return f"## {title}\n\n{before}\n\n{pd.DataFrame(rows).fillna('').to_markdown(index=False, disable_numparse=True)}"


def _machine(table: pd.DataFrame) -> str:
    found = _values(table, "machine")
    rows = [
        {
            "threads": str(case[2]),
            "copy, GB/s read and written": _text(found, "copy", "gb_per_second", case),
            "products of 2,048 x 2,048, Gflop/s": _text(found, "product of 2048 columns", "gflops", case),
            "products of 2,048 x 256 by 256 x 256, Gflop/s": _text(found, "product of 256 columns", "gflops", case),
        }
        for case in _cases(found)
    ]
    return _markdown("The machine", rows, "What no program can beat, float32, per CPU second.")


def _graph(table: pd.DataFrame) -> str:
    found = _values(table, "graph")
    rows, accuracy = [], []
    for case in _cases(found):
        ours, exact = (_median(found, way, "seconds", case) for way in ("distances", "exact, scipy, scaled up"))
        rows.append(
            _named(case)
            | {
                "graph, s": _text(found, "graph", "seconds", case),
                "first in a process": _text(found, "graph, first in a process", "seconds", case),
                "scanpy's steps, s": _text(found, "graph, scanpy", "seconds", case),
                "first in a process ": _text(found, "graph, scanpy, first in a process", "seconds", case),
                "landmark distances, s": _text(found, "distances", "seconds", case),
                "exact distances, scipy, s": _text(found, "exact, scipy, scaled up", "seconds", case),
                "all pairs run, s": _text(found, "exact, scipy, all pairs", "seconds", case),
                "exact / landmarks": f"{exact / ours:.0f}" if ours and exact else "",
                "peak of the process, GB": _text(found, "whole process", "peak_gb", case),
            }
        )
        of_near = _median(found, "distances", "largest_relative_error_of_near", case)
        accuracy.append(
            _named(case)
            | {
                "mean relative error": f"{_median(found, 'distances', 'mean_relative_error', case):.2%}",
                "rank correlation": f"{_median(found, 'distances', 'rank_correlation', case):.4f}",
                "largest relative error of the 40 nearest": f"{of_near:.1e}",
                "memory beyond before, GB": _text(found, "distances", "memory_gb", case),
                "distances of a batch, 256 x 256, ms": _text(found, "distances of a batch", "milliseconds", case),
            }
        )
    first = _markdown(
        "Margin graph",
        rows,
        "Graph: ComBat, 2,000 features, 50 components, 20 neighbours. Scanpy's steps: variable genes, dense "
        "scaling, PCA, neighbours. Exact "
        "distances from 500 random cells (100 beyond 50,000), scaled up to all; all pairs are run with "
        "`--all-pairs` only. Of the process's peak, the "
        "check against exact distances takes its part.",
    )
    return (
        first
        + "\n\n"
        + _markdown(
            "Accuracy of landmark distances",
            accuracy,
            "128 landmarks and 40 near cells, over 200 random cells and all others, against scipy's Dijkstra.",
        )
    )


def _growth(table: pd.DataFrame) -> str:
    rows = []
    for part, ways in (
        ("graph", ("graph", "distances", "exact, scipy, scaled up", "graph, scanpy")),
        ("embedding", ("scminnet",)),
    ):
        found = _values(table, part)
        found = found[(found["data"] == "simulated") & (found["measure"] == "seconds")]
        for way in ways:
            for threads, own in found[found["way"] == way].groupby("threads"):
                if len(own) > 1:
                    exponent = np.polyfit(np.log(own["cells"]), np.log(own["median"]), 1)[0]
                    cells = ", ".join(f"{n:,}" for n in sorted(own["cells"]))
                    rows.append(
                        {
                            "part": part,
                            "way": way,
                            "threads": str(threads),
                            "cells": cells,
                            "exponent": f"{exponent:.2f}",
                        }
                    )
    return _markdown(
        "Growth", rows, "Seconds grow as cells to the power of this (least squares of logarithms, simulated cells)."
    )


def _by_choice(table: pd.DataFrame) -> pd.DataFrame:
    found = table[(table["part"] == "landmarks") & (table["way"] != "whole process")]
    found = (
        found.groupby(["data", "cells", "way", "measure"], sort=False)["value"].mean().unstack("measure").reset_index()
    )
    parts = found["way"].str.extract(r"(?P<choice>[^;]+); (?P<landmarks>\d+) landmarks; (?P<near>\d+) near")
    return found.assign(
        choice=parts["choice"], landmarks=parts["landmarks"].astype(int), near=parts["near"].astype(int)
    )


def _landmarks(table: pd.DataFrame) -> str:
    if not (table["part"] == "landmarks").any():
        return ""
    found = _by_choice(table)
    rows = [
        {
            "data": of.data,
            "chosen": of.choice,
            "landmarks": str(of.landmarks),
            "near cells": str(of.near),
            "mean relative error": f"{of.mean_relative_error:.2%}",
            "rank correlation": f"{of.rank_correlation:.4f}",
            "seconds": f"{of.seconds:.2f}",
        }
        for of in found.itertuples()
    ]
    cells = found["cells"].iloc[0]
    return _markdown(
        "Landmarks: error and cost",
        rows,
        f"{cells:,} cells, over 200 random cells and all others; means of the repeats.\n\n"
        "```{figure} ../benchmarks/results/speed.png\n:alt: Mean relative error falls with the seconds spent, "
        "fastest for landmarks on most paths.\n"
        ":width: 680px\n\nError of landmark distances by what they cost, and by how landmarks are chosen; 8 to 256 "
        "of them.\n```",
    )


def _figure(found: pd.DataFrame, path: Path) -> None:
    with plt.rc_context({"font.size": SMALL, "axes.titlesize": TEXT}):
        figure, panels = plt.subplots(1, 2, figsize=(PAGE, PAGE * 0.4), sharex=True, sharey=True, layout="constrained")
        for panel, near in zip(panels, sorted(found["near"].unique()), strict=True):
            for (choice, mark), colour in zip(CHOICES.items(), COLOUR_BLIND_SAFE, strict=False):
                own = found[(found["choice"] == choice) & (found["near"] == near)].sort_values("landmarks")
                panel.plot(
                    own["seconds"], own["mean_relative_error"] * 100, mark + "-", ms=4, lw=1, color=colour, label=choice
                )
            panel.axhline(5, color="0.6", lw=0.8, ls=":")
            panel.set(
                xscale="log",
                yscale="log",
                xlabel="CPU seconds",
                title=f"{near} near cells exact" if near else "no near cells",
            )
            panel.set_xticks([0.05, 0.1, 0.2, 0.5, 1, 2, 4], labels=["0.05", "0.1", "0.2", "0.5", "1", "2", "4"])
            panel.set_yticks([0.1, 1, 10, 100], labels=["0.1", "1", "10", "100"])
            panel.minorticks_off()
            panel.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("mean relative error, %")
        panels[0].legend(frameon=False)
        figure.savefig(path, dpi=200)
        plt.close(figure)


def _training(table: pd.DataFrame) -> str:
    found = table[table["part"] == "training"]
    rows = []
    for (data, cells, threads), own in found.groupby(["data", "cells", "threads"], sort=False):
        epochs = own[own["way"].str.contains(": epoch ")]
        named = epochs["way"].str.extract(r"(?P<preset>.+): epoch (?P<epoch>\d+)").astype({"epoch": int})
        wide = (
            epochs.join(named)
            .set_index(["preset", "repeat", "epoch", "measure"])["value"]
            .unstack("measure")
            .reset_index()
        )
        paper, default = (wide[wide["preset"] == preset] for preset in ("paper", "default"))
        if paper.empty or default.empty:
            continue
        by_way = own[own["measure"] == "seconds"].groupby("way")["value"].first()
        exact = by_way["paper: exact distances"]
        # what stood in for exact distances gives way to their own time
        before = by_way["paper: before the first step"] - by_way["paper: in place of exact distances"]
        run = len(paper)
        network = (paper["seconds"].max() - by_way["paper: before the first step"]) * PAPER_EPOCHS / run
        whole = before + exact + network
        ends = default.loc[default.groupby("repeat")["epoch"].idxmax()]
        target = paper["foscttm"].iloc[-1] if run == PAPER_EPOCHS else _published(data)
        reached = default[default["foscttm"] <= target].groupby("repeat")["seconds"].min()
        rows.append(
            {"data": data, "cells": f"{cells:,}", "threads": str(threads)}
            | {
                "paper, s": _number(whole),
                "of it exact distances": _number(exact),
                "network": _number(network),
                "epochs run": str(run),
                "FOSCTTM it ends at": "" if np.isnan(target) else f"{target:.3f}",
                "default until then, s": _range(reached),
                "paper / that": _range(whole / reached),
                "whole default recipe, s": _range(ends["seconds"]),
                "of it before the first step": _range(own[own["way"] == "default: before the first step"]["value"]),
                "its FOSCTTM": _range(ends["foscttm"]),
                "paper / whole recipe": _range(whole / ends["seconds"]),
            }
        )
    return _markdown(
        "Training",
        rows,
        "Graph and training in a process of their own, imports left out; a fifth of the cells, the same for both "
        "presets, is held out, and the FOSCTTM is theirs. The paper preset as "
        "published: exact distances (those of 250 random cells, scaled up to all), dense arrays, one partner a "
        "cell, 30 cells a batch, 35 epochs; where fewer were run, their time is scaled up and the "
        "FOSCTTM it ends at is that of the test cells in `main_job.md`. It runs in the same Lightning loop as the "
        "default, where a step of 30 cells takes mostly overhead: a loop of its own would be faster.",
    )


def _range(values: pd.Series) -> str:
    if values.empty:
        return ""
    text = _number(values.median())
    return text + (f" ({_number(values.min())}-{_number(values.max())})" if len(values) > 1 else "")


def _published(data: str) -> float:
    """FOSCTTM of test cells by the paper preset, all training cells, in the table of ``main_job``."""
    table = pd.read_csv(RESULTS / "main_job.csv", dtype={"reference": str})
    of = (table["data"] == data) & (table["method"] == "paper") & (table["reference"] == "all")
    return table[of & (table["metric"] == "foscttm_mean")]["value"].mean()


def _pipeline(table: pd.DataFrame) -> str:
    found = _values(table, "pipeline")
    rows = []
    for case in _cases(found):
        for layer in ("canonical", "learned"):
            way = f"input layer {layer}"
            step, distances = (_median(found, w, "step_ms", case) for w in (way, f"{way}: of it distances"))
            rows.append(
                _named(case)
                | {
                    "input layer": layer,
                    "cells/s by the clock": _text(found, way, "cells_per_second", case),
                    "step, ms": _text(found, way, "step_ms", case),
                    "input": _text(found, f"{way}: input", "step_ms", case),
                    "of it distances": _text(found, f"{way}: of it distances", "step_ms", case),
                    "their share": f"{distances / step:.1%}",
                    "forward and losses": _text(found, f"{way}: forward and losses", "step_ms", case),
                    "backward": _text(found, f"{way}: backward", "step_ms", case),
                }
            )
    return _markdown(
        "A training step",
        rows,
        "256 cells of 2,000 x 2,000 features, 10 % of them not zero; the default recipe, whose fixed input layer "
        "is applied once before training, and the same "
        "with a learned one, which reads sparse rows in each step. The first epoch is left out.",
    )


def _rate(found: pd.DataFrame, way: str, case: tuple) -> str:
    """Cells a second by the clock, and their range; nothing where the way was not run."""
    wall = _pick(found, way, "wall", case)
    if not len(wall):
        return ""
    slow, usual, fast = (_number(case[1] / wall[which].iloc[0]) for which in ("max", "median", "min"))
    return f"{usual} ({slow}-{fast})"


def _embedding(table: pd.DataFrame) -> str:
    found = _values(table, "embedding")
    machine = _values(table, "machine")
    rows = []
    for case in _cases(found):
        limit = ("", 0, case[2])
        rate, bandwidth = (
            _median(machine, way, measure, limit)
            for way, measure in (("product of 256 columns", "gflops"), ("copy", "gb_per_second"))
        )
        least = max(
            _median(found, "at least", "gflop", case) / rate, _median(found, "at least", "gb", case) / bandwidth
        )
        rows.append(
            _named(case)
            | {
                "cells/s by the clock": _rate(found, "scminnet", case),
                "by the reference's statistics": _rate(found, "reference's statistics", case),
                "cells per CPU second": _number(case[1] / _median(found, "scminnet", "seconds", case)),
                "the machine's limit": _number(case[1] / least),
                "dense values, cells per CPU second": _number(case[1] / s)
                if np.isfinite(s := _median(found, "dense values", "seconds", case))
                else "",
                "input, GB": _text(found, "scminnet", "input_gb", case),
                "peak beyond it, GB": f"{_pick(found, 'scminnet', 'memory_gb', case)['max'].iloc[0]:.3f}",
            }
        )
    return _markdown(
        "Embedding",
        rows,
        "Cells with two modalities of 2,000 features, 10 % of them not zero, through `model.embed` with its "
        "checks, standardised by their own statistics, which take a pass more over the cells and two over the "
        "hidden units of 10,000 of them. "
        "The limit: multiply-adds at the rate of products of this width, or bytes at the copy's bandwidth, "
        "whichever takes longer. Dense values: standardised as a whole array, then "
        "through the same network once. The peak includes the embedding written, 0.13 kB a cell and modality and "
        "as much for the whole.",
    )
