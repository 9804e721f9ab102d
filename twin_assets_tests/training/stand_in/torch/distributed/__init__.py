"""In place of torch."""
