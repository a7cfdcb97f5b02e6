"""Stores of motions and sentences, and the batches read from them."""
