"""Figures."""

from scminnet.pl.confusion import transfer_heatmap
from scminnet.pl.embedding import embedding
from scminnet.pl.history import history

__all__ = ["embedding", "history", "transfer_heatmap"]
