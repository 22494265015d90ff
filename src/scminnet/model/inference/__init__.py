"""Using a trained network: embedding and prediction."""
