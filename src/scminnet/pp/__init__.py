from scminnet.pp.margin_graph import margin_graph

__all__ = ["margin_graph"]
