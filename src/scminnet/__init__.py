"""One space for single-cell modalities that were measured in different cells."""

from importlib.metadata import version

from scminnet import datasets, metrics, model, pl, pp
from scminnet._accessor import MinNetAccessor
from scminnet.model import MinNet

__all__ = ["MinNet", "MinNetAccessor", "datasets", "metrics", "model", "pl", "pp"]

__version__ = version("scminnet")
