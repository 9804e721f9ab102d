"""How the graph is partitioned: one author, one partition, from the first asset to the last."""

import warnings

from dagster import DynamicPartitionsDefinition, PreviewWarning

# Checks are partitioned, too: what one author's check says holds nobody else's assets back. Dagster calls that a preview, and is pinned.
warnings.filterwarnings("ignore", "Specifying a partitions_def on an AssetCheckSpec", PreviewWarning)

authors = DynamicPartitionsDefinition(name="author")
