"""Counts ATAC fragments directly from their file, in chunks.

The file is read with pandas, because the alternatives do not fit. ``muon.atac.tl.count_fragments_features`` needs pysam
and a tabix index, looks up each fragment in a Python loop, ignores strands (at least up to 0.1.9 it reads them from the
column of chromosomes) and silently skips failures. SnapATAC2 needs pandas below 3 and some twenty packages, and takes
genes from a GTF or GFF file, not from a TSS table.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scminnet._core.arguments import shorten
from scminnet._core.cell_names import find_alike
from scminnet._core.logging import logger
from scminnet._core.obs import obs_column
from scminnet._core.text_files import UnreadableError, open_text, read_lines
from scminnet._core.user_warnings import warn
from scminnet.genomics.intervals import LONGEST, position_fault

#: Fragments read at a time, about 200 MB.
_CHUNK = 2_000_000

_COLUMNS = ("chrom", "start", "end", "barcode")

#: With a smaller share of the barcodes, and more that are written otherwise, barcodes are written otherwise.
_MIN_SHARE = 0.05

_REMEDY = "Give tab-separated chromosome, start, end and barcode, as Cell Ranger writes them, plain or gzipped."


#: A file of fragments, or one for each batch.
Fragments = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]


class Sums(NamedTuple):
    """Weighted sums over peaks or fragments (cells x genes, CSR float32), their number per gene and per chromosome."""

    matrix: sparse.csr_matrix
    n_counted: np.ndarray
    chroms: pd.Series


class FileCells(NamedTuple):
    """A fragments file, and the rows and barcodes of its cells."""

    path: Path
    rows: np.ndarray
    barcodes: pd.Index


def cells_of_files(
    mdata: MuData, atac: str, fragments: Fragments, batch_key: str | None, barcode_key: str | None
) -> list[FileCells]:
    """Find the cells of each file. Raise unless each cell has one file and a unique barcode in it.

    The arguments are those of :func:`~scminnet.pp.gene_activity`, which lists the errors.
    """
    adata = mdata.mod[atac]
    if barcode_key is None:
        barcodes = pd.Index(adata.obs_names.astype(str))
    elif barcode_key in adata.obs:
        if adata.obs[barcode_key].isna().any():
            raise ValueError(f"`barcode_key`={barcode_key!r} has missing values. Give every cell a barcode.")
        barcodes = pd.Index(adata.obs[barcode_key].astype(str))
    else:
        raise KeyError(
            f"`barcode_key` is {barcode_key!r}, which is not a column of mdata[{atac!r}].obs. "
            f"Name one of {shorten(adata.obs.columns, 10)}."
        )
    if not isinstance(fragments, Mapping):
        if batch_key is not None:
            raise ValueError(f"`batch_key` is {batch_key!r}, but `fragments` is a single file. Give {{batch: path}}.")
        files = {fragments: np.arange(adata.n_obs)}
    else:
        if batch_key is None:
            raise ValueError("`fragments` names batches. Give the column that holds them as `batch_key`.")
        batches = obs_column(mdata, batch_key, [atac], "batch_key").loc[adata.obs_names]
        lacking = [batch for batch in batches.unique() if batch not in fragments]
        if lacking:
            raise ValueError(f"`fragments` has no file for the batches {shorten(lacking)}. Give one per batch.")
        files = {path: np.flatnonzero(batches == batch) for batch, path in fragments.items()}
    for path, rows in files.items():
        if not Path(path).is_file():
            raise FileNotFoundError(f"`fragments`: there is no file {str(path)!r}. Give the path of a fragments file.")
        twice = barcodes[rows][barcodes[rows].duplicated()].unique()
        if len(twice):
            raise ValueError(
                f"`barcode_key`: {len(twice):,} barcodes belong to several cells of one file, "
                f"e.g. {shorten(twice, 3)}. "
                "Give each batch its own file: `fragments={batch: path}`."
            )
    return [FileCells(Path(path), rows, barcodes[rows]) for path, rows in files.items() if len(rows)]


def sum_fragments(
    files: Sequence[FileCells], n_cells: int, n_genes: int, weigh: Callable[[pd.DataFrame], sparse.csc_matrix]
) -> Sums:
    """Sum the weights of each cell's fragments. Other barcodes are ignored.

    Parameters
    ----------
    files
        Result of :func:`cells_of_files`.
    n_cells, n_genes
        Shape of the sums.
    weigh
        Function that turns a table of fragments (``chrom``, ``start``, ``end``) into weights, fragments x genes.

    Returns
    -------
    The sums. A fragment counts once, whatever its number of reads.

    Raises
    ------
    ValueError
        A file is not a fragments file, or has none of its cells' barcodes, or less than 5 % and more that are written
        otherwise.
    """
    total = sparse.csr_matrix((n_cells, n_genes), dtype=np.float32)
    n_counted = np.zeros(n_genes, dtype=np.int64)
    chroms = pd.Series(dtype=np.int64)
    for path, rows, barcodes in files:
        logger.info("counting fragments of %d cells in %s", len(rows), path.name)
        seen = pd.Index([])
        has_fragments = np.zeros(len(barcodes), dtype=bool)
        for chunk in _chunks(path):
            spellings = chunk["barcode"].cat.categories
            seen = seen if len(seen) else spellings
            cell = barcodes.get_indexer(spellings)[chunk["barcode"].cat.codes]
            chunk, cell = chunk[cell >= 0], cell[cell >= 0]
            row = rows[cell]
            has_fragments[cell] = True
            on_each = chunk["chrom"].value_counts()
            chroms = chroms.add(on_each[on_each > 0].rename(str), fill_value=0).astype(np.int64)
            weights = weigh(chunk)
            n_counted += np.diff(weights.indptr)
            of_cell = sparse.csr_matrix(
                (np.ones(len(row), np.float32), (row, np.arange(len(row)))), (n_cells, len(row))
            )
            total += of_cell @ weights
        _check_barcodes(path, barcodes, has_fragments, seen)
    return Sums(total, n_counted, chroms.sort_values(ascending=False, kind="stable"))


def _check_barcodes(path: Path, barcodes: pd.Index, has_fragments: np.ndarray, seen: pd.Index) -> None:
    """Raise or warn if a file lacks the barcodes of most of its cells."""
    n_found, n = int(has_fragments.sum()), len(barcodes)
    if n_found >= n / 2:
        return
    alike = find_alike(barcodes, seen)
    found = f"has {f'only {n_found:,}' if n_found else 'none'} of the {n:,} barcodes {shorten(barcodes, 3)}"
    text = (
        f"`fragments`: {path.name!r} {found}; it has {shorten(seen, 3)}. {f'{alike.sentence()} ' if alike else ''}"
        "Give as `barcode_key` the column of the modality's `obs` with the file's barcodes."
    )
    if n_found == 0 or (alike and n_found < _MIN_SHARE * n):
        raise ValueError(text)
    warn(text)


def _chunks(path: Path) -> Iterator[pd.DataFrame]:
    """Yield tables of fragments."""
    with open_text(path, "fragments") as file:
        # not `comment="#"`, because barcodes may contain one
        n_comments = next((i for i, line in enumerate(file) if not line.startswith("#")), None)
    if n_comments is None:
        raise ValueError(f"`fragments`: {path.name!r} is not a fragments file: it has no fragment. {_REMEDY}")
    try:
        with open_text(path, "fragments") as file:
            chunks = pd.read_csv(
                file,
                sep="\t",
                header=None,
                names=list(_COLUMNS),
                usecols=range(len(_COLUMNS)),
                skiprows=n_comments,
                # not "category", because pandas 3.1 turns it into numbers, so that "1" and "01" become equal
                dtype={"chrom": str, "start": np.int64, "end": np.int64, "barcode": str},
                # a barcode may be called NA
                keep_default_na=False,
                quoting=csv.QUOTE_NONE,
                chunksize=_CHUNK,
            )
            for chunk in chunks:
                start, end = chunk["start"].to_numpy(), chunk["end"].to_numpy()
                chunk = chunk.astype({"chrom": "category", "barcode": "category"})
                named = all("" not in chunk[column].cat.categories for column in ("chrom", "barcode"))
                if not (named and (0 <= start).all() and (start < end).all() and (end <= LONGEST).all()):
                    raise ValueError("some rows are no fragments")
                yield chunk
    except UnreadableError:
        raise
    except (ValueError, OverflowError) as error:
        _check_lines(path)
        raise ValueError(f"`fragments`: {path.name!r} is not a fragments file ({error}). {_REMEDY}") from error


def _check_lines(path: Path) -> None:
    """Raise for the first line that is no fragment. Slower than pandas, which does not name the line."""
    is_header = True
    for number, fields in read_lines(path, "fragments"):
        is_header &= fields[0].startswith("#")
        if is_header:
            continue
        place = f"`fragments`: {path.name!r} is not a fragments file: line {number:,}"
        if len(fields) < len(_COLUMNS) or "" in (fields[0], fields[3]):
            raise ValueError(f"{place} is {' '.join(fields)[:60]!r}. {_REMEDY}")
        if fault := position_fault(fields[1], fields[2]):
            raise ValueError(f"{place} {fault}")
