"""Motifs of transcription factors: reading them as matrices, and finding them in sequences."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from tqdm.auto import tqdm

from scminnet._core import compat
from scminnet._core.argument_types import check_types
from scminnet._core.text_files import open_text

#: Pseudocount per column, divided by the nucleotide frequencies, as in motifmatchr and chromVAR.
PSEUDOCOUNT = 0.8

#: Bases scanned at a time, which bounds the memory of the scores (about 100 MB with muon's motifs).
_CHUNK = 2**16

#: A progress bar is shown from this many chunks, because scanning then takes more than a few seconds.
_SHOW_PROGRESS_FROM = 8


class Motif(NamedTuple):
    """A motif: its id, the name of its factor, and the counts of A, C, G and T (rows) at each position."""

    id: str
    name: str
    counts: np.ndarray


@check_types
def read_motifs(path: str | os.PathLike[str] | None = None) -> list[Motif]:
    """Read motifs from a file, or those in muon (JASPAR CORE, vertebrates).

    Parameters
    ----------
    path
        File in MEME or JASPAR format, or the four rows of a single matrix. ``None``: the motifs in muon.

    Raises
    ------
    TypeError
        An argument is of the wrong type.
    ImportError
        Biopython is not installed.
    FileNotFoundError
        There is no such file.
    ValueError
        The file holds no motif in these formats.
    """
    try:
        from Bio import motifs
    except ImportError as error:
        raise ImportError(
            "`motifs`: reading matrices needs Biopython. Install it with `pip install 'scminnet[genome]'`."
        ) from error

    if path is None:
        folder = compat.jaspar_folder()
        names = dict(line.split("\t") for line in (folder / "motif_to_gene.txt").read_text().splitlines())
        found = []
        for file in sorted(folder.glob("*.pfm")):
            with file.open() as handle:
                found.append(Motif(file.stem, names[file.stem], _counts(motifs.read(handle, "pfm"))))
        return found
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"`motifs`: there is no file {str(path)!r}. Give a file of motifs in MEME or JASPAR format."
        )
    with open_text(path, "motifs") as handle:
        text = handle.read()
    start = text.lstrip()
    kind = "minimal" if start.startswith("MEME") else "jaspar" if start.startswith(">") else "pfm"
    try:
        parsed = list(motifs.parse(io.StringIO(text), kind))
        found = [
            Motif(str(getattr(m, "matrix_id", None) or m.name or path.stem), str(m.name or path.stem), _counts(m))
            for m in parsed
        ]
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"`motifs`: {path.name!r} can not be read: {error}. "
            "Give motifs in MEME or JASPAR format, or four rows of counts."
        ) from error
    if not found:
        raise ValueError(f"`motifs`: {path.name!r} holds no motif. Give motifs in MEME or JASPAR format.")
    return found


def _counts(motif: Any) -> np.ndarray:
    return np.array([motif.counts[base] for base in "ACGT"], dtype=np.float64)


def log_odds(counts: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return the score of each base at each position: log2 of its share in the motif over that in the background.

    Parameters
    ----------
    counts
        Array (4, width) of A, C, G and T.
    background
        Their shares, array (4,).

    Returns
    -------
    int64 array (4, width), in thousandths of a bit. Sums of whole numbers are exact, and so is their distribution.
    """
    counts = counts + PSEUDOCOUNT * background[:, None]
    bits = np.log2(counts / counts.sum(axis=0) / background[:, None])
    return np.rint(1000 * bits).astype(np.int64)


def score_threshold(scores: np.ndarray, background: np.ndarray, pvalue: float) -> int:
    """Return the lowest sum of scores that a random sequence reaches with a probability of at most ``pvalue``.

    Parameters
    ----------
    scores
        Array (4, width) of :func:`log_odds`.
    background
        Shares of A, C, G and T in random sequence, array (4,).
    pvalue
        Probability of a hit at one position of one strand.

    Returns
    -------
    The sum. It is larger than any possible sum if even the best match is more probable than ``pvalue``.
    """
    lowest = scores.min(axis=0)
    density = np.ones(1)
    for column in (scores - lowest).T:
        longer = np.zeros(len(density) + column.max())
        for step, share in zip(column, background, strict=True):
            longer[step : step + len(density)] += share * density
        density = longer
    tail = np.cumsum(density[::-1])[::-1]
    reached = np.flatnonzero(tail <= pvalue)
    return int(lowest.sum() + (reached[0] if len(reached) else len(tail)))


def find_motifs(
    sequences: Sequence[str], motifs: Sequence[Motif], background: np.ndarray, *, pvalue: float
) -> np.ndarray:
    """Find which sequences contain which motifs, on either strand.

    Parameters
    ----------
    sequences
        DNA in upper case. Positions with letters other than A, C, G and T match nothing.
    motifs
        The motifs.
    background
        Shares of A, C, G and T in random sequence, array (4,).
    pvalue
        Probability of a hit at one position of one strand of random sequence.

    Returns
    -------
    Boolean array (sequences, motifs).
    """
    found = np.zeros((len(sequences), len(motifs)), dtype=bool)
    scores = [log_odds(motif.counts, background) for motif in motifs]
    thresholds = np.array([score_threshold(s, background, pvalue) for s in scores])
    widths = np.array([s.shape[1] for s in scores])
    chunks = _chunks([len(s) for s in sequences])
    for first, last in tqdm(chunks, desc="motifs", disable=len(chunks) < _SHOW_PROGRESS_FROM):
        # an N between sequences prevents matches across their border
        text = "N".join(sequences[first:last]) + "N"
        letters = np.frombuffer((text + "N" * widths.max()).encode("ascii"), dtype=np.uint8)
        is_base = (letters[:, None] == np.frombuffer(b"ACGT", dtype=np.uint8)).astype(np.float32)
        starts = np.cumsum([0] + [len(s) + 1 for s in sequences[first : last - 1]])
        for width in np.unique(widths):
            same = np.flatnonzero(widths == width)
            strands = np.stack([s for i in same for s in (scores[i], scores[i][::-1, ::-1])])
            windows = sliding_window_view(is_base, width, axis=0)[: len(text)].reshape(len(text), 4 * width)
            # whole numbers far below 2**24 are exact in float32
            sums = windows @ strands.reshape(len(strands), 4 * width).T.astype(np.float32)
            place, strand = np.nonzero(sums >= np.repeat(thresholds[same], 2).astype(np.float32))
            whole = windows[place].sum(axis=1) == width
            sequence = np.searchsorted(starts, place[whole], side="right") - 1
            found[first + sequence, same[strand[whole] // 2]] = True
    return found


def _chunks(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Split sequences into runs of about ``_CHUNK`` bases."""
    ends = np.cumsum(lengths)
    cuts = [0, *(np.flatnonzero(np.diff(ends // _CHUNK)) + 1).tolist(), len(lengths)]
    return list(zip(cuts[:-1], cuts[1:], strict=True))
