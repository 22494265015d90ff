"""Normalisation of the commands' input: counts are normalised, other values are used unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mudata import MuData

from scminnet._core.matrices import computable
from scminnet._core.values import looks_like_counts
from scminnet.pp import normalize
from scminnet.pp._kinds import GENES, infer_kind

#: Name of each normalisation method in messages.
WORDS = {"log": "log-normalised", "clr": "CLR-transformed", "tfidf": "TF-IDF-transformed"}


def normalise_counts(mdata: MuData, modalities: Sequence[str], kinds: Mapping[str, str] | None = None) -> list[str]:
    """Normalise the modalities that hold counts, in place. Return one text per modality that says what was done.

    ``kinds`` says what modalities measure, as in :func:`scminnet.pp.normalize`. Others of unknown kind are genes.
    """
    given = dict(kinds or {})
    counts = [m for m in modalities if looks_like_counts(computable(mdata.mod[m].X))]
    unknown = [m for m in counts if m not in given and infer_kind(mdata.mod[m], m) is None]
    if counts:
        known = {m: kind for m, kind in given.items() if m in counts}
        normalize(mdata, counts, kinds=known | dict.fromkeys(unknown, GENES))
    done = []
    for m in modalities:
        if m in counts:
            kind = "counts, treated as genes" if m in unknown else "counts"
            done.append(f"{m}: {kind}, {WORDS[mdata.mod[m].uns['normalize']['method']]}")
        else:
            done.append(f"{m}: treated as normalised")
    return done
