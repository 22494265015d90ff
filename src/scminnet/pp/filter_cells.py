"""Quality control: removes cells by thresholds on counts, features and mitochondrial share, and records the reasons."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from mudata import MuData

from scminnet._core import compat
from scminnet._core.argument_types import check_types
from scminnet._core.arguments import check_choice, shorten
from scminnet._core.logging import logger
from scminnet._core.mdata import check_modalities, check_mudata, check_not_view, computable_matrices, layer_matrix
from scminnet._core.values import check_values, looks_like_counts

#: Thresholds by modality and measure: the smallest and the largest value kept.
Thresholds = Mapping[str, Mapping[str, tuple[float, float]]]

#: The paper's thresholds for the NeurIPS 2021 bone marrow sets (Methods, "training data"). For CITE-seq the paper says
#: "number of peaks (75-1500)", but CITE-seq has no peaks; here these are the RNA counts.
PRESETS: dict[str, Thresholds] = {
    "multiome": {
        "rna": {"n_features": (100, 4000), "pct_mito": (0, 4)},
        "atac": {"n_features": (1000, 80_000), "total_counts": (1000, 300_000)},
    },
    "cite": {"rna": {"n_features": (75, 1200), "total_counts": (75, 1500), "pct_mito": (0, 15)}},
}

MEASURES = ("n_features", "total_counts", "pct_mito")


@check_types
def filter_cells(
    mdata: MuData,
    thresholds: str | Thresholds,
    *,
    layer: str | None = None,
    mito_prefix: str = "MT-",
    key_added: str = "filter_cells",
    copy: bool = False,
) -> MuData | None:
    """Remove cells whose counts are out of bounds, from all modalities together.

    Parameters
    ----------
    mdata
        MuData with counts.
    thresholds
        Smallest and largest value that is kept, by modality and measure:
        ``{"rna": {"n_features": (200, 6000), "pct_mito": (0, 10)}}``. Or the name of a preset of the paper, for
        modalities named ``rna`` and ``atac``. ``"multiome"``: 100 to 4,000 genes, at most 4 % mitochondrial counts,
        1,000 to 80,000 peaks, 1,000 to 300,000 counts in peaks. ``"cite"``: 75 to 1,200 genes, 75 to 1,500 counts, at
        most 15 % mitochondrial counts. The presets fit the paper's tissue and platform, so look at the distributions
        of your data first. Measures:

        ``"n_features"``
            Features with counts: genes expressed, peaks open.
        ``"total_counts"``
            Sum of the counts. For peaks it approximates the number of fragments, which a peak matrix does not contain.
        ``"pct_mito"``
            Percentage of the counts in mitochondrial genes.
    layer
        Layer of counts. ``None``: ``X``.
    mito_prefix
        Prefix of the names of mitochondrial genes, in upper or lower case: ``MT-`` in human and mouse.
    key_added
        Name of the result.
    copy
        Return a changed copy, and leave ``mdata`` unchanged.

    Returns
    -------
    ``None``, or the copy, without the cells that fail a threshold. Thresholds of a modality apply to cells that have
    it. Written:

    ``mdata.uns[key_added]``
        ``criteria``: a table with one row per threshold. Columns: ``modality``, ``measure``, ``low``, ``high``,
        ``n_below``, ``n_above`` and ``n_only``, the number of cells that fail only this one. ``removed``: a table with
        one row per removed cell, with ``cell`` and ``reasons``. ``n_before`` and ``n_after``.

    Raises
    ------
    TypeError
        ``mdata`` is not a MuData, or values are not numbers in memory.
    ValueError
        ``mdata`` is a view; a preset, modality, measure or layer is unknown; bounds are not two ascending numbers;
        values are not counts; no gene is mitochondrial by its name; or no cell would be left.

    Examples
    --------
    >>> import scminnet as mn
    >>> mdata = mn.datasets.simulate_multiome(300)
    >>> mn.pp.filter_cells(mdata, {"rna": {"total_counts": (50, 10_000)}, "atac": {"n_features": (20, 1500)}})
    >>> mdata.uns["filter_cells"]["criteria"].shape
    (2, 7)
    """
    check_mudata(mdata)
    check_not_view(mdata)
    chosen = _resolve(mdata, thresholds)
    fails: list[pd.DataFrame] = []
    for modality, bounds in chosen.items():
        measures = _measure(mdata, modality, bounds, layer, mito_prefix)
        for measure, (low, high) in bounds.items():
            values = measures[measure].reindex(mdata.obs_names)
            fails.append(pd.DataFrame({"below": values < low, "above": values > high}))
    failed = np.column_stack([f.any(axis=1) for f in fails])
    removed = failed.any(axis=1)
    if removed.all():
        raise ValueError(
            f"`thresholds` remove all {len(failed):,} cells. Look at the distributions "
            "(`sc.pp.calculate_qc_metrics(mdata['rna'])`) and widen the bounds."
        )

    rows = [(modality, measure, *pair) for modality, bounds in chosen.items() for measure, pair in bounds.items()]
    criteria = pd.DataFrame(rows, columns=["modality", "measure", "low", "high"]).astype({"low": float, "high": float})
    criteria["n_below"] = [int(f["below"].sum()) for f in fails]
    criteria["n_above"] = [int(f["above"].sum()) for f in fails]
    alone = failed & (failed.sum(axis=1, keepdims=True) == 1)
    criteria["n_only"] = alone.sum(axis=0).astype(np.int64)
    texts = [
        np.where(f["below"], f"{m} {measure} < {low:g}", f"{m} {measure} > {high:g}")
        for f, (m, measure, low, high) in zip(fails, rows, strict=True)
    ]
    reasons = [
        "; ".join(text[i] for text, bad in zip(texts, failed[i], strict=True) if bad) for i in np.flatnonzero(removed)
    ]
    table = pd.DataFrame({"cell": mdata.obs_names[removed].to_numpy(dtype=object), "reasons": reasons}, dtype=object)
    logger.info("%s of %s cells removed", f"{int(removed.sum()):,}", f"{len(failed):,}")

    with compat.mudata_0_4_behaviour(), computable_matrices(mdata):
        result = mdata[~removed].copy()
    result.uns[key_added] = {
        "criteria": criteria,
        "removed": table,
        "n_before": len(failed),
        "n_after": int((~removed).sum()),
    }
    if copy:
        return result
    compat.replace_mudata(mdata, result)
    return None


def _resolve(mdata: MuData, thresholds: str | Thresholds) -> Thresholds:
    """Return the checked thresholds by modality and measure."""
    if isinstance(thresholds, str):
        check_choice(thresholds, PRESETS, "thresholds")
        chosen = PRESETS[thresholds]
    else:
        chosen = thresholds
    check_modalities(mdata, list(chosen), "thresholds")
    for modality, bounds in chosen.items():
        for measure, pair in bounds.items():
            check_choice(measure, MEASURES, "thresholds")
            if np.shape(pair) != (2,) or not pair[0] <= pair[1]:
                raise ValueError(
                    f"`thresholds` for {modality!r}, {measure!r} is {pair!r}. "
                    "Give the smallest and the largest value kept, e.g. (200, 6000)."
                )
    if not any(chosen.values()):
        raise ValueError("`thresholds` is empty. Give a preset, or bounds by modality and measure.")
    return chosen


def _measure(
    mdata: MuData, modality: str, bounds: Mapping[str, tuple[float, float]], layer: str | None, mito_prefix: str
) -> pd.DataFrame:
    """Compute the measures of a modality's cells."""
    adata = mdata.mod[modality]
    counts = layer_matrix(mdata, modality, layer)
    check_values(counts, modality, (adata.obs_names, adata.var_names), counts_for="Filtering")
    if not looks_like_counts(counts):
        raise ValueError(
            f"modality {modality!r} holds no counts (whole numbers, some above 1), which the thresholds need. "
            "Filter before normalising, or name the `layer` of counts."
        )
    mito = adata.var_names.str.upper().str.startswith(mito_prefix.upper())
    if "pct_mito" in bounds and not mito.any():
        raise ValueError(
            f"`mito_prefix` is {mito_prefix!r}, but no name in modality {modality!r} begins with it, e.g. "
            f"{shorten(adata.var_names, 3)}. Give the right prefix, or leave `pct_mito` out."
        )
    total = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    in_mito = np.asarray(counts[:, np.flatnonzero(mito)].sum(axis=1, dtype=np.float64)).ravel()
    return pd.DataFrame(
        {
            "n_features": np.asarray((counts > 0).sum(axis=1)).ravel(),
            "total_counts": total,
            "pct_mito": 100 * in_mito / np.maximum(total, 1),
        },
        index=adata.obs_names,
    )
