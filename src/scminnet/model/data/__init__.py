"""Data of a model: registration, cell index, sparse rows, and the query's features in the reference's order."""
