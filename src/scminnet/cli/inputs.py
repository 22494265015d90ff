"""Reading cells for the commands: MuData, AnnData and 10x files, told apart by their content."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import pandas as pd
import scanpy as sc
from anndata import AnnData, read_h5ad
from mudata import MuData, read_h5mu, read_zarr

from scminnet._core import compat
from scminnet._core.arguments import shorten
from scminnet._core.mdata import check_modalities
from scminnet._core.sparse_structure import check_sparse, check_stored
from scminnet._core.user_warnings import warn
from scminnet.pp._kinds import GENES, PEAKS, PROTEINS, check_one_kind, feature_types, kind_of_name

#: Share of the smaller file's cells from which on equal names mean that cells were measured twice.
PAIRED_SHARE = 0.5

#: Names that muon gives to modalities of a 10x file.
MUON_NAMES = {GENES: "rna", PEAKS: "atac", PROTEINS: "prot"}


@contextmanager
def reading(path: Path, *, explained: bool = False) -> Iterator[None]:
    """Turn whatever a reader raises on a damaged file into an error that names the file.

    Parameters
    ----------
    path
        The file.
    explained
        The reader is scminnet's own: its ``ValueError`` says all but the name of the file.
    """
    try:
        yield
    # readers raise errors of many kinds on what is no table or array of their own
    except Exception as error:
        if explained and isinstance(error, ValueError):
            raise ValueError(f"{path.name}: {error}") from error
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        reason = " ".join(str(text).split())[:300].rstrip(".") or type(error).__name__
        raise ValueError(f"{path.name} can not be read: {reason}. It is damaged, or of another format.") from error


def read_cells(
    paths: Sequence[Path],
    modalities: Sequence[str] | None,
    pairs: str = "auto",
    kinds: Mapping[str, str] | None = None,
) -> MuData:
    """Read the modalities of ``scminnet integrate``.

    Parameters
    ----------
    paths
        One file with all modalities, or one file per modality, in their order.
    modalities
        Names of the modalities. ``None``: those of the single file, which has two.
    pairs
        ``"names"``: cells of one name are one cell. ``"none"``: they are different cells, and the name of the modality
        is appended to their names. ``"auto"``: as ``"names"`` in one file, otherwise decided by the share of equal
        names.
    kinds
        Kinds of modalities whose names do not tell: ``"genes"``, ``"peaks"`` or ``"proteins"``.

    Raises
    ------
    ValueError
        A modality is missing, a file can not be read, or ``"auto"`` can not decide.
    """
    if len(paths) == 1:
        mdata = read_mudata(paths[0], modalities, kinds)
        names = list(mdata.mod) if modalities is None else list(modalities)
        if modalities is None and len(names) != 2:
            raise ValueError(
                f"{paths[0].name} has {len(names)} modalities: {shorten(names)}. Name those to use in --modalities."
            )
        return mdata if pairs != "none" else _apart({m: _with_columns(mdata, m) for m in names})
    cells = {m: _read_modality(path, m, kinds) for path, m in zip(paths, modalities or (), strict=True)}
    for m, adata in cells.items():
        if not adata.obs_names.is_unique:
            raise ValueError(f"two cells of modality {m!r} have the same obs_names. Make the names unique.")
    if pairs == "none" or (pairs == "auto" and not _equal_names_are_pairs(cells)):
        return _apart(cells)
    return MuData(cells)


def read_mudata(path: Path, modalities: Sequence[str] | None = None, kinds: Mapping[str, str] | None = None) -> MuData:
    """Read a file that holds several modalities. The feature types of an AnnData or 10x file tell them apart.

    Parameters
    ----------
    path
        The file.
    modalities
        Modalities that must be there. ``None``: whatever is there, with muon's names in files without names.
    kinds
        Kinds of modalities whose names do not tell.

    Raises
    ------
    ValueError
        The file can not be read, lacks a modality, holds one modality only, or a modality mixes feature types.
    """
    read = read_file(path)
    if isinstance(read, AnnData):
        read = _split(read, modalities, kinds or {}, path)
    if modalities is not None:
        check_modalities(read, modalities)
    for m in modalities or read.mod:
        _check_values(read.mod[m], m)
    return read


def read_query(path: Path, features: Mapping[str, Collection[str]]) -> MuData:
    """Read cells measured in any of a model's modalities.

    Parameters
    ----------
    path
        The file. A file without names of modalities is recognised by its features.
    features
        By modality of the model, the names of its features.

    Raises
    ------
    ValueError
        The file can not be read, or its features do not tell the modality.
    """
    read = read_file(path)
    if isinstance(read, MuData):
        for m in features:
            if m in read.mod:
                _check_values(read.mod[m], m)
        return read
    found: dict[str, AnnData] = {}
    for kind, part in _parts(read).items():
        shared = [m for m, names in features.items() if part.var_names.isin(names).any()]
        # expression and gene activity have the same features
        named = [m for m in shared if kind is None or kind_of_name(m) in (None, kind)]
        if len(named) > 1 or (len(named) == 1 and named[0] in found):
            raise ValueError(
                f"{path.name} does not tell which of the model's modalities it holds: {shorten(named)}. "
                f"Name it: mudata.MuData({{{named[0]!r}: adata}}).write('query.h5mu')."
            )
        found.update(dict.fromkeys(named, part))
    if not found:
        raise ValueError(
            f"{path.name} has none of the features of the model's modalities {shorten(features)}: it has "
            f"{shorten(read.var_names, 3)}. Give cells with the model's features."
        )
    return MuData(found)


def read_file(path: Path) -> MuData | AnnData:
    """Read a file by its content: MuData (HDF5 or zarr), AnnData, or a 10x feature-barcode matrix."""
    if path.is_dir():
        # optional: only stores of zarr need it
        import zarr

        with reading(path), compat.mudata_0_4_behaviour():
            check_stored(zarr.open_group(path, mode="r"), path.name)
            return read_zarr(path)
    if not path.is_file() or not h5py.is_hdf5(path):
        raise ValueError(
            f"{path.name} is no HDF5 file. Give an .h5mu, .h5ad or 10x .h5 file, uncompressed, or the folder of a "
            "MuData in zarr."
        )
    with reading(path), compat.without_warning("(Variable|Observation) names are not unique"):
        with h5py.File(path) as h5:
            parts = set(h5)
            if "mod" in parts or {"obs", "var"} <= parts:
                check_stored(h5, path.name)
        if "mod" in parts:
            return read_h5mu(path)
        if {"obs", "var"} <= parts:
            return read_h5ad(path)
        adata = sc.read_10x_h5(path, gex_only=False)
        check_sparse(adata.X, path.name)
    # several genes can have one symbol
    adata.var_names_make_unique()
    return adata


def read_names(path: Path) -> list[str]:
    """Read names of cells, one a line, each once. Blanks and quotes around them, and empty lines, are left out."""
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is no text file in UTF-8. Give the names of cells, one per line.") from error
    lines = (line.strip() for line in text.splitlines())
    names = (line[1:-1].strip() if line[:1] == line[-1:] and line[:1] in ('"', "'") else line for line in lines)
    return list(dict.fromkeys(name for name in names if name))


def _check_values(adata: AnnData, modality: str) -> None:
    """Raise if a modality has no values, or mixes feature types."""
    if adata.X is None:
        raise ValueError(f"modality {modality!r} has no X. Put its values there.")
    check_one_kind(adata, modality)


def _parts(adata: AnnData) -> dict[str | None, AnnData]:
    """Return the features of each type, by type. ``None``: no type is known."""
    types = feature_types(adata)
    found = list(types.dropna().unique())
    if adata.X is None:
        raise ValueError("the AnnData has no X. Put its values there.")
    if len(found) < 2:
        return {found[0] if found else None: adata}
    if types.isna().any():
        warn(f"{types.isna().sum():,} features without a feature type are left out (var['feature_types']).")
    return {kind: adata[:, (types == kind).to_numpy()].copy() for kind in found}


def _split(adata: AnnData, modalities: Sequence[str] | None, kinds: Mapping[str, str], path: Path) -> MuData:
    """Return each feature type as a modality."""
    parts = _parts(adata)
    if len(parts) < 2:
        raise ValueError(
            f"{path.name} holds one modality{'' if None in parts else f' ({next(iter(parts))})'}. "
            "Give one .h5mu file with all modalities, or a file whose var['feature_types'] tells them apart. "
            "`scminnet integrate` also takes one file per modality."
        )
    if modalities is None:
        return MuData({MUON_NAMES.get(str(kind), str(kind)): part for kind, part in parts.items()})
    found: dict[str, str] = {}
    for m in modalities:
        own = _of_modality(parts, m, kinds)
        if own is None or own in found.values():
            raise ValueError(
                f"{path.name} has the feature types {shorten(map(str, parts))}, none of which is {m!r}. "
                "Name modalities in --modalities by what they hold, e.g. rna, atac or adt."
            )
        found[m] = own
    return MuData({m: parts[kind] for m, kind in found.items()})


def _of_modality(parts: Collection[str | None], modality: str, kinds: Mapping[str, str]) -> str | None:
    """Return the feature type that a modality means: by its kind, or by the type's own name."""
    kind = kinds.get(modality) or kind_of_name(modality) or modality
    return kind if kind in parts else None


def _read_modality(path: Path, modality: str, kinds: Mapping[str, str] | None) -> AnnData:
    read = read_file(path)
    if isinstance(read, MuData):
        if modality not in read.mod:
            raise ValueError(
                f"{path.name} has no modality {modality!r}. It has {shorten(read.mod)}. Name one of these."
            )
        _check_values(read.mod[modality], modality)
        return _with_columns(read, modality)
    parts = _parts(read)
    if len(parts) == 1:
        _check_values(read, modality)
        return read
    own = _of_modality(parts, modality, kinds or {})
    if own is None:
        # says which types there are, and how to tell them apart
        check_one_kind(read, modality)
    return parts[own]


def _with_columns(mdata: MuData, modality: str) -> AnnData:
    """Return a modality with the columns of ``mdata.obs`` that it lacks."""
    adata = mdata.mod[modality]
    missing = [column for column in mdata.obs if column not in adata.obs and ":" not in column]
    adata.obs = pd.concat([adata.obs, mdata.obs.loc[adata.obs_names, missing]], axis=1)
    return adata


def _equal_names_are_pairs(cells: dict[str, AnnData]) -> bool:
    """Say whether cells of one name are one cell. Raise if it is unclear."""
    names = list(cells)
    answers = set()
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            shared = cells[a].obs_names.intersection(cells[b].obs_names)
            smaller = min(cells[a].n_obs, cells[b].n_obs)
            if len(shared) == 0:
                continue
            if len(shared) < PAIRED_SHARE * smaller:
                raise ValueError(
                    f"{len(shared):,} of {smaller:,} cells have the same name in {a!r} and {b!r}, e.g. "
                    f"{shorten(shared, 2)}. Barcodes of different samples can be equal. Give `--pairs names` if these "
                    "are the same cells, or `--pairs none` if not."
                )
            answers.add(True)
    return bool(answers)


def _apart(cells: dict[str, AnnData]) -> MuData:
    """Put modalities of different cells together. The modality is appended to names that occur twice."""
    names = pd.Index([]).append([adata.obs_names for adata in cells.values()])
    if not names.is_unique:
        for m, adata in cells.items():
            adata.obs_names = adata.obs_names + f"-{m}"
    return MuData(cells)
