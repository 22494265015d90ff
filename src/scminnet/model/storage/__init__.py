"""Saved models: saving and loading, the file format and its checks, and the model card."""
