"""The corpus: where text comes from, and its packing into blocks of tokens."""
