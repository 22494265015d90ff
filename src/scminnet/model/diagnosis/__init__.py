"""Diagnosis: whether a query lies within the range of the reference."""
