"""What "sounds like me" means, as numbers."""
