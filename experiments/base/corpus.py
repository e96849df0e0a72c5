"""Read a folder of text into documents, each with a genre, a weight and a side of the split.

A folder may hold `.jsonl.xz` or `.jsonl` files (one object per line with at least `text`, and where
known `id`, `title`, `author`, `year`, `genre`, `kind`, `licence`, `source`, `pd_scope`) and `.txt`
files (one document each; a parent folder called `fiction` or `factual` gives the genre). A
`MANIFEST.csv` beside them adds `pd_scope` by `id`.
"""

import csv
import hashlib
import json
import lzma
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GENRE_SHARES = {"fiction": 0.7, "factual": 0.3}  # of the tokens drawn in training
OTHER_GENRE_SHARE = 0.3  # before shares are rescaled to the genres the folder really has

# Within a genre a kind is drawn in proportion to its size times this weight. The reference kinds
# repeat a few sentence frames thousands of times; the children's stories are few, and at weight 2
# a run that sees half of the fiction sees about all of them.
KIND_WEIGHTS = {"medical reference": 0.5, "geography reference": 0.5, "children story": 2.0}

SPLIT_SEED, HELD_OUT_PERCENT = 20, 6
MANIFEST_COLUMNS = ("id", "title", "author", "year", "licence", "chars", "split")


@dataclass(frozen=True)
class Document:
    id: str
    text: str
    title: str = ""
    author: str = ""
    year: str = ""
    genre: str = "prose"
    kind: str = ""
    licence: str = ""
    source: str = ""
    pd_scope: str = ""

    @property
    def bucket(self) -> str:
        """Documents of one bucket are drawn alike: a genre, or a kind that has its own weight."""
        return f"{self.genre}/{self.kind}" if self.kind in KIND_WEIGHTS else self.genre

    @property
    def people(self) -> set[str]:
        """The authors one by one: names stand between commas, semicolons, `&` and `and`."""
        names = re.split(r"[,;&]|\band\b", self.author.lower())
        return {" ".join(words) for name in names if (words := re.findall(r"\w+", name))}

    @property
    def split(self) -> str:
        """`held-out` or `train`, by a hash of the author, so that no author is on both sides.

        The hash needs no list of names: adding documents to the folder moves nobody across.
        """
        owner = " ".join(re.findall(r"\w+", self.author.lower())) or f"document {self.id}"
        number = int(hashlib.sha256(f"{SPLIT_SEED}:{owner}".encode()).hexdigest(), 16)
        return "held-out" if number % 100 < HELD_OUT_PERCENT else "train"


def clean(text: str) -> str:
    """Composed Unicode, Unix newlines, no trailing spaces and never two blank lines in a row."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def read_documents(folder: Path) -> list[Document]:
    """All usable documents of `folder`, in the order of their ids.

    Left out: documents whose public-domain claim holds in the United States only, repeated ids (a
    sample of the shards may lie beside them), documents without text, and held-out documents one of
    whose authors also wrote, alone or with others, for the training side.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SystemExit(f"error: the corpus folder {folder} does not exist")
    scopes = _scopes(folder)
    found: dict[str, Document] = {}
    for record in _records(folder):
        record.setdefault("id", hashlib.sha256(record.get("text", "").encode()).hexdigest()[:12])
        fields = {k: str(record[k]) for k in Document.__dataclass_fields__ if record.get(k)}
        fields["text"] = clean(fields.get("text", ""))
        fields.setdefault("pd_scope", scopes.get(fields["id"], ""))
        document = Document(**fields)
        if document.text and not document.pd_scope.startswith("US only"):
            found.setdefault(document.id, document)
    if not found:
        raise SystemExit(f"error: {folder} has no .jsonl.xz, .jsonl or .txt file with usable text")
    documents = [found[key] for key in sorted(found)]
    trained = set().union(*(d.people for d in documents if d.split == "train"))
    return [d for d in documents if d.split == "train" or not d.people & trained]


def bucket_shares(documents: list[Document]) -> dict[str, float]:
    """The part of the training tokens that each bucket supplies; the parts sum to one."""
    sizes: dict[str, dict[str, float]] = {}
    for d in documents:
        genre = sizes.setdefault(d.genre, {})
        genre[d.bucket] = genre.get(d.bucket, 0) + len(d.text) * KIND_WEIGHTS.get(d.kind, 1.0)
    total = sum(GENRE_SHARES.get(genre, OTHER_GENRE_SHARE) for genre in sizes)
    return {
        bucket: GENRE_SHARES.get(genre, OTHER_GENRE_SHARE) / total * size / sum(buckets.values())
        for genre, buckets in sizes.items()
        for bucket, size in buckets.items()
    }


def write_manifest(documents: list[Document], path: Path) -> None:
    """One row for each document read, with its side of the split."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(MANIFEST_COLUMNS)
        for d in documents:
            row = {**vars(d), "chars": len(d.text), "split": d.split}
            writer.writerow(row[column] for column in MANIFEST_COLUMNS)


def _records(folder: Path) -> Iterator[dict]:
    for path in sorted(folder.rglob("*")):
        if path.name.endswith((".jsonl.xz", ".jsonl")):
            opener = lzma.open if path.suffix == ".xz" else open
            with opener(path, "rt", encoding="utf-8") as lines:
                yield from (json.loads(line) for line in lines if line.strip())
        elif path.suffix == ".txt":
            name = path.relative_to(folder).with_suffix("").as_posix()
            genre = path.parent.name if path.parent.name in GENRE_SHARES else "prose"
            text = path.read_text(encoding="utf-8")
            yield {"id": name, "title": path.stem, "genre": genre, "text": text}


def _scopes(folder: Path) -> dict[str, str]:
    path = folder / "MANIFEST.csv"
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        return {row["id"]: row.get("pd_scope") or "" for row in csv.DictReader(file)}
