"""Parquet files in: one that is damaged, or that a few bytes blow up, is refused by its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cqa.errors import DataRefused
from cqa.paths import shown

_BLOWN_UP = 500
"""How many bytes one byte of a file may become; texts become five or ten."""
_ALLOWED = 1_000_000_000
"""Bytes that any file may become."""
_ROWS_A_BYTE = 100
"""Rows without anything in them take no room in a file, and time to go through."""


@contextmanager
def opened(
    path: Path, next_step: str, *, read_dictionary: Sequence[str] = ()
) -> Iterator[pq.ParquetFile]:
    """The file, to be read inside this context, or DataRefused."""
    try:
        with pq.ParquetFile(path, read_dictionary=list(read_dictionary)) as file:
            _refuse_bomb(path, file.metadata)
            yield file
    except (pa.ArrowException, OSError, KeyError, ValueError, OverflowError) as error:
        said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataRefused(
            f"{shown(path)}: no Parquet file that can be read ({said})", next_step=next_step
        ) from error


def columns(file: pq.ParquetFile, wanted: pa.Schema) -> pa.Table:
    """These columns in these types and without nulls; ValueError where the file has others."""
    table = file.read(columns=wanted.names).select(wanted.names).cast(wanted)
    if any(column.null_count for column in table.columns):
        raise ValueError(f"a null in {', '.join(wanted.names)}")
    return table


def _refuse_bomb(path: Path, told: pq.FileMetaData) -> None:
    size = path.stat().st_size
    groups = [told.row_group(number) for number in range(told.num_row_groups)]
    becomes = sum(group.total_byte_size for group in groups)
    if becomes > max(_ALLOWED, _BLOWN_UP * size):
        raise ValueError(f"{size:,} bytes that become {becomes:,}")
    if told.num_rows > max(1_000_000, _ROWS_A_BYTE * size):
        raise ValueError(f"{size:,} bytes for {told.num_rows:,} rows")
