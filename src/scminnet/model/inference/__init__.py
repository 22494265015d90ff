"""Use of a trained model: a query's features, embedding and predicted cell types."""
