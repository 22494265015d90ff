"""Shared by all parts: checks of arguments, matrices in memory and on disk, files, keys, compatibility."""
