"""Dataset, trainer, adapter, and the model file that is served."""
