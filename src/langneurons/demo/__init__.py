"""The authored miniature world and the tiny models trained on it."""
