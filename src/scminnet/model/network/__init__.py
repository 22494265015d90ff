"""The network: input layer, encoders, heads and losses. It knows no MuData."""
