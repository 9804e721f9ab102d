"""CSV files of exports."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.source import UnreadableTextError, read_text

_MAX_FIELD = 4 * 1024 * 1024


def read_csv(path: Path, expected: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header; absent cells are empty.

    Raises:
        SourceError: When the file is unreadable, or lacks a column that is expected.
    """
    try:
        text = read_text(path)
    except UnreadableTextError as error:
        raise SourceError(f"{path} cannot be read: {error}. Unpack the export again.") from error
    return parse_csv(text, str(path), expected)


def parse_csv(text: str, name: str, expected: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a CSV text.

    Raises:
        SourceError: When it is no CSV, or lacks a column that is expected.
    """
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        header = [column.strip() for column in next(reader, [])]
        missing = [column for column in expected if column not in header]
        if missing:
            raise SourceError(
                f"{name} lacks the columns {', '.join(missing)}. Expected: {', '.join(expected)}. Found: {', '.join(header) or 'none'}. "
                "Export the data again, and leave the file as it comes."
            )
        return [{column: row[i] if i < len(row) else "" for i, column in enumerate(header)} for row in reader if row]
    except csv.Error as error:
        raise SourceError(f"{name} is no CSV file: {error} in line {reader.line_num}. Export the data again.") from error
