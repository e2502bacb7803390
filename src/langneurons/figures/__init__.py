"""Figures from masks, perplexities and training curves."""
