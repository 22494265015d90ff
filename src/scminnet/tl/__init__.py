"""What an embedding is for; works on any in ``obsm``, whatever made it."""

from scminnet.tl.match_cells import match_cells
from scminnet.tl.minnet_smooth import minnet_smooth
from scminnet.tl.transfer_labels import transfer_labels

__all__ = ["match_cells", "minnet_smooth", "transfer_labels"]
