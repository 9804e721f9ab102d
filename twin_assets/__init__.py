"""The Dagster code location of the LLM Twin platform."""
