"""How the graph is partitioned: one author, one partition, from the first asset to the last."""

from dagster import DynamicPartitionsDefinition

authors = DynamicPartitionsDefinition(name="author")
