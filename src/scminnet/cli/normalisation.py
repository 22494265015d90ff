"""Normalisation of the commands' input: counts are normalised, other values are used unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from mudata import MuData

from scminnet._core.values import looks_like_counts
from scminnet.pp import normalize
from scminnet.pp._kinds import GENES, infer_kind

#: Name of each normalisation method in messages.
WORDS = {"log": "log-normalised", "clr": "CLR-transformed", "tfidf": "TF-IDF-transformed"}


def normalise_counts(mdata: MuData, modalities: Sequence[str]) -> list[str]:
    """Normalise the modalities that hold counts, in place. Return one text per modality that says what was done."""
    counts = [m for m in modalities if looks_like_counts(mdata.mod[m].X)]
    unknown = [m for m in counts if infer_kind(mdata.mod[m], m) is None]
    if counts:
        normalize(mdata, counts, kinds=dict.fromkeys(unknown, GENES))
    done = []
    for m in modalities:
        if m in counts:
            kind = "counts, treated as genes" if m in unknown else "counts"
            done.append(f"{m}: {kind}, {WORDS[mdata.mod[m].uns['normalize']['method']]}")
        else:
            done.append(f"{m}: treated as normalised")
    return done
