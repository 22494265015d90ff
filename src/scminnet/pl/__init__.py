"""Figures."""

from scminnet.pl.confusion import transfer_heatmap
from scminnet.pl.correlations import correlation_by_distance, smoothing_gain
from scminnet.pl.embedding import embedding
from scminnet.pl.history import history
from scminnet.pl.imputed import imputed
from scminnet.pl.link_scatter import link_scatter
from scminnet.pl.links import LinkAxes, links
from scminnet.pl.pair_distances import pair_distances

__all__ = [
    "LinkAxes",
    "correlation_by_distance",
    "embedding",
    "history",
    "imputed",
    "link_scatter",
    "links",
    "pair_distances",
    "smoothing_gain",
    "transfer_heatmap",
]


def __dir__() -> list[str]:
    return list(__all__)
