"""The results table: one row per run, an SQLite index over the run directories.

The directories are the truth. The index can be deleted at any time; only runs whose record has
changed are read again.
"""

from cqa.table.index import rebuild
from cqa.table.lookup import finished, latest, run_of
from cqa.table.queries import export_csv, models_of_reports, newest, read

__all__ = [
    "export_csv",
    "finished",
    "latest",
    "models_of_reports",
    "newest",
    "read",
    "rebuild",
    "run_of",
]
