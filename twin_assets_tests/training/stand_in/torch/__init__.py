"""In place of torch: a machine without a GPU."""

from types import SimpleNamespace

cuda = SimpleNamespace(device_count=lambda: 0)
