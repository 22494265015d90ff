"""Training: the pairs of a batch, the training plan and checkpoints."""
