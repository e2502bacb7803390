"""The workflow's intermediate files: each says what it is, and is verified and compared when it is read.

``facts`` compares what a file says with what its reader expects, ``parquet`` writes and reads tables, ``tsv``
small ones as text, and ``directories`` seals directories (adapters, snapshots).
"""
