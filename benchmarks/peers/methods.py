"""The methods that ``benchmarks.accuracy.compare`` runs: their scripts, environments and inputs.

A new peer is a row here, a script ``run_NAME.py`` in this folder, and a file of pinned packages in ``requirements/``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from mudata import MuData

from benchmarks.shared.development_sets import DevelopmentSet, together

#: Input of a method beside the cells to embed: pairs with or without types, or nothing.
TYPED, PAIRED, NOTHING = "pairs, types", "pairs", "nothing"


class Method(NamedTuple):
    """How a method is run, or why it is ``missing``."""

    given: str
    #: file in this folder, and its last arguments
    script: str = ""
    words: tuple[str, ...] = ()
    #: as in ``environments.interpreter``
    environment: str | None = None
    #: second modalities that the method is made for
    second: tuple[str, ...] = ("adt", "chromatin")
    #: changes the data first
    data: Callable[[DevelopmentSet, int], DevelopmentSet] | None = None
    missing: str = ""


def rna_halves(data: DevelopmentSet, seed: int) -> DevelopmentSet:
    """Replace the second modality by half of the genes: the accuracy of a method if it were as informative as RNA."""
    first, second = data.modalities
    order = np.random.default_rng(seed).permutation(data.train[first].n_vars)
    one, other = (np.sort(half) for half in np.array_split(order, 2))

    def split(mdata: MuData) -> MuData:
        rna = mdata[first]
        result = together({first: rna[:, one].copy(), second: rna[:, other].copy()})
        result.obs = mdata.obs.loc[result.obs_names]
        return result

    return data._replace(train=split(data.train), test=split(data.test))


METHODS: dict[str, Method] = {
    "default": Method(TYPED, "run_minnet.py", ("default",)),
    "default, peaks": Method(TYPED, "run_minnet.py", ("default", "peaks"), second=("chromatin",)),
    "default, with query": Method(TYPED, "run_minnet.py", ("default, with query",)),
    "default, with query, peaks": Method(
        TYPED, "run_minnet.py", ("default, with query", "peaks"), second=("chromatin",)
    ),
    "default, with query, no types": Method(PAIRED, "run_minnet.py", ("default, with query, no types",)),
    "default, with query, no types, peaks": Method(
        PAIRED, "run_minnet.py", ("default, with query, no types", "peaks"), second=("chromatin",)
    ),
    "default, with query, links": Method(TYPED, "run_minnet_links.py", ("types",)),
    "default, with query, links, peaks": Method(
        TYPED, "run_minnet_links.py", ("types", "peaks"), second=("chromatin",)
    ),
    "default, with query, links, no types": Method(PAIRED, "run_minnet_links.py"),
    "default, with query, links, no types, peaks": Method(
        PAIRED, "run_minnet_links.py", ("peaks",), second=("chromatin",)
    ),
    "paper": Method(TYPED, "run_minnet.py", ("paper",)),
    "cca": Method(PAIRED, "run_minnet.py", ("cca",)),
    "cca, unit length": Method(PAIRED, "run_minnet.py", ("cca, unit length",)),
    "cca, unit length, peaks": Method(PAIRED, "run_minnet.py", ("cca, unit length", "peaks"), second=("chromatin",)),
    "cca, unit length, with query": Method(PAIRED, "run_minnet.py", ("cca, unit length, with query",)),
    "bridge, core": Method(PAIRED, "run_bridge.py"),
    "StabMap, core": Method(PAIRED, "run_stabmap.py"),
    "MultiVI": Method(PAIRED, "run_multivi.py", second=("chromatin",)),
    "Multigrate": Method(PAIRED, "run_multigrate.py", environment="multigrate"),
    "scPairing": Method(PAIRED, "run_scpairing.py", environment="scpairing"),
    "MatchCLOT": Method(PAIRED, "run_matchclot.py", environment="matchclot"),
    "CLUE": Method(PAIRED, "run_clue.py", environment="glue"),
    "scMoMaT": Method(PAIRED, "run_scmomat.py", environment="scmomat"),
    "Cobolt": Method(PAIRED, "run_cobolt.py", environment="cobolt"),
    "MIDAS": Method(PAIRED, "run_midas.py", environment="midas"),
    "totalVI": Method(PAIRED, missing="it has no encoder for cells with proteins only"),
    "default, no pairs": Method(NOTHING, "run_minnet_links.py"),
    "default, no pairs, peaks": Method(NOTHING, "run_minnet_links.py", ("peaks",), second=("chromatin",)),
    "shared PCA": Method(NOTHING, "run_shared.py", ("pca",)),
    "Harmony": Method(NOTHING, "run_shared.py", ("harmony",)),
    "MaxFuse": Method(NOTHING, "run_maxfuse.py", environment="maxfuse"),
    "scConfluence": Method(NOTHING, "run_scconfluence.py", environment="scconfluence"),
    "moscot": Method(NOTHING, "run_moscot.py", environment="moscot"),
    "iNMF": Method(NOTHING, "run_liger.py", ("inmf",), environment="liger"),
    "online iNMF": Method(NOTHING, "run_liger.py", ("online",), environment="liger"),
    "UINMF": Method(NOTHING, missing="not in pyliger 0.2.4; rliger is not in Debian"),
    "Seurat": Method(NOTHING, "run_seurat.R", environment="Rscript"),
    "GLUE": Method(NOTHING, "run_glue.py", environment="glue", second=("chromatin",)),
    "uniPort": Method(NOTHING, "run_uniport.py", environment="uniport"),
    "DIAGVI": Method(NOTHING, "run_diagvi.py", environment="diagvi"),
    "bindSC": Method(NOTHING, missing="from source only, and its R dependencies are not in Debian"),
    "SCOT": Method(NOTHING, missing="from source only: `scot` and `scotpy` on PyPI are other packages"),
    "UnionCom": Method(NOTHING, missing="0.4.0 runs with neither current NumPy nor current torchvision"),
    "ceiling": Method(TYPED, "run_minnet.py", ("default",), data=rna_halves),
}
