"""Which neurons belong to which language."""
