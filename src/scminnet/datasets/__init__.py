"""Data sets to try the package on: simulated data, and those of the paper."""

from scminnet.datasets.bmmc import bmmc_cite, bmmc_multiome
from scminnet.datasets.covid import covid_pbmc
from scminnet.datasets.multiome_10x import brain_3k_multiome, pbmc_10k_multiome
from scminnet.datasets.simulate import simulate_multiome

__all__ = [
    "bmmc_cite",
    "bmmc_multiome",
    "brain_3k_multiome",
    "covid_pbmc",
    "pbmc_10k_multiome",
    "simulate_multiome",
]


def __dir__() -> list[str]:
    return list(__all__)
