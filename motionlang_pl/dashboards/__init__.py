"""What TensorBoard and Weights & Biases show beside scalars: pictures of a few motions, the config, checkpoints."""
