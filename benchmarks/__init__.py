"""One module per figure. ``python -m benchmarks.NAME [--data DIR] [--json]``; each measures its reference in the same run."""
