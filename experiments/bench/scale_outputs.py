"""Memory and time of `cqa score` on files of more and more lines, killed once and continued.

    python experiments/bench/scale_outputs.py [--lines 10000 100000] [--kill]

The judge answers at once: what is measured is reading, blocks, joining and the summary, not a
model. Each size is a process of its own; memory is its peak, told as growth over 1,000 lines too.
With --kill each is killed with SIGKILL half-way and goes on; its scores must be the same.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from cqa import quiet

quiet.libraries()

import torch  # noqa: E402

torch.set_num_threads(1)

from cqa import blocks, measures, runs, score  # noqa: E402
from cqa.conditions import pool_of  # noqa: E402
from cqa.config import ScoreConfig  # noqa: E402
from cqa.files import sha256_of  # noqa: E402
from cqa.model_ref import Model  # noqa: E402
from cqa.texts import TextFile  # noqa: E402

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from closed_form import WordTokenizer, closed_form_lm  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--kill", action="store_true")
    asked = parser.parse_args()
    print("| lines | MB of file | processor s | peak MB | over 1,000 lines | same after kill |")  # noqa: T201
    print("| --: | --: | --: | --: | --: | --- |")  # noqa: T201
    first = None
    for lines in [1000, *asked.lines]:
        with tempfile.TemporaryDirectory() as folder:
            file = write(Path(folder) / "outputs.jsonl", lines)
            seconds, peak, digest = alone(file, Path(folder) / "whole")
            first = first or peak
            same = ""
            if asked.kill and lines > 1000:
                same = "yes" if killed(file, Path(folder) / "killed", seconds) == digest else "NO"
            size = file.stat().st_size / 1e6
        cells = [f"{lines:,}", f"{size:.0f}", f"{seconds:.0f}", f"{peak:.0f}"]
        print(f"| {' | '.join(cells)} | {peak - first:+.0f} | {same} |", flush=True)  # noqa: T201


def write(file: Path, lines: int) -> Path:
    """So many short texts."""
    with file.open("w", encoding="utf-8") as out:
        for n in range(lines):
            text = f"The ferry waited {n % 97} minutes at quay {n % 13}."
            out.write(json.dumps({"id": f"text-{n}", "text": text}) + "\n")
    return file


def _judge():
    words = WordTokenizer()
    return closed_form_lm(lambda ids: [1 / 400] * 400, words)


def _score(file: Path, root: Path, said) -> None:
    score.reference = lambda: score.as_texts([])
    borders = measures.Thresholds(1.0, 1.0)
    score.Judge.with_thresholds = lambda self, reference: replace(self, thresholds=borders)
    texts, config = TextFile(file), ScoreConfig(noise_floor=False)
    judge = Model("uniform", "nowhere", None, "0" * 64)
    what = score.spec(config, judge, None, data=texts.sha256, pool=pool_of([]), label="uniform")
    made = score.run(what, config, texts, pool_of([]), load=_judge, tell=lambda *_: None, root=root)
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss / 1024
    said.put((used.ru_utime + used.ru_stime, peak, sha256_of(made.file("scores.jsonl"))))


def alone(file: Path, root: Path) -> tuple[float, float, str]:
    """(processor seconds, peak MB, hash of the scores) of a process that does nothing else."""
    spawn = multiprocessing.get_context("spawn")
    said = spawn.SimpleQueue()
    process = spawn.Process(target=_score, args=(file, root, said))
    process.start()
    told = said.get()
    process.join()
    return told


def killed(file: Path, root: Path, seconds: float) -> str:
    """Kill it when half of the blocks are there, go on; the hash of the scores."""
    spawn = multiprocessing.get_context("spawn")
    said = spawn.SimpleQueue()
    process = spawn.Process(target=_score, args=(file, root, said))
    process.start()
    half = (sum(1 for _ in file.open("rb")) // blocks.ROWS) // 2
    while not (root.exists() and len(list(root.glob("*/blocks/[0-9]*.jsonl"))) >= half):
        time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not any(run.done for run in runs.all_runs(root))
    return alone(file, root)[2]


if __name__ == "__main__":
    main()
