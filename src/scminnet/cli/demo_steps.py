"""The steps of ``scminnet demo``, from data to figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
from mudata import MuData

from scminnet import datasets, metrics, pl, tl
from scminnet._core.arguments import shorten
from scminnet._core.compat import without_warning
from scminnet._core.obs import obs_column
from scminnet._core.obs_text import SAID_OF_TEXTS, unlabeled_names, without
from scminnet.cli.figures import write_figures
from scminnet.cli.inputs import read_mudata, read_names
from scminnet.cli.normalisation import normalise_counts
from scminnet.cli.outputs import writing
from scminnet.model import MinNet

#: Share of the cells held out as query by default.
TEST_SHARE = 0.3


class Job(NamedTuple):
    """Reference, query and names of the columns."""

    reference: MuData
    query: MuData
    modalities: tuple[str, ...]
    labels_key: str
    batch_key: str | None


class Measured(NamedTuple):
    """What was done."""

    report: pd.DataFrame
    """Measures, as of :func:`scminnet.metrics.integration_report`."""
    cells: MuData
    """The measured cells."""
    known: dict[str, Any]
    """What else :func:`scminnet.report` needs."""


def simulated_job(n_cells: int, seed: int) -> Job:
    """Simulate a paired reference of two batches and a query of two other batches, RNA and ATAC."""
    mdata = datasets.simulate_multiome(n_cells, seed=seed)
    batches = sorted(mdata.obs["batch"].unique())
    of_reference = mdata.obs["batch"].isin(batches[: len(batches) // 2]).to_numpy()
    return Job(mdata[of_reference].copy(), mdata[~of_reference].copy(), ("rna", "atac"), "cell_type", "batch")


def user_job(
    data: Path,
    modalities: Sequence[str],
    labels_key: str,
    batch_key: str | None,
    test: Path | None,
    seed: int,
) -> Job:
    """Read the user's paired data and split them into reference and query.

    Parameters
    ----------
    data
        Paired cells, see :func:`scminnet.cli.inputs.read_mudata`.
    modalities, labels_key, batch_key
        As in :meth:`scminnet.MinNet.setup_mudata`.
    test
        The query: a file with other cells, or a text file with the ``obs_names`` of the cells of ``data`` to hold out,
        one per line. ``None``: 30 % of the cells at random, in whole batches if there are at least four.
    seed
        Seed of the draw.
    """
    mdata = read_mudata(data, modalities)
    if test is not None and (test.is_dir() or h5py.is_hdf5(test)):
        return Job(mdata, read_mudata(test, modalities), tuple(modalities), labels_key, batch_key)
    if test is not None:
        names = read_names(test)
        unknown = pd.Index(names).difference(mdata.obs_names)
        if len(unknown) or not names:
            raise ValueError(
                f"`--test` {test.name} names {len(names):,} cells, {len(unknown):,} of which {data.name} lacks"
                f"{': ' + shorten(unknown, 3) if len(unknown) else ''}. Give obs_names of the data, one per line."
            )
        held_out = mdata.obs_names.isin(names)
        if held_out.all():
            raise ValueError(f"`--test` {test.name} names all cells of {data.name}. Leave some to train on.")
    else:
        held_out = _hold_out(mdata, modalities, batch_key, seed)
    return Job(mdata[~held_out].copy(), mdata[held_out].copy(), tuple(modalities), labels_key, batch_key)


def _hold_out(mdata: MuData, modalities: Sequence[str], batch_key: str | None, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if batch_key is not None:
        batches = obs_column(mdata, batch_key, modalities, "batch_key")
        names = rng.permutation(sorted(batches.unique()))
        if len(names) >= 4:
            return batches.isin(names[: round(TEST_SHARE * len(names))]).to_numpy()
    return rng.random(mdata.n_obs) < TEST_SHARE


def run(
    job: Job,
    folder: Path,
    say: Callable[[str], None],
    *,
    unlabeled_category: str | Sequence[str] = "Unknown",
    max_epochs: int | None = None,
    preset: str = "default",
    progress: bool = True,
    seed: int = 0,
) -> Measured:
    """Train on the reference, embed the query, transfer labels between its modalities, measure, and write everything.

    The model is trained with the query if the preset allows it.

    Parameters
    ----------
    job
        The data.
    folder
        Where to write. Created if it does not exist.
    say
        Function that prints a line for the user.
    unlabeled_category, max_epochs, preset, seed
        As in :class:`~scminnet.MinNet` and its ``train``.
    progress
        Show progress bars.
    """
    reference, query, modalities, labels_key, batch_key = job
    say(f"reference: {reference.n_obs:,} paired cells; query: {query.n_obs:,} cells")
    for mdata in (reference, query):
        done = normalise_counts(mdata, modalities)
    say("values: " + "; ".join(done))

    MinNet.setup_mudata(
        reference, modalities, labels_key=labels_key, batch_key=batch_key, unlabeled_category=unlabeled_category
    )
    model = MinNet(reference, preset=preset, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    MinNet.prepare_query_mudata(query, model)
    # the paper's network has no canonical components, which the query could improve
    training_query = query if preset == "default" else None
    with_query = "" if training_query is None else " with the query, but not its labels and pairs"
    say(f"training{with_query} ...")
    model.train(max_epochs=max_epochs, query=training_query, seed=seed, enable_progress_bar=progress)
    with writing("model"):
        model.save(str(folder / "model"), overwrite=True)

    say("embedding each modality of the query separately, as if measured in different cells ...")
    model.embed(query)
    source, target = modalities[:2]
    # every cell gets a label, because the figure compares labels with labels
    labels: dict[str, Any] = {"labels_key": labels_key, "unlabeled_category": unlabeled_category}
    tl.transfer_labels(query, source, target, **labels, unassigned=None, seed=seed)

    say("measuring accuracy (pairs of cells are only used here) ...")
    # the labels were warned of
    with without_warning(*SAID_OF_TEXTS):
        report = metrics.integration_report(query, modalities=modalities, **labels, batch_key=batch_key, seed=seed)
    report.to_csv(folder / "report.csv", index=False)
    with writing("query.h5mu"):
        query.write(folder / "query.h5mu")

    say("drawing ...")
    batches = [] if batch_key is None else [batch_key]
    truth = without(obs_column(query, labels_key, modalities, "labels_key"), unlabeled_names(unlabeled_category))
    truth = truth.loc[query.mod[target].obs_names]
    drawn = {
        "umap": pl.embedding(query, modalities, [labels_key, "modality", *batches], seed=seed),
        "confusion": pl.transfer_heatmap(
            truth, query.mod[target].obs["transferred_label"], title=f"labels from {source} to {target}"
        ),
        "history": pl.history(model),
    }
    write_figures(drawn, folder)
    return Measured(report, query, {"model": model, "labels_key": labels_key, "batch_key": batch_key})
