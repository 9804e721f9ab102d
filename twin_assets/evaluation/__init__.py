"""What a trained twin is worth: the ladder of rungs, the report, and the gate before a deployment."""
