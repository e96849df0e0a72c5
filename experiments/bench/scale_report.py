"""A report on many items: seconds and memory to make it, bytes of it, seconds until it is open.

    python experiments/bench/scale_report.py [--items 10000] [--chromium chromium]

The scorings are those of a pattern: one item's real score and tokens, with other numbers. How long
the page takes is what Chromium itself tells: from the beginning of navigation to the end of load.
Pages are those of the same file printed on A4.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cqa import blocks, measures, paths, quiet, report, runs, score
from cqa.files import read_rows, sha256_of, write_rows
from cqa.texts import as_texts
from cqa.types import Item, Score

quiet.libraries()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("--keep", type=Path, help="Leave report.html here.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CQA_RUNS"] = folder
        items = many(asked.items)
        report.texts_of = lambda scored: {text.id: text for text in as_texts(items)}
        base = scoring(Path(folder), items, "base", [])
        tuned = scoring(Path(folder), items, "tuned", ["train-pattern"])
        began, cpu = time.perf_counter(), time.process_time()
        made = report.of_runs(base.id, tuned.id, margin=0.01)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        page = made.file("report.html")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        told = {
            "items": asked.items,
            "seconds to make": round(seconds, 1),
            "processor seconds": round(cpu, 1),
            "peak MB": round(peak),
            "sheets": len(pages := sorted(made.path.glob("*.html"))),
            "MB of all": round(sum(one.stat().st_size for one in pages) / 1e6, 1),
            "report.html MB": round(page.stat().st_size / 1e6, 1),
        }
        told |= opened(page, asked.chromium)
        for name, value in told.items():
            print(f"{name:24} {value}")  # noqa: T201
        if asked.keep:
            asked.keep.write_bytes(page.read_bytes())


def many(number: int) -> list[Item]:
    """The shipped items over and over, each time with another id and work."""
    shipped = read_rows(paths.shipped(paths.BENCHMARK_ITEMS), Item)
    return [
        shipped[n % len(shipped)].model_copy(
            update={"id": f"item-{n}", "work": f"Work {n // 3}", "redistribution": True}
        )
        for n in range(number)
    ]


def scoring(root: Path, items: list[Item], label: str, parents: list[str]) -> runs.Run:
    """A finished scoring with plausible numbers and a token for each word."""
    rng = random.Random(label)
    spec = runs.Spec("score", label, {"judge": "m"}, {"model": "m", "data": "d"}, parents)
    with runs.execute(spec, root) as made:
        write_rows(made.file("scores.jsonl"), (_score(item, label, rng) for item in items))
        _write_traces(made.file("traces.parquet"), items, rng)
        thresholds = {"surprise": 6.2, "residual": 6.2}
        made.tell(
            headline={
                "texts": len(items),
                "device": "cpu",
                "dtype": "float32",
                "thresholds": thresholds,
                "noise_floor": None,
                "groups": score.summarise(score.load_scores(made)),
            },
            outputs={"scores.jsonl": sha256_of(made.file("scores.jsonl"))},
        )
    return made


def _score(item: Item, label: str, rng: random.Random) -> Score:
    quantities = {name: rng.gauss(0.1 if label == "tuned" else 0.0, 1.0) for name in measures.ALL}
    return Score(
        id=item.id, item=item.id, source="benchmark", group=item.group, work=item.work,
        sample=None,
        judge="m", characters=len(item.text), utf8_bytes=len(item.text.encode()),
        tokens=len(item.text.split()), pieces=1, quadrant=None, quantities=quantities,
        flags=(), reasons={},
    )  # fmt: skip


def _write_traces(path: Path, items: list[Item], rng: random.Random) -> None:
    with pq.ParquetWriter(path, blocks.TRACES) as writer:
        for start in range(0, len(items), blocks.ROWS):
            rows = [
                {
                    "id": item.id,
                    "condition": name,
                    "parts": ["intent", "audience", "reality"] if name == "full" else [],
                    "token_id": [1] * len(starts),
                    "start": starts if name == "none" else None,
                    "logprob_nats": [-rng.expovariate(0.25) for _ in starts],
                    "entropy_nats": [4.0] * len(starts),
                }
                for item in items[start : start + blocks.ROWS]
                for starts in [[m.start() for m in re.finditer(r"\s*\S+", item.text)]]
                for name in ("none", "full")
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema=blocks.TRACES))


def opened(page: Path, chromium: str) -> dict[str, object]:
    """Seconds to DOMContentLoaded and to the end of load, and printed pages."""
    asked = page.with_name("timed.html")
    probe = (
        "<script>addEventListener('load',()=>setTimeout(()=>{"
        "const t=performance.getEntriesByType('navigation')[0];"
        "document.title='';document.documentElement.innerHTML='<pre id=t>'+JSON.stringify("
        "[t.domContentLoadedEventEnd,t.loadEventEnd,performance.now()])+'</pre>'},0))</script>"
    )
    text = page.read_text("utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text, count=1)
    asked.write_text(text.replace("</head>", probe + "</head>", 1), "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu"]
    done = subprocess.run(
        [chromium, *flags, "--timeout=240000", "--dump-dom", asked.as_uri()],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"\[([\d.]+),([\d.]+),([\d.]+)\]", done.stdout)
    if found is None:
        return {"open": f"not told: {done.stdout[:200]!r}"}
    ready, load, painted = (float(one) / 1000 for one in found.groups())
    pdf = page.with_name("printed.pdf")
    subprocess.run(
        [chromium, *flags, f"--print-to-pdf={pdf}", page.as_uri()],
        capture_output=True, check=True,
    )  # fmt: skip
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) if pdf.exists() else None
    return {
        "seconds to content": round(ready, 2),
        "seconds to end of load": round(load, 2),
        "and to its first timer": round(painted, 2),
        "pages printed": pages,
    }


if __name__ == "__main__":
    main()
