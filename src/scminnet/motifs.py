"""Motifs of transcription factors: read as matrices, and found in sequences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scminnet import _compat

#: Added to each column of counts, shared out as the nucleotides are; what motifmatchr and chromVAR add.
PSEUDOCOUNT = 0.8

#: Bits are multiples of this, so that the probabilities of scores can be summed exactly.
_STEP = 1e-3

#: Bases scanned at a time: bounds the memory of the scores (16 MiB).
_CHUNK = 2**22


class Motif(NamedTuple):
    """A motif: its id, the name of its factor, and how often each of A, C, G and T (rows) comes at each position."""

    id: str
    name: str
    counts: np.ndarray


def read_motifs(path: str | os.PathLike[str] | None = None) -> list[Motif]:
    """Read motifs from a file, or those that muon ships (JASPAR CORE, vertebrates).

    Parameters
    ----------
    path
        File in MEME or JASPAR format, or the four bare rows of one matrix. ``None``: muon's.

    Raises
    ------
    ImportError
        Biopython is not installed.
    FileNotFoundError
        There is no such file.
    ValueError
        The file holds no motif in these formats.
    """
    _check_biopython()
    from Bio import motifs

    if path is None:
        folder = _compat.jaspar_folder()
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
    try:
        text = path.read_text(encoding="utf-8")
        start = text.lstrip()
        kind = "minimal" if start.startswith("MEME") else "jaspar" if start.startswith(">") else "pfm"
        with path.open(encoding="utf-8") as handle:
            parsed = list(motifs.parse(handle, kind))
        found = [
            Motif(str(getattr(m, "matrix_id", None) or m.name or path.stem), str(m.name or path.stem), _counts(m))
            for m in parsed
        ]
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"`motifs`: {path.name!r} can not be read: {error}. Give motifs in MEME or JASPAR format, or four rows of counts."
        ) from error
    if not found:
        raise ValueError(f"`motifs`: {path.name!r} holds no motif. Give motifs in MEME or JASPAR format.")
    return found


def _check_biopython() -> None:
    if find_spec("Bio") is None:
        raise ImportError("`motifs` need Biopython. Install it with `pip install 'scminnet[genome]'`.")


def _counts(motif: object) -> np.ndarray:
    return np.array([motif.counts[base] for base in "ACGT"], dtype=np.float64)


def log_odds(counts: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return how many bits each base at each position speaks for the motif: log2 of its share there over that in the background.

    Parameters
    ----------
    counts
        Array (4, width) of A, C, G and T.
    background
        Their shares, array (4,).

    Returns
    -------
    Array (4, width), rounded to thousandths.
    """
    counts = counts + PSEUDOCOUNT * background[:, None]
    return np.rint(np.log2(counts / counts.sum(axis=0) / background[:, None]) / _STEP) * _STEP


def score_threshold(bits: np.ndarray, background: np.ndarray, pvalue: float) -> float:
    """Return the lowest score that a random sequence of the background reaches with a probability of at most ``pvalue``.

    Parameters
    ----------
    bits
        Array (4, width) of :func:`log_odds`.
    background
        Shares of A, C, G and T, array (4,).
    pvalue
        Probability of a hit at one place of one strand.

    Returns
    -------
    The score; above any that there is where even the best match is more probable than ``pvalue``.
    """
    steps = np.rint(bits / _STEP).astype(np.int64)
    lowest = steps.min(axis=0)
    above = steps - lowest
    density = np.ones(1)
    for column in above.T:
        longer = np.zeros(len(density) + column.max())
        for step, share in zip(column, background, strict=True):
            longer[step : step + len(density)] += share * density
        density = longer
    tail = np.cumsum(density[::-1])[::-1]
    reached = np.flatnonzero(tail <= pvalue)
    first = reached[0] if len(reached) else len(tail)
    # between two possible scores: sums of floating-point numbers may miss by a little
    return float((lowest.sum() + first) * _STEP - _STEP / 2)


def find_motifs(
    sequences: Sequence[str], motifs: Sequence[Motif], background: np.ndarray, *, pvalue: float
) -> np.ndarray:
    """Tell which sequences hold which motifs, on either strand.

    Parameters
    ----------
    sequences
        DNA in upper case; a place with another letter than A, C, G and T matches nothing.
    motifs
        The motifs.
    background
        Shares of A, C, G and T in random sequence, array (4,).
    pvalue
        Probability of a hit at one place of one strand of random sequence.

    Returns
    -------
    Boolean array (sequences, motifs).
    """
    _check_biopython()
    from Bio.motifs.matrix import PositionSpecificScoringMatrix

    found = np.zeros((len(sequences), len(motifs)), dtype=bool)
    bits = [log_odds(motif.counts, background) for motif in motifs]
    thresholds = [score_threshold(b, background, pvalue) for b in bits]
    widest = max(b.shape[1] for b in bits)
    for first, last in _chunks([len(s) for s in sequences]):
        # an N between them keeps matches from running over from one sequence to the next
        text = ("N".join(sequences[first:last]) + "N" * widest).encode("ascii")
        starts = np.cumsum([0] + [len(s) + 1 for s in sequences[first : last - 1]])
        for i, (scores, threshold) in enumerate(zip(bits, thresholds, strict=True)):
            for strand in (scores, scores[::-1, ::-1]):
                matrix = PositionSpecificScoringMatrix("ACGT", dict(zip("ACGT", strand.tolist(), strict=True)))
                hits = np.flatnonzero(matrix.calculate(text) >= threshold)
                found[first + np.searchsorted(starts, hits, side="right") - 1, i] = True
    return found


def _chunks(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Cut sequences into runs of about ``_CHUNK`` bases."""
    ends = np.cumsum(lengths)
    cuts = [0, *(np.flatnonzero(np.diff(ends // _CHUNK)) + 1).tolist(), len(lengths)]
    return list(zip(cuts[:-1], cuts[1:], strict=True))
