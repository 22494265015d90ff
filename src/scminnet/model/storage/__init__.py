"""Saved models: their format, its checks, and the model card."""
