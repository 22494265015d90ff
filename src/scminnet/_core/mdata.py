"""Checks of a MuData: its modalities, its layers, and whether it can be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mudata import MuData

from scminnet._core import matrices
from scminnet._core.arguments import shorten
from scminnet._core.compat import named_layers
from scminnet._core.sparse_structure import check_sparse


def check_mudata(mdata: Any, argument: str = "mdata") -> None:
    """Raise unless ``mdata`` is a MuData whose modalities share observations."""
    if not isinstance(mdata, MuData):
        raise TypeError(
            f"`{argument}` must be a MuData, found {type(mdata).__name__}. "
            "Put AnnData objects together with `mudata.MuData({'rna': adata, ...})`."
        )
    if mdata.axis != 0:
        raise ValueError(
            f"`{argument}` has axis={mdata.axis}: its modalities do not share observations. "
            "Build it with `mudata.MuData({...}, axis=0)`."
        )


@contextmanager
def computable_matrices(mdata: MuData) -> Iterator[None]:
    """Let matrices be of types that can be computed with, for a while.

    anndata can neither copy nor select rows of sparse float16, because scipy can not.
    """
    before = [
        (store, key, store[key] if key is not None else store.X)
        for adata in mdata.mod.values()
        for store, key in [(adata, None), *((adata.layers, name) for name in named_layers(adata))]
    ]
    changed = [(*place, matrix) for *place, matrix in before if matrices.computable(matrix) is not matrix]
    try:
        for store, key, matrix in changed:
            _put(store, key, matrices.computable(matrix))
        yield
    finally:
        for store, key, matrix in changed:
            _put(store, key, matrix)


def _put(store: Any, key: str | None, matrix: Any) -> None:
    if key is None:
        store.X = matrix
    else:
        store[key] = matrix


def copied(mdata: MuData) -> MuData:
    """Copy a MuData. In the copy, matrices are of types that can be computed with."""
    with computable_matrices(mdata):
        return mdata.copy()


def check_not_view(mdata: MuData, argument: str = "mdata") -> None:
    """Raise if ``mdata`` is a view, which can not be written to."""
    if mdata.is_view:
        raise ValueError(f"`{argument}` is a view, which cannot be written to. Give `{argument}.copy()`.")


def check_copyable(mdata: MuData, *, copy: bool) -> None:
    """Raise if a copy is requested of data on disk, because it would read everything into memory."""
    stored = [m for m, a in mdata.mod.items() if any(map(matrices.on_disk, (a.X, *named_layers(a).values())))]
    if copy and stored:
        raise ValueError(
            f"`copy` is set, but {shorten(stored)} is on disk and can not be copied in memory. "
            "Leave `copy` out: results are written into the object, not into its file."
        )


def check_modalities(mdata: MuData, modalities: Sequence[str], argument: str = "modalities") -> None:
    """Raise unless each of ``modalities`` is a non-empty modality of ``mdata`` with unique names."""
    missing = [m for m in modalities if m not in mdata.mod]
    if missing:
        raise ValueError(
            f"`{argument}` names {shorten(missing)}, which the MuData lacks. It has {shorten(mdata.mod)}. "
            "Name one of these."
        )
    for modality in modalities:
        adata = mdata.mod[modality]
        if adata.n_obs == 0 or adata.n_vars == 0:
            raise ValueError(
                f"modality {modality!r} of `{argument}` is empty: {adata.n_obs} cells x {adata.n_vars} features. "
                "Leave it out or fill it."
            )
        for axis, names, remedy in (
            ("obs", adata.obs_names, "obs_names_make_unique"),
            ("var", adata.var_names, "var_names_make_unique"),
        ):
            if not names.is_unique:
                twice = names[names.duplicated()].unique()
                raise ValueError(
                    f"modality {modality!r} has duplicate {axis}_names: {shorten(twice)}. "
                    f"Make them unique, e.g. `mdata[{modality!r}].{remedy}()` followed by `mdata.update()`."
                )


def layer_names(
    layers: str | Mapping[str, str | None] | None, modalities: Sequence[str], argument: str = "layers"
) -> dict[str, str | None]:
    """Return the layer of each modality. ``None``, or a modality that is not named, means ``X``."""
    if layers is None or isinstance(layers, str):
        return dict.fromkeys(modalities, layers)
    unknown = set(layers) - set(modalities)
    if unknown:
        raise ValueError(
            f"`{argument}` names the modalities {shorten(sorted(unknown))}. Name layers of {shorten(modalities, 20)}."
        )
    return {m: layers.get(m) for m in modalities}


def layer_matrix(mdata: MuData, modality: str, layer: str | None, argument: str = "layers") -> Any:
    """Return the matrix that ``layer`` names (``None``: ``X``), of a type that can be computed with.

    Raise if the modality lacks it, or it is damaged.
    """
    adata = mdata.mod[modality]
    if layer is None:
        if adata.X is None:
            raise ValueError(f"modality {modality!r} has no X. Name one of its layers: {shorten(named_layers(adata))}.")
        check_sparse(adata.X, f"X of modality {modality!r}")
        return matrices.computable(adata.X)
    if layer not in adata.layers:
        raise ValueError(
            f"`{argument}` names {layer!r} for modality {modality!r}, which has layers "
            f"[{shorten(named_layers(adata))}]. Name one of these, or None for X."
        )
    check_sparse(adata.layers[layer], f"layer {layer!r} of modality {modality!r}")
    return matrices.computable(adata.layers[layer])
