"""What is compared: how each method is run, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from development_sets import DevelopmentSet
from scenarios import rna_halves

#: What a method learns from, beside the cells to embed.
TYPED, PAIRED, NOTHING = "pairs, types", "pairs", "nothing"


class Method(NamedTuple):
    """How a method is run; or, with ``missing``, why it is not."""

    given: str
    #: file in ``peers/``, and its words
    script: str = ""
    words: tuple[str, ...] = ()
    #: as in :func:`environments.interpreter`
    environment: str | None = None
    #: second modalities that it is made for
    second: tuple[str, ...] = ("adt", "chromatin")
    #: what becomes of the data first
    data: Callable[[DevelopmentSet, int], DevelopmentSet] | None = None
    missing: str = ""


METHODS: dict[str, Method] = {
    "default": Method(TYPED, "minnet.py", ("default",)),
    "default, peaks": Method(TYPED, "minnet.py", ("default", "peaks"), second=("chromatin",)),
    "paper": Method(TYPED, "minnet.py", ("paper",)),
    "cca": Method(PAIRED, "minnet.py", ("cca",)),
    "cca, unit length": Method(PAIRED, "minnet.py", ("cca, unit length",)),
    "cca, unit length, peaks": Method(PAIRED, "minnet.py", ("cca, unit length", "peaks"), second=("chromatin",)),
    "shared PCA": Method(NOTHING, "shared.py", ("pca",)),
    "Harmony": Method(NOTHING, "shared.py", ("harmony",)),
    "MaxFuse": Method(NOTHING, "maxfuse.py", environment="maxfuse"),
    "scConfluence": Method(NOTHING, "scconfluence.py", environment="scconfluence"),
    "moscot": Method(NOTHING, "moscot.py", environment="moscot"),
    "iNMF": Method(NOTHING, "liger.py", ("inmf",), environment="liger"),
    "online iNMF": Method(NOTHING, "liger.py", ("online",), environment="liger"),
    "UINMF": Method(NOTHING, "liger.py", ("uinmf",), environment="liger"),
    "Seurat": Method(NOTHING, "seurat.R", environment="Rscript"),
    "GLUE": Method(NOTHING, "glue.py", environment="glue"),
    "uniPort": Method(NOTHING, "uniport.py", environment="uniport"),
    "DIAGVI": Method(NOTHING, "diagvi.py", environment="diagvi"),
    "bindSC": Method(NOTHING, missing="not on CRAN nor in Debian: its R dependencies have to be built one by one"),
    "SCOT": Method(NOTHING, missing="not on PyPI: `scot` and `scotpy` there are other packages"),
    "UnionCom": Method(NOTHING, missing="0.4.0 needs NumPy below 1.24 and an old torchvision"),
    "ceiling": Method(TYPED, "minnet.py", ("default",), data=rna_halves),
}
