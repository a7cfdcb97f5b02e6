"""Modules: encoders, heads, bottleneck, codebook, and what masked modelling hides."""
