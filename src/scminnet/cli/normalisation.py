"""Normalisation of what the commands are given: counts are normalised, other values taken as they are."""

from __future__ import annotations

from collections.abc import Sequence

from mudata import MuData

from scminnet._core.values import looks_like_counts
from scminnet.pp import normalize
from scminnet.pp._kinds import GENES, told_kind

#: What is said of each method of normalisation.
WORDS = {"log": "log-normalised", "clr": "CLR-transformed", "tfidf": "TF-IDF-transformed"}


def normalise_counts(mdata: MuData, modalities: Sequence[str]) -> list[str]:
    """Normalise the modalities that hold counts, in place; return what was done, one text a modality."""
    counts = [m for m in modalities if looks_like_counts(mdata.mod[m].X)]
    untold = [m for m in counts if told_kind(mdata.mod[m], m) is None]
    if counts:
        normalize(mdata, counts, kinds=dict.fromkeys(untold, GENES))
    done = []
    for m in modalities:
        if m in counts:
            kind = "counts, taken as genes'" if m in untold else "counts"
            done.append(f"{m}: {kind}, {WORDS[mdata.mod[m].uns['normalize']['method']]}")
        else:
            done.append(f"{m}: taken as normalised")
    return done
