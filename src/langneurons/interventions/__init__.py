"""Changing neurons while a model runs: the hook, and one module per operation."""
