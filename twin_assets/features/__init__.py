"""Chunks and embeddings of what an author wrote, and the search over them."""
