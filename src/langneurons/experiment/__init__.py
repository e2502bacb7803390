"""What an experiment consists of: conditions, paths and the inputs of every rule, as functions of the configuration."""
