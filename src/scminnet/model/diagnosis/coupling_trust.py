"""What a model keeps of its coupling, and what ``diagnose`` says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import pandas as pd

from scminnet.metrics.mixing import mixing_of
from scminnet.model.diagnosis.verdict import VERDICTS, Finding

#: Neighbours in which coupled modalities are counted, and the least mixing of modalities that lie together. On training
#: cells it was 0.6 to 0.9, and at most 0.16 where a UMAP showed a gap (``docs/decisions.md``).
NEIGHBORS = 30
LEAST_MIXING = 0.25

#: Verdicts on links as the table of a diagnosis words them.
_WORDS = dict(zip(("holds", "uncertain", "fails"), VERDICTS, strict=True))


class SideSummary(TypedDict):
    """One modality's coupled cells."""

    cells: np.ndarray
    """Names of the coupled cells, of the query too."""
    price: np.ndarray
    """How much dearer each cell's partners are than the typical cell's, float32, in units of the cost (0 to 2)."""
    p_value: np.ndarray
    """Probability of so weak a counterpart if there were one, float32. NaN if not judged."""
    unmatched: np.ndarray
    """Whether each cell lacks a partner, bool."""
    with_partner: float
    """Share of cells with a partner."""
    with_partner_by_type: dict[str, float]
    """The same for each known cell type."""
    with_partner_by_batch: dict[str, float]
    """The same for each batch of the reference."""


class PairSummary(TypedDict):
    """The coupling of two modalities: plain values and arrays, saved with the model."""

    verdict: str
    """``"holds"``, ``"uncertain"`` or ``"fails"``, by how left-out links agree."""
    agreement: float
    """Mean correlation of left-out links."""
    shuffled: np.ndarray
    """The same for each set of shuffled links, float64."""
    p_value: float
    """Probability of the agreement with shuffled links."""
    links: dict[str, float]
    """Correlation by link, named by a feature of the modality with fewer linked features."""
    sides: dict[str, SideSummary]
    """By modality."""


def coupling_findings(
    kept: Mapping[str, PairSummary], embeddings: Mapping[str, np.ndarray], *, seed: int
) -> list[Finding]:
    """Return the rows of a diagnosis.

    Parameters
    ----------
    kept
        By pair of modalities, what the training found.
    embeddings
        By modality, embedded cells or a sample of them.
    seed
        Seed of the neighbour search.
    """
    found = []
    for pair, summary in kept.items():
        word = _WORDS[summary["verdict"]]
        found.append(Finding("links", pair, summary["agreement"], float(summary["shuffled"].max()), word))
        if word != VERDICTS[2]:
            found += [
                Finding("partners", f"{m} of {pair}" if len(kept) > 1 else m, side["with_partner"], 1.0)
                for m, side in summary["sides"].items()
            ]
        parts = [embeddings[m] for m in summary["sides"]]
        codes = np.repeat([0, 1], [len(part) for part in parts])
        mixing = mixing_of(np.concatenate(parts), codes, NEIGHBORS, seed)
        found.append(Finding("neighbor_mixing", pair, mixing, LEAST_MIXING))
    return found


def unmatched_table(kept: Mapping[str, PairSummary]) -> pd.DataFrame:
    """Return one row for each coupled cell, modality and other modality, indexed by the cells' names."""
    columns = ["modality", "other", "price", "p_value", "unmatched"]
    tables = []
    for summary in kept.values():
        first, second = summary["sides"]
        for own, other in ((first, second), (second, first)):
            side = summary["sides"][own]
            values = {"price": side["price"], "p_value": side["p_value"], "unmatched": side["unmatched"]}
            rows = pd.DataFrame(values, index=side["cells"])
            tables.append(rows.assign(modality=own, other=other)[columns])
    return pd.concat(tables) if tables else pd.DataFrame(columns=columns)
