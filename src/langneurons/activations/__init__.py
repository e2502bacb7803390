"""Activation statistics of every neuron, counted exactly and mergeable."""
