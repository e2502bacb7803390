"""Tables and figures from the metrics."""
