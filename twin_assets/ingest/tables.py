"""CSV files of exports."""

import csv
import io
from collections.abc import Iterable

from twin_assets.ingest.errors import SourceError
from twin_assets.ingest.files import Files, UnreadableTextError, decode_text

_MAX_FIELD = 4 * 1024 * 1024
_MAX_COLUMNS = 500
"""Every row gets every column: with millions of them a small file would fill the memory."""
_SHOWN_COLUMNS = 30


def read_csv(files: Files, name: str, expected: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header; absent cells are empty, and stray NUL bytes, as broken exports have them, are dropped.

    Raises:
        SourceError: When the file is unreadable, or lacks a column that is expected.
    """
    try:
        content = files.read(name)
        sixteen_bits = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = decode_text(content if sixteen_bits or content.count(0) > len(content) // 100 else content.replace(b"\x00", b""))
    except UnreadableTextError as error:
        raise SourceError(f"{name} in {files.location} cannot be read: {error}. Download the export again.") from error
    return parse_csv(text, f"{name} in {files.location}", expected)


def parse_csv(text: str, name: str, expected: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a CSV text; a header that stands there again, as where parts were put together, is no row.

    Raises:
        SourceError: When it is no CSV, or lacks a column that is expected.
    """
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        first = next(reader, [])
        header = [column.strip() for column in first]
        if len(header) > _MAX_COLUMNS:
            raise SourceError(f"{name} has {len(header):,} columns, more than an export has. Export the data again.")
        missing = [column for column in expected if column not in header]
        if missing:
            raise SourceError(
                f"{name} lacks the columns {', '.join(missing)}. Expected: {', '.join(expected)}. "
                f"Found: {', '.join(header[:_SHOWN_COLUMNS])[:1000] or 'none'}. "
                "Export the data again, and leave the file as it comes."
            )
        return [{column: row[i] if i < len(row) else "" for i, column in enumerate(header)} for row in reader if row and row != first]
    except csv.Error as error:
        raise SourceError(f"{name} is no CSV file: {error} in line {reader.line_num}. Export the data again.") from error
