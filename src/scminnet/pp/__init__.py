"""Preprocessing: quality control, normalisation, features, gene activity and the margin graph."""

from scminnet.pp.feature_links import feature_links
from scminnet.pp.filter_cells import filter_cells
from scminnet.pp.gene_activity import gene_activity
from scminnet.pp.join_modalities import join_modalities
from scminnet.pp.margin_graph import margin_graph
from scminnet.pp.normalize import normalize
from scminnet.pp.select_features import select_features

__all__ = [
    "feature_links",
    "filter_cells",
    "gene_activity",
    "join_modalities",
    "margin_graph",
    "normalize",
    "select_features",
]


def __dir__() -> list[str]:
    return list(__all__)
