"""``mdata.minnet``: the steps after training, as methods of the MuData.

Methods import what they call, so that ``import scminnet`` stays quick.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import mudata
import pandas as pd
from mudata import MuData

if TYPE_CHECKING:
    from scminnet.model import Diagnosis, MinNet


@mudata.register_mudata_namespace("minnet")
class MinNetAccessor:
    """What scminnet does with a MuData, as methods of ``mdata.minnet``.

    Parameters
    ----------
    mdata
        The MuData.
    """

    def __init__(self, mdata: MuData) -> None:
        self._mdata = mdata

    def embed(self, model: MinNet, **kwargs: Any) -> MuData | None:
        """Embed the cells with a trained model; arguments as in :meth:`scminnet.MinNet.embed`."""
        return model.embed(self._mdata, **kwargs)

    def diagnose(self, model: MinNet, **kwargs: Any) -> Diagnosis:
        """Compare the cells with a model's reference; arguments as in :meth:`scminnet.MinNet.diagnose`."""
        return model.diagnose(self._mdata, **kwargs)

    def integration_report(self, modalities: Sequence[str], labels_key: str, **kwargs: Any) -> pd.DataFrame:
        """Measure the embedding; arguments as in :func:`scminnet.metrics.integration_report`."""
        from scminnet.metrics import integration_report

        return integration_report(self._mdata, modalities=modalities, labels_key=labels_key, **kwargs)

    def transfer_labels(self, source: str, target: str, labels_key: str, **kwargs: Any) -> MuData | None:
        """Transfer labels between modalities' cells; arguments as in :func:`scminnet.tl.transfer_labels`."""
        from scminnet.tl import transfer_labels

        return transfer_labels(self._mdata, source, target, labels_key, **kwargs)

    def match_cells(self, source: str, target: str, **kwargs: Any) -> MuData | None:
        """Pair cells of two modalities; arguments as in :func:`scminnet.tl.match_cells`."""
        from scminnet.tl import match_cells

        return match_cells(self._mdata, source, target, **kwargs)

    def smooth(self, **kwargs: Any) -> MuData | None:
        """Sum values over neighbours in the embedding; arguments as in :func:`scminnet.tl.minnet_smooth`."""
        from scminnet.tl import minnet_smooth

        return minnet_smooth(self._mdata, **kwargs)

    def minibulk(self, n_bulks: int = 100, **kwargs: Any) -> MuData:
        """Sum counts over small groups of near cells; arguments as in :func:`scminnet.tl.minibulk`."""
        from scminnet.tl import minibulk

        return minibulk(self._mdata, n_bulks, **kwargs)

    def cre_links(self, tss: pd.DataFrame | str | os.PathLike[str], **kwargs: Any) -> MuData | None:
        """Correlate genes with near peaks; arguments as in :func:`scminnet.tl.cre_links`."""
        from scminnet.tl import cre_links

        return cre_links(self._mdata, tss, **kwargs)

    def differential_links(self, condition: str, reference: str, **kwargs: Any) -> MuData | None:
        """Compare links between conditions; arguments as in :func:`scminnet.tl.differential_links`."""
        from scminnet.tl import differential_links

        return differential_links(self._mdata, condition, reference, **kwargs)
