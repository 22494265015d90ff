"""What an embedding is for; works on any in ``obsm``, whatever made it."""

from scminnet.tl.transfer_labels import transfer_labels

__all__ = ["transfer_labels"]
