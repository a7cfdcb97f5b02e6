"""Metrics as pure functions, and torchmetrics classes that keep their state."""
