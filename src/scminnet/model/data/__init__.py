"""From a MuData to what the model reads: registration, fields, cells and their rows."""
