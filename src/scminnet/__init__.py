"""One space for single-cell modalities that were measured in different cells."""

from importlib.metadata import version

from scminnet import _compat as _compat
from scminnet import _muon as _muon
from scminnet import datasets, genomics, metrics, model, pl, pp, tl
from scminnet._accessor import MinNetAccessor
from scminnet.model import MinNet

__all__ = ["MinNet", "MinNetAccessor", "datasets", "genomics", "metrics", "model", "pl", "pp", "tl"]

__version__ = version("scminnet")
