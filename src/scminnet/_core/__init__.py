"""What all parts use: checks, matrices in memory and on disk, files, keys, compatibility."""
