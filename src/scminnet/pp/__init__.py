from scminnet.pp.gene_activity import gene_activity
from scminnet.pp.margin_graph import margin_graph

__all__ = ["gene_activity", "margin_graph"]
