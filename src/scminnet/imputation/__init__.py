"""Imputation of a modality in cells that lack it: expected values, their intervals, and which cells are too far."""
