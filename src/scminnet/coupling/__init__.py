"""Features that speak of the same gene, by which modalities measured in different cells are coupled."""
