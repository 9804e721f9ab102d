"""Resources: thin shells that hand the stages their plain objects."""

from typing import Any

import dagster as dg

from twin_assets.settings import Settings, get_settings
from twin_assets.store.artifacts import ArtifactStore
from twin_assets.store.database import Database, open_database
from twin_assets.store.errors import TwinError
from twin_assets.store.registry import Registry
from twin_assets.store.roles import Role


class PlatformResource(dg.ConfigurableResource):
    """Settings, warehouse, registry and artifact store, opened when first asked for."""

    def settings(self) -> Settings:
        """The settings of this process."""
        return get_settings()

    def database(self) -> Database:
        """The warehouse as the stages after cleaning see it, without raw text; the embedded Postgres is started when needed."""
        return open_database(get_settings())

    def raw_database(self) -> Database:
        """The warehouse with the raw text, for ingest and cleaning alone."""
        return open_database(get_settings(), Role.INGEST)

    def registry(self) -> Registry:
        """The registry in the warehouse."""
        return Registry(self.database())

    def artifacts(self) -> ArtifactStore:
        """The artifact store."""
        return ArtifactStore(self.settings().artifacts_url)


class AwsResource(dg.ConfigurableResource):
    """Clients of AWS with the credentials and the region of this machine's AWS configuration; made when first asked for."""

    def client(self, service: str) -> Any:
        """A client of boto3, which asks again by itself where AWS is busy.

        Raises:
            TwinError: When no region is configured.
        """
        import boto3
        from botocore.config import Config
        from botocore.exceptions import NoRegionError

        try:
            return boto3.client(service, config=Config(retries={"mode": "standard", "total_max_attempts": 10}))
        except NoRegionError as error:
            raise TwinError(
                f"No region is configured for AWS, where {service} is needed. Set AWS_DEFAULT_REGION, such as eu-central-1."
            ) from error
