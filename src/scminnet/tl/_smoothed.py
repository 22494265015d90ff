"""Which values of a MuData are those that ``minnet_smooth`` wrote."""

from __future__ import annotations

from collections.abc import Mapping

from mudata import MuData

#: Parameters that together only smoothing records.
_PARAMS = {"n_neighbors", "quantile", "across"}


def smoothed_modalities(mdata: MuData, layers: Mapping[str, str | None]) -> list[str]:
    """Return the modalities whose layer, or whose ``X`` where they were imputed, is smoothed.

    Parameters
    ----------
    mdata
        Cells, with the records of :func:`scminnet.tl.minnet_smooth` in ``uns``.
    layers
        Layer of each modality; ``None`` for ``X``.
    """
    written: set[tuple[str, str | None]] = set()
    for key, entry in mdata.uns.items():
        params = entry.get("params") if isinstance(entry, Mapping) else None
        if isinstance(params, Mapping) and params.keys() >= _PARAMS:
            for m in entry["modalities"]:
                written |= {(m, key), (f"{m}_{key}", None)}
    return [m for m, layer in layers.items() if (m, layer) in written]
