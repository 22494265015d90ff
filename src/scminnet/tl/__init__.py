"""What an embedding is for; works on any in ``obsm``, whatever made it."""

from scminnet.tl.cre_links import cre_links
from scminnet.tl.differential_links import differential_links
from scminnet.tl.minibulk import minibulk
from scminnet.tl.minnet_smooth import minnet_smooth
from scminnet.tl.transfer_labels import transfer_labels

__all__ = ["cre_links", "differential_links", "minibulk", "minnet_smooth", "transfer_labels"]
