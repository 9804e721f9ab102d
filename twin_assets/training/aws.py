"""What AWS says when it does not do what it is asked, in words that say what to do; and patience where waiting helps."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog

from twin_assets.settings import Settings
from twin_assets.store.errors import TwinError

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

WAITS = (30.0, 60.0, 120.0, 240.0, 480.0)
"""Seconds between two tries where a quota is used up or there is no machine."""
LOG_LINES = 80
"""The traceback of a process that failed, and after it what the one that started it says of all the others."""
_EXPIRED = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException"),
        *("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure"),
    }
)
_SCARCE = frozenset(
    {
        *("ResourceLimitExceeded", "LimitExceededException", "CapacityError", "InsufficientInstanceCapacity", "ServiceUnavailable"),
        *("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "InternalFailure", "ServerException"),
    }
)


class ScarceError(TwinError):
    """A quota is used up, or AWS has no such machine at the moment."""


@contextmanager
def speaking(of: str) -> Iterator[None]:
    """Turns errors of AWS into the platform's own.

    Args:
        of: What is asked for, as the message names it.

    Raises:
        ScarceError: When asking again later may help.
        TwinError: For everything else that AWS, or the way to it, refuses.
    """
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, NoCredentialsError, SSOError, TokenRetrievalError

    renew = "Renew AWS's credentials (such as `aws sso login`) and run again: a training that runs meanwhile goes on, and is found again."
    try:
        yield
    except ClientError as error:
        code, message = error.response.get("Error", {}).get("Code", ""), error.response.get("Error", {}).get("Message", str(error))
        if code in _EXPIRED:
            raise TwinError(f"{of}: AWS does not take the credentials, or no longer ({code}). {renew}") from error
        if code in _SCARCE:
            raise ScarceError(f"{of}: {message} ({code})") from error
        raise TwinError(f"{of}: AWS refuses: {message} ({code})") from error
    except (NoCredentialsError, CredentialRetrievalError, SSOError, TokenRetrievalError) as error:
        raise TwinError(f"{of}: there are no credentials for AWS ({error}). {renew}") from error
    except (BotoCoreError, S3UploadFailedError) as error:
        raise TwinError(f"{of}: {error}") from error


def patiently(call: Callable[[], Result], sleep: Callable[[float], None] = time.sleep, waits: Sequence[float] = WAITS) -> Result:
    """Asks again where a quota is used up or a machine is not to be had, after longer and longer waits.

    Raises:
        TwinError: When it is so after the last wait.
    """
    for wait in waits:
        try:
            return call()
        except ScarceError as error:
            log.warning("waiting for AWS", seconds=wait, why=str(error))
            sleep(wait)
    try:
        return call()
    except ScarceError as error:
        minutes = sum(waits) / 60
        raise TwinError(
            f"{error}. Asked {len(waits) + 1} times over {minutes:.0f} minutes. Ask AWS for a higher quota (Service Quotas), "
            "take a recipe for another instance (TWIN_TRAINING_CONFIG), or run again later."
        ) from error


def log_lines(logs: Any, group: str, stream: str, count: int = LOG_LINES) -> str:
    """The last lines of a job's newest log stream in CloudWatch.

    Args:
        logs: A client of CloudWatch Logs.
        group: The log group.
        stream: How the stream's name begins.
        count: How many lines.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]
        if not found:
            return f"(nothing was logged to {group} under {stream})"
        newest = max(found, key=lambda one: one.get("lastEventTimestamp", 0))["logStreamName"]
        events = logs.get_log_events(logGroupName=group, logStreamName=newest, limit=count, startFromHead=False)["events"]
    except (BotoCoreError, ClientError) as error:
        return f"(the log in {group} cannot be read: {error})"
    return "\n".join(event["message"].rstrip() for event in events[-count:])


def required(settings: Settings, *names: str) -> None:
    """Checks that settings are there which a launcher needs.

    Raises:
        TwinError: When not; the message names them all.
    """
    missing = [f"TWIN_{name.upper()}" for name in names if not getattr(settings, name)]
    if missing:
        raise TwinError(f"TWIN_TRAINING_LAUNCHER={settings.training_launcher} needs {', '.join(missing)} as well (docs/training.md).")
