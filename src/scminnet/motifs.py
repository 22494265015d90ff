"""The public name of :mod:`scminnet.genomics.motifs`."""

from scminnet.genomics.motifs import Motif, find_motifs, log_odds, read_motifs, score_threshold

__all__ = ["Motif", "find_motifs", "log_odds", "read_motifs", "score_threshold"]


def __dir__() -> list[str]:
    return list(__all__)
