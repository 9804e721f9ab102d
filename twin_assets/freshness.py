"""How old assets may grow: by asset key, applied in ``build_defs``.

A policy looks at an asset's newest materialization of any author and launches nothing by itself.
"""

from datetime import timedelta

import dagster as dg

FRESHNESS = {
    dg.AssetKey(["ingest", "raw_posts"]): dg.FreshnessPolicy.time_window(fail_window=timedelta(days=2), warn_window=timedelta(days=1)),
    dg.AssetKey(["features", "embeddings"]): dg.FreshnessPolicy.time_window(fail_window=timedelta(days=30), warn_window=timedelta(days=14)),
    dg.AssetKey(["serving", "tgi_deployment"]): dg.FreshnessPolicy.time_window(
        fail_window=timedelta(days=90), warn_window=timedelta(days=30)
    ),
}
