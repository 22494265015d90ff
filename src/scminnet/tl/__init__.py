"""What is done with an embedding: any in ``obsm`` will do, of MinNet or of another method."""

from scminnet.tl.cre_links import cre_links
from scminnet.tl.differential_links import differential_links
from scminnet.tl.export_links import export_links
from scminnet.tl.export_peaks import export_peaks
from scminnet.tl.export_seurat import export_seurat
from scminnet.tl.impute import impute
from scminnet.tl.link_support import LinkSupport, link_support
from scminnet.tl.match_cells import match_cells
from scminnet.tl.minibulk import minibulk
from scminnet.tl.minnet_smooth import minnet_smooth
from scminnet.tl.motif_enrichment import motif_enrichment
from scminnet.tl.region_enrichment import region_enrichment
from scminnet.tl.summarise_genes import summarise_genes
from scminnet.tl.transfer_labels import transfer_labels

__all__ = [
    "LinkSupport",
    "cre_links",
    "differential_links",
    "export_links",
    "export_peaks",
    "export_seurat",
    "impute",
    "link_support",
    "match_cells",
    "minibulk",
    "minnet_smooth",
    "motif_enrichment",
    "region_enrichment",
    "summarise_genes",
    "transfer_labels",
]


def __dir__() -> list[str]:
    return list(__all__)
