"""Files in and out: file:line in every complaint; what is written is whole or not there at all."""

from cqa.files.hashes import sha256_of, sha256_of_rows, sha256_of_value
from cqa.files.reading import iter_rows, read_json, read_rows, refuse_endless
from cqa.files.writing import (
    copy,
    json_line,
    no_formula,
    whole,
    write_csv,
    write_json,
    write_rows,
    write_text,
)

__all__ = [
    "copy",
    "iter_rows",
    "json_line",
    "no_formula",
    "read_json",
    "read_rows",
    "refuse_endless",
    "sha256_of",
    "sha256_of_rows",
    "sha256_of_value",
    "whole",
    "write_csv",
    "write_json",
    "write_rows",
    "write_text",
]
