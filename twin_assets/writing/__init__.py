"""The one way a text gets written: retrieve, prompt, generate, cite, score."""
