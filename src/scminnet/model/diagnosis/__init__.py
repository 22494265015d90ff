"""Diagnosis: whether a query lies inside the range of the reference."""
