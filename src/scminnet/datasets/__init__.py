"""Data to try the package on."""

from scminnet.datasets.simulate import simulate_multiome

__all__ = ["simulate_multiome"]
