"""Graphs of cells: nearest neighbours, shortest paths, landmarks, label votes and Ward's order."""
