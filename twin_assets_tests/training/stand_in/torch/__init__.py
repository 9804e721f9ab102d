"""In place of torch: as many GPUs as a variable says."""

import os
from types import SimpleNamespace

cuda = SimpleNamespace(device_count=lambda: int(os.environ.get("STAND_IN_GPUS", "0")))
__version__ = "2.0.0+none"
