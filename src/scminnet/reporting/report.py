"""``scminnet.report``: one self-contained page about an integration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mudata import MuData

from scminnet._core.argument_types import check_types
from scminnet._core.embeddings import embedded_modalities
from scminnet._core.files import atomic_text_file
from scminnet._core.keys import EMBEDDING_KEY
from scminnet._core.mdata import check_modalities, check_mudata
from scminnet._core.obs import obs_column
from scminnet._core.obs_text import unlabeled_names
from scminnet.genomics.link_table import LINKS_KEY
from scminnet.pl._points import MODALITY
from scminnet.reporting import labels, links, sections
from scminnet.reporting.cells import shown_cells, transfers_of
from scminnet.reporting.measures import has_truth, in_words, measured
from scminnet.reporting.next_steps import next_steps
from scminnet.reporting.page import Section, render

if TYPE_CHECKING:
    from scminnet.model import Diagnosis, MinNet


@check_types
def report(
    data: MuData | MinNet,
    path: str | os.PathLike[str],
    *,
    model: MinNet | None = None,
    diagnosis: Diagnosis | None = None,
    bulks: MuData | None = None,
    modalities: Sequence[str] | None = None,
    labels_key: str | None = None,
    unlabeled_category: str | Sequence[str] | None = None,
    batch_key: str | None = None,
    predicted_key: str | None = None,
    use_rep: str = EMBEDDING_KEY,
    title: str = "scminnet report",
    command: str | None = None,
    seed: int = 0,
) -> None:
    """Write one HTML page about an integration, to look at, to print and to hand over.

    It says what went in, whether the result can be trusted, how the embedding looks, which labels were transferred and
    where they disagree, how the training went, how accurate the embedding is where truth is known, which links of genes
    and peaks were found, and what to do next. Parts without data are left out.

    The page is a single file that loads nothing from elsewhere. Of each modality, at most 20,000 cells are drawn and
    measured.

    Parameters
    ----------
    data
        A trained model, whose own data are shown. Or a MuData with an embedding of any method, or bulks with links.
    path
        File to write, e.g. ``"report.html"``. Its folder must exist. An older file is replaced.
    model
        The model that embedded ``data``, for its training and diagnosis. Not needed if ``data`` is a model.
    diagnosis
        Result of :meth:`scminnet.MinNet.diagnose`. ``None``: the model diagnoses ``data``. A model that keeps nothing
        of its reference gives none.
    bulks
        Bulks of :func:`scminnet.tl.minibulk` with the links of :func:`scminnet.tl.cre_links`.
    modalities
        Modalities to show. ``None``: all that have the embedding.
    labels_key
        Column of ``obs`` with known cell types, of all cells or of some. ``None``: the model's.
    unlabeled_category
        Category of cells without a label, or several, e.g. ``"nan"`` or ``["Unknown", "nan"]``. ``None``: the model's.
        Missing values, ``"Unknown"`` and ``"unassigned"`` are none either.
    batch_key
        Column of ``obs`` with batches. ``None``: the model's.
    predicted_key
        Column of ``obs`` with predicted cell types, which transferred labels are compared with.
    use_rep
        Key of the embeddings.
    title
        Heading of the page.
    command
        What was called, to be shown.
    seed
        Seed of the drawn cells, the UMAP and the measures.

    Raises
    ------
    TypeError
        ``data`` is neither a model nor a MuData.
    KeyError
        A column is missing, or ``data`` has neither an embedding nor links.
    FileNotFoundError
        The folder of ``path`` does not exist.
    IsADirectoryError
        ``path`` is a folder.
    ValueError
        The model has no data. A modality is unknown or empty. Embeddings are not finite or differ in width. Tables with
        a column disagree on a cell. The model can not diagnose ``data``, which has none of its features.

    Examples
    --------
    >>> scminnet.report(model, "report.html")
    >>> scminnet.report(query, "query.html", model=model, labels_key="cell_type")
    """
    mdata, model = _data_and_model(data, model)
    check_folder(path)
    bulks = mdata if bulks is None and LINKS_KEY in mdata.uns else bulks
    has_embedding = any(use_rep in adata.obsm for adata in mdata.mod.values())
    if modalities is None:
        modalities = list(mdata.mod) if not has_embedding and bulks is not None else embedded_modalities(mdata, use_rep)
    check_modalities(mdata, modalities)
    setup = {} if model is None else model.registry_["setup_args"]
    labels_key = _column(mdata, labels_key, setup.get("labels_key"), modalities, "labels_key")
    batch_key = _column(mdata, batch_key, setup.get("batch_key"), modalities, "batch_key")
    unlabeled = unlabeled_names(unlabeled_category or setup.get("unlabeled_category"))
    predicted = _predicted(mdata, modalities, model, predicted_key)
    if diagnosis is None and model is not None and model.is_trained and model.reference_range_ is not None:
        diagnosis = model.diagnose(mdata, seed=seed)

    inputs = sections.inputs(mdata, modalities, model, labels_key, batch_key, command, seed, unlabeled=unlabeled)
    parts: list[Section | None] = [sections.diagnosed(diagnosis), inputs]
    lead = [", ".join(f"{mdata.mod[m].n_obs:,} cells of {m}" for m in modalities) + "."]
    if diagnosis is not None:
        # a reader wants to know first whether to read on
        lead = [str(diagnosis).splitlines()[0]]
    transfers = transfers_of(mdata)
    if has_embedding:
        named = [key for key in (labels_key, predicted_key, *transfers) if key is not None]
        columns = list(dict.fromkeys([*named, *([batch_key] if batch_key else [])]))
        columns = [c for c in columns if c in mdata.obs or any(c in mdata.mod[m].obs for m in modalities)]
        confidence = [f"{key}_confidence" for key in transfers]
        confidence = [c for c in confidence if any(c in mdata.mod[m].obs for m in modalities)]
        shown = shown_cells(
            mdata, modalities, columns, use_rep, known=labels_key, unlabeled=unlabeled, numbers=confidence, seed=seed
        )
        color = [c for c in columns if c in named]
        color += [MODALITY, *(c for c in columns if c not in named), *confidence]
        found = None
        if has_truth(shown, modalities, labels_key):
            found = measured(shown, modalities, labels_key, batch_key, use_rep, seed=seed)
            lead += in_words(found)
        of_model = model is not None and mdata is model.adata
        parts += [
            sections.embedded(shown, mdata, modalities, color, use_rep, seed),
            labels.transferred(mdata, transfers, labels_key, predicted, unlabeled=unlabeled),
            labels.predicted_types(predicted, transfers),
            sections.trained(model),
            sections.accuracy(found, trained_on=of_model),
        ]
    else:
        parts.append(sections.trained(model))
    parts += [
        links.linked(bulks, LINKS_KEY),
        next_steps(
            mdata,
            modalities,
            use_rep,
            diagnosis,
            labels_key,
            transfers,
            bulks,
            LINKS_KEY,
            has_embedding=has_embedding,
        ),
    ]
    footer = f"Written by scminnet {version('scminnet')} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    html = render(title, lead, [part for part in parts if part is not None], footer)
    with atomic_text_file(path) as file:
        file.write(html)


def _data_and_model(data: Any, model: MinNet | None) -> tuple[MuData, MinNet | None]:
    """Return the MuData, and the model if there is one."""
    if isinstance(data, MuData):
        check_mudata(data, "data")
        return data, model
    if not hasattr(data, "registry_") or not hasattr(data, "adata"):
        raise TypeError(f"`data` is a {type(data).__name__}. Give a MuData, or a model of `scminnet.MinNet`.")
    if data.adata is None:
        raise ValueError(
            "`data` is a model that was loaded without its data. Give the MuData, and the model as `model`."
        )
    return data.adata, data


def _predicted(
    mdata: MuData, modalities: Sequence[str], model: MinNet | None, predicted_key: str | None
) -> pd.Series | None:
    """Return the predicted type of each cell: the column, else what the model predicts for its own data."""
    if predicted_key is not None:
        return obs_column(mdata, predicted_key, modalities, "predicted_key")
    if model is None or model.adata is None or not model.is_trained or len(model.labels) < 2:
        return None
    return pd.Series(model.predict(), index=model.adata.obs_names).reindex(mdata.obs_names)


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raise unless a file can be written there, before any work."""
    if Path(path).is_dir():
        raise IsADirectoryError(f"`path` is the folder {os.fspath(path)!r}. Give the name of a file in it.")
    if not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(f"`path`: there is no folder {str(Path(path).parent)!r}. Create it first.")


def _column(
    mdata: MuData, given: str | None, of_model: str | None, modalities: Sequence[str], argument: str
) -> str | None:
    """Return the column that the user gave, else the model's if the data have it."""
    if given is not None:
        obs_column(mdata, given, modalities, argument)
        return given
    tables: list[pd.DataFrame] = [mdata.obs, *(mdata.mod[m].obs for m in modalities)]
    return of_model if of_model is not None and any(of_model in table for table in tables) else None
