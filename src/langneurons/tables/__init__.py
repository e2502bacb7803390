"""Tables from the metrics."""
