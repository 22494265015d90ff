"""Features that measure the same gene, by which modalities measured in different cells are coupled."""
