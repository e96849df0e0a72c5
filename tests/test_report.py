"""The report in all its formats, and as a page that strangers' texts cannot break out of."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from conftest import annotation, dialogue, experiment, items, write_rows
from markdown_it import MarkdownIt

from cqa import report, stats, style
from cqa.errors import EXIT_GATE, UsageRefused
from cqa.reporting import generated, latex, listing, markdown, sheets, svg
from cqa.reporting import results as of_results
from cqa.reporting.markdown import p_value
from cqa.reporting.markdown_table import escaped, table
from cqa.runs import Run
from cqa.study import lock
from cqa.study.cases import Case
from cqa.study.steps import Step
from cqa.types import Text

OWNED = "document.title='owned'"
HOSTILE = (
    f'</script><script>{OWNED}</script><img src=x onerror="{OWNED}"><svg onload={OWNED}>'
    f'<a href="javascript:{OWNED}">x</a></style><!-- {{{{ 7 * 7 }}}} {{% raw %}} \u202e gpj.exe '
    "\x00\x1b[31m\r\n \" ' ` & \U0001f426 e\u0301"
)
FORMULA = '=HYPERLINK("http://example.org")'
SECRET = "an unpublished daughter of the ferryman"


class Tags(HTMLParser):
    """The elements of a page, their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def reported(tmp_path_factory, tiny_model) -> Path:
    """The report of a small study with two hostile items and two secret ones."""
    from typer.testing import CliRunner

    from cqa.cli import app

    place = tmp_path_factory.mktemp("reported")
    rows = items()
    for row in rows:
        row["work"] = FORMULA + row["work"]
    for row in rows[2:9:6]:
        row["context"] = HOSTILE + row["context"]
        row["text"] += HOSTILE
        row["brief"]["intent"] += HOSTILE
    for row in rows[:2]:
        row["redistribution"] = False
        row["work"] = f"{row['work']}, {SECRET}"
        row["context"] = f"Here comes {SECRET}."
        row["brief"]["intent"] = f"Say nothing of {SECRET}."
    write_rows(place / "items.jsonl", rows)
    write_rows(place / "batch/annotations.jsonl", [annotation(n) for n in range(6)])
    write_rows(place / "batch/dialogues.jsonl", [dialogue(n) for n in range(6)])
    file = experiment(place, tiny_model)
    settings = file.read_text("utf-8").replace("[generate]", "[generate]\nsamples = 2")
    file.write_text(f"{settings}\n[score]\nnoise_floor = false\n", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("CQA_RUNS", str(place / "runs"))
        made = CliRunner().invoke(
            app, ["run", str(file), "--workers", "1", "--json"], catch_exceptions=False
        )
        (place / "gate").write_text(
            str(CliRunner().invoke(app, ["report", "--experiment", str(file), "--gate"]).exit_code)
        )
        shown = CliRunner().invoke(app, ["report", "--list", "--where", "model~shuf", "--json"])
        (place / "list.json").write_text(shown.stdout)
    return Path(place / json.loads(made.stdout)["path"])


@pytest.fixture(scope="module")
def page(reported) -> str:
    return (reported / "report.html").read_text("utf-8")


def test_a_story_is_only_ever_text_and_the_file_needs_no_network(page):
    found = Tags(page)
    assert not {"img", "iframe", "object", "link", "base", "form"} & set(found.names)
    assert found.names.count("script") == 2  # the numbers, and what colours the words by them
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]
    links = [value for name, value in found.attributes if name in ("src", "href", "xlink:href")]
    assert links
    assert all(re.fullmatch(r"#[\w.-]+|\.\./[\w-]+/run\.json", link) for link in links)
    (policy,) = [v for name, v in found.attributes if name == "content" and "-src" in str(v)]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    shown = "".join(found.text)
    assert "{{ 7 * 7 }} {% raw %}" in shown  # there, as it was written
    assert HOSTILE[:80] in shown
    assert "\x00" not in page
    numbers = page[page.index('id="heat">') + 10 :]
    numbers = numbers[: numbers.index("</script>")]
    assert set(re.findall(r"[^\d\s\[\]{},:.\"-]+", numbers)) == {
        "items",
        "item",
        "text",
        "foil",
        "top",
    }


def test_the_page_opens_with_the_sentence_and_links_every_number_to_its_run(page, reported):
    found = Tags(page)
    text = "".join(found.text)
    assert text.index("specific gain on literary items") < text.index("Change of specific gain")
    assert "annotations-s0" in text
    assert "shuffled-s0" in text
    targets = {value for name, value in found.attributes if name == "id"}
    for name, value in found.attributes:
        if name.endswith("href") and value.startswith("#"):
            assert value[1:] in targets, value
        elif name == "href":
            assert (reported / value).resolve().is_file(), value


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)


def in_browser(page: Path, folder: Path, anchor: str = "") -> tuple[str, str]:
    """The document as it stands after its scripts have run, and what the console said."""
    quiet = ["gpu", "background-networking", "component-update", "sync", "extensions"]
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--no-first-run", "--enable-logging=stderr"]
        + [f"--disable-{name}" for name in quiet]
        + [f"--user-data-dir={folder}", "--virtual-time-budget=3000", "--dump-dom"]
        + [page.as_uri() + anchor],
        capture_output=True,
        timeout=120,
        check=True,
    )
    return done.stdout.decode("utf-8"), done.stderr.decode("utf-8", "replace")


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_in_a_browser_nothing_of_a_story_runs_and_every_token_is_coloured(reported, tmp_path):
    page = reported / "report.html"
    hostile = r'data-item="(item-\d+)" data-side="text">[^<]*owned'
    number = re.findall(hostile, page.read_text("utf-8"))[0]
    document, console = in_browser(page, tmp_path / "one", f"#{number}")
    assert "<title>cqa: Does the whole road hold?</title>" in document
    assert 'class="js"' in document  # our own script ran
    assert "Refused" not in console
    assert "Uncaught" not in console
    plain = re.compile(rf'<p class="passage" data-item="{number}" data-side="text">(.*?)</p>', re.S)
    before = Tags(plain.search(page.read_text("utf-8"))[1])
    after = Tags(plain.search(document)[1])
    assert "".join(after.text).replace("\r", "") == "".join(before.text).replace("\r", "")
    assert set(after.names) == {"span"}
    assert len(after.names) > 40
    assert {"u1", "d1"} <= {value for _, value in after.attributes}


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_the_policy_stops_what_escaping_would_let_through_and_tables_sort(reported, tmp_path):
    page = (reported / "report.html").read_text("utf-8")
    script = """<script>document.title = "owned";
        const table = document.querySelector("#items ~ .scroll table");
        const button = table.rows[0].cells[5].firstElementChild;
        button.click(); button.click();
        const cells = Array.from(table.tBodies[0].rows, (row) => row.cells[5].textContent);
        document.body.dataset.order = cells;
        </script></body>"""
    let_through = tmp_path / "through.html"
    let_through.write_text(page.replace("</body>", script), "utf-8")
    document, console = in_browser(let_through, tmp_path / "two")
    assert "<title>cqa: Does" in document
    assert "Content Security Policy" in console
    # the same without the policy: the canary can sing
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    let_through.write_text(policy.sub("", page).replace("</body>", script), "utf-8")
    document, _ = in_browser(let_through, tmp_path / "three")
    assert "<title>owned</title>" in document
    order = re.search(r'data-order="([^"]*)"', document)[1].split(",")
    values = [float(cell) for cell in order if cell != "–"]
    assert len(values) == 12
    assert values == sorted(values)


@pytest.fixture(scope="module")
def in_sheets(reported, tmp_path_factory) -> Path:
    """The same report where a sheet holds five items, copied to `out`."""
    from typer.testing import CliRunner

    from cqa.cli import app

    place = tmp_path_factory.mktemp("sheets")
    shutil.copytree(reported.parent.parent, place, dirs_exist_ok=True)
    shutil.rmtree(place / "runs" / reported.name)
    words = ["report", "--experiment", "small.toml", "--out", str(place / "out/Our study.html")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("CQA_RUNS", str(place / "runs"))
        patch.setattr(sheets, "ITEMS", 5)
        made = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    return Path(place / json.loads(made.stdout)["path"])


def test_many_items_stand_on_sheets_and_every_link_between_them_leads_somewhere(
    in_sheets, reported, page
):
    files = {path.name: path.read_text("utf-8") for path in in_sheets.glob("*.html")}
    assert sorted(files) == ["report.html", *(f"sheet-{n}.html" for n in range(2, 6))]
    assert {*json.loads((in_sheets / "run.json").read_text())["outputs"]} >= {*files}
    found = {name: Tags(text) for name, text in files.items()}
    ids = {name: [v for n, v in tags.attributes if n == "id"] for name, tags in found.items()}
    on = {name: [one for one in own if one.startswith("item-")] for name, own in ids.items()}
    assert [len(on[name]) for name in sorted(files)] == [5, 5, 2, 0, 0]
    for name, tags in found.items():
        links = [v for n, v in tags.attributes if n.endswith("href")]
        assert links
        for link in links:
            file, _, anchor = link.partition("#")
            if anchor:
                assert anchor in ids[file or name], (name, link)
            else:
                assert (in_sheets / file).resolve().is_file(), (name, link)
    dots = re.findall(r'href="((?:sheet-\d\.html)?#item-\d+)"', files["report.html"])
    assert {link.rpartition("#")[2] for link in dots} == {f"item-{n}" for n in range(1, 13)}
    for name, tags in found.items():  # nothing is left out, nothing runs
        assert not {"img", "iframe", "object", "link", "base", "form"} & set(tags.names)
        (policy,) = [v for n, v in tags.attributes if n == "content" and "-src" in str(v)]
        assert "unsafe" not in policy
        assert SECRET not in files[name]
    whole = Tags(page)
    for element in ("details", "dd", "h4"):
        parts = sum(tags.names.count(element) for tags in found.values())
        assert parts == whole.names.count(element), element


def test_a_copied_report_takes_its_sheets_along(in_sheets):
    out = in_sheets.parent.parent / "out"
    copied = {path.name: Tags(path.read_text("utf-8")) for path in out.iterdir()}
    assert set(copied) == {"Our study.html", *(f"Our study-sheet-{n}.html" for n in range(2, 6))}
    for name, tags in copied.items():
        links = [v for n, v in tags.attributes if n.endswith("href") and not v.startswith("../")]
        led = {unquote(link.partition("#")[0]) or name for link in links}
        assert led <= set(copied), name
        assert len(led) >= 4


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_a_link_to_an_item_of_another_sheet_opens_it_in_colour(in_sheets, tmp_path):
    document, console = in_browser(in_sheets / "sheet-2.html", tmp_path, "#item-7")
    assert "Refused" not in console
    assert "Uncaught" not in console
    opened = re.search(r'<details class="item" id="item-7" open="">(.*?)</details>', document, re.S)
    assert {"u1", "d1"} & {value for _, value in Tags(opened[1]).attributes}


def test_what_is_not_cleared_for_redistribution_is_shown_nowhere(reported, page):
    written = [path for path in reported.rglob("*") if path.suffix in (".html", ".md", ".json")]
    written += [path for path in reported.rglob("*") if path.suffix in (".csv", ".tex", ".svg")]
    assert len(written) >= 12
    for path in written:
        assert SECRET not in path.read_text("utf-8"), path.name
    shown = "".join(Tags(page).text)
    assert shown.count("not cleared for redistribution") == 2 + 2 * 2  # items; briefs, two samples
    works = {row["work"] for row in csv.DictReader((reported / "items.csv").open())}
    assert sum(work.startswith("work-") for work in works) == 2  # told apart, not named


def test_cells_that_a_spreadsheet_would_run_are_text(reported):
    rows = list(csv.DictReader((reported / "items.csv").open()))
    named = [row["work"] for row in rows if not row["work"].startswith("work-")]
    assert named
    assert all(work.startswith("'=HYPERLINK") for work in named)
    assert {row["change"][:1] for row in rows} & {"-"}  # numbers stay numbers


def test_every_format_has_the_same_number(reported):
    results = json.loads((reported / "report.json").read_text("utf-8"))
    change = results["models"][0]["primary"][0]["change"]
    for name in ("report.html", "report.md", "tables.tex"):
        assert f"{change:+.4f}" in (reported / name).read_text("utf-8"), name
    rows = [
        row
        for row in csv.DictReader((reported / "items.csv").open())
        if row["model"] == "annotations-s0" and row["group"] == "literary"
        if row["quantity"] == "specific_gain_bits_per_token"
    ]
    assert sum(float(row["change"]) for row in rows) / len(rows) == pytest.approx(change)
    evaluated = json.loads((reported / "lm-eval/results_base.json").read_text("utf-8"))
    task = evaluated["results"]["cqa_literary"]
    assert task["specific_gain_bits_per_token,none"] == pytest.approx(
        results["models"][0]["primary"][0]["base"]
    )
    assert task["specific_gain_bits_per_token_stderr,none"] > 0
    assert (reported / "figures/forest.png").read_bytes().startswith(b"\x89PNG")
    assert set(json.loads((reported / "run.json").read_text())["outputs"]) >= {
        "report.html",
        "figures/plane.svg",
        "tables.tex",
    }


def test_every_arm_stands_with_its_adjusted_p_and_with_what_was_not_measured(reported):
    results = json.loads((reported / "report.json").read_text("utf-8"))
    main, placebo = (model["primary"][0] for model in results["models"])
    assert main["p_adjusted"] is None  # the primary stands alone
    assert placebo["p_adjusted"] >= placebo["p"]
    told = (reported / "report.md").read_text("utf-8")
    line = next(line for line in told.splitlines() if line.startswith("| shuffled-s0 | literary"))
    assert line.split(" | ")[7] == p_value(placebo["p_adjusted"])
    tables = (reported / "tables.tex").read_text("utf-8").splitlines()
    row = next(line for line in tables if line.startswith("shuffled-s0 & literary"))
    assert row.split(" & ")[7] == latex.escaped(p_value(placebo["p_adjusted"]))
    for model in results["models"]:
        assert model["noise_floor"] is None
        assert model["control"]["interval"]["level"] == 0.9
        assert "TOST" in model["control_said"]
    assert "noise floor not measured" in told
    page = (reported / "report.html").read_text("utf-8")
    for model in results["models"]:
        detectable = f"smallest detectable {model['difference_detectable']:.4f}"
        assert model["difference_said"].endswith(f", {detectable}")
        assert detectable in told
        assert detectable in page
    against = results["against"]
    assert [row["p_holm"] for row in against] == pytest.approx(
        list(stats.holm({str(n): row["p"] for n, row in enumerate(against)}).p.values())
    )


def test_a_report_on_fewer_seeds_than_were_locked_is_exploratory(monkeypatch, tmp_path):
    def run(name: str) -> Run:
        return Run(tmp_path / name, {"id": name, "inputs": {}})

    case = Case("a", run("score-base"), (run("score-a-s1"),), arm="a", seeds=(1,))
    locked = "(locked 2026-11-26T12:54:10 UTC, sha256 9caf67e42290)"
    standing = lock.Standing((), locked[1:-1], "9", "2026", ())
    made = []
    monkeypatch.setattr(report, "_run", lambda what, *_: made.append(what) or run("report"))
    told = SimpleNamespace(arm="a", model_dump=lambda mode: {})
    study = SimpleNamespace(
        experiment=SimpleNamespace(name="e", question="q", seeds=(1, 2), analysis=told),
        cases=lambda: [case],
        steps=[Step("score", "a", seed) for seed in (1, 2)],
        find=lambda step: case if step.seed == 1 else None,
        standing=lambda scored: standing,
        ingested=run("ingest"),
        data=SimpleNamespace(items=[], annotations=[]),
        root=tmp_path,
        made=[],
    )
    report.of_study(study)
    report.of_study(study, {"a-s2/score": "the device fell off"})
    assert made[0].config["kind"] == f"exploratory: 1 of 2 seeds of a are missing {locked}"
    assert made[0].config["lock"] == {
        "confirmatory": False,
        "said": made[0].config["kind"],
        "sha256": "9",
        "written": "2026",
        "deviations": [],
    }
    assert made[0].config["missing"] == {"a-s2/score": "not done"}
    assert made[1].config["missing"] == {"a-s2/score": "the device fell off"}
    standing = lock.Standing(("one field differs",), locked[1:-1], "9", "2026", ())
    report.of_study(study)
    both = "one field differs; 1 of 2 seeds of a are missing"
    assert made[2].config["kind"] == f"exploratory: {both} {locked}"


def test_the_noise_of_both_scorings_counts_and_money_where_its_price_is_known():
    def run(noise: float | None = None, **spent) -> Run:
        largest = {"specific_gain_bits_per_token": noise}
        floor = None if noise is None else {"largest_difference": largest}
        return Run(Path("x"), {"headline": {"noise_floor": floor}, "spent": spent})

    assert Case("a", run(1e-6), (run(2e-6), run(3e-6))).noise_floor == pytest.approx(4e-6)
    assert Case("a", run(), (run(2e-6),)).noise_floor == pytest.approx(4e-6)
    assert Case("a", run(), (run(),)).noise_floor is None
    spent = {"device": "cpu, counted as one device", "device_seconds": 60.0, "tokens": 1000}
    paid = run(**spent, money=0.25, currency="usd")
    assert of_results._cost(Case("a", paid, (), (paid, paid))) == (
        "120 device-seconds (CPU, counted as one device; 2,000 tokens), 0.50 usd"
    )
    free = run(**spent, money=None, currency=None)
    assert of_results._cost(Case("a", free, (), (paid, free))) == (
        "120 device-seconds (CPU, counted as one device; 2,000 tokens)"
    )


def test_the_gate_and_the_list_say_the_verdict(reported):
    place = reported.parent.parent
    verdict = json.loads((reported / "run.json").read_text())["headline"]["verdict"]
    assert int((place / "gate").read_text()) == EXIT_GATE[verdict]
    assert EXIT_GATE == {"improved": 0, "no worse": 10, "inconclusive": 11, "worse": 12}
    (row,) = json.loads((place / "list.json").read_text())["models"]
    assert (row["model"], row["report"]) == ("shuffled-s0", reported.name)


def test_texts_of_models_are_compared_item_by_item_under_the_same_seeds(reported):
    results = json.loads((reported / "report.json").read_text("utf-8"))
    assert [row["marked"] for row in results["writing"]] == [
        "fixed judge, which wrote it",  # the judge is the base model here, and that is said
        "fixed judge",
        "fixed judge",
        "self-judged",
        "self-judged",
        "self-judged",
    ]
    fixed, own = results["writing"][:3], results["writing"][3:]
    assert [row["judge"].rsplit(" + ")[-1] for row in own[1:]] == [
        "own-annotations-s0",
        "own-shuffled-s0",
    ]
    gain = "gain_bits_per_token"
    assert own[0][gain] == fixed[0][gain]  # the base's own marks are the judge's: the same model
    scored = next(reported.parent.glob("score-own-shuffled-s0-*/scores.jsonl"))
    rows = [json.loads(line) for line in scored.read_text("utf-8").splitlines()]
    assert own[2][gain] == pytest.approx(sum(row["quantities"][gain] for row in rows) / len(rows))
    assert own[2][gain] != fixed[2][gain]
    # each change is from the base's marks of its own texts to the tuned model's of its own
    changed = [row for row in results["writing_changes"] if row["marked"] == "self-judged"]
    assert {row["model"] for row in changed} == {"annotations-s0", "shuffled-s0"}
    for change in (row for row in changed if row["model"] == "shuffled-s0"):
        names = change["quantity"], change["group"]
        two, one = (
            {
                (row["item"], row["sample"]): row["quantities"][names[0]]
                for line in path.read_text("utf-8").splitlines()
                if (row := json.loads(line))["group"] == names[1]
            }
            for path in (scored, next(reported.parent.glob("score-texts-base-*/scores.jsonl")))
        )
        kept = [key for key in two if None not in (one[key], two[key])]
        assert change["change"] == pytest.approx(sum(two[k] - one[k] for k in kept) / len(kept))
    assert len(results["writing_changes"]) == 2 * len(changed) == 8
    measures = {row["measure"]: row for row in results["style"] if row["model"] == "shuffled-s0"}
    assert set(measures) == set(style.MEASURES)
    assert (measures["words"]["items"], measures["words"]["works"]) == (12, 12)
    words = {}
    for model in ("base", "shuffled-s0"):
        path = next(reported.parent.glob(f"generate-{model}-*/texts.jsonl"))
        texts = [Text(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
        words[model] = sum(len(style.words(text.text)) for text in texts) / len(texts)
        seeds = {(text.item, text.sample, text.meta["seed"]) for text in texts}
        assert seeds == words.setdefault("seeds", seeds)
    assert measures["words"]["base"] == pytest.approx(words["base"])
    assert measures["words"]["change"] == pytest.approx(words["shuffled-s0"] - words["base"])


def test_the_seeds_of_an_arm_are_taken_together_and_an_item_needs_all_of_them():
    def model(label: str, lengths: list[int]) -> generated.Written:
        texts = [written(f"i{n}", 0, " ".join(["word"] * k)) for n, k in enumerate(lengths)]
        return generated.Written(label, texts, [], arm=label.split("-")[0])

    models = [model("base", [2, 4, 6, 8]), model("a-s1", [3, 5, 7, 0]), model("a-s2", [4, 6, 8, 9])]
    rows = generated.style([*models, model("b-s1", [2, 4, 6, 8])], style.Source.of([]))
    words = {row["model"]: row for row in rows if row["measure"] == "words"}
    assert set(words) == {"a", "b-s1"}
    assert words["a"]["change"] == pytest.approx((1 + 1 + 1 - 8 + 2 + 2 + 2 + 1) / 8)
    distinct = next(r for r in rows if (r["model"], r["measure"]) == ("a", "distinct_1"))
    assert distinct["items"] == 3  # the fourth is empty under one seed


def written(item: str, sample: int, text: str, ended: bool = True) -> Text:
    return Text(item=item, sample=sample, text=text, work=item, meta={"ended": ended})


def test_measures_of_writing_can_be_checked_by_hand():
    source = style.Source.of(["Once the grey cat sat on the red mat.", "A dog."])
    texts = [
        written("a", 0, "a b a b"),
        written("a", 1, "A, b! a b.", ended=False),  # the same words
        written("b", 0, "the grey cat sat on the mat today"),
        written("b", 1, ""),
    ]
    found = style.measured(texts, source)
    assert found["a"]["words"] == 4
    assert found["a"]["distinct_1"] == pytest.approx(2 / 8)
    assert found["a"]["distinct_2"] == pytest.approx(2 / 6)  # a b, b a of three pairs each
    assert found["a"]["distinct_k"] == 0.5  # one kind among two samples
    assert found["b"]["distinct_k"] == 1.0
    assert found["a"]["ended_by_itself"] == 0.5
    assert found["b"]["empty"] == 0.5
    assert found["b"]["copied_words"] == 6  # the grey cat sat on the
    assert found["a"]["repetition"] == 0.0
    assert style.repetition("to be or not to be or not") == pytest.approx(1 / 5)
    assert style.repetition("too short") is None
    overall = style.overall(texts, found)
    assert (overall["texts"], overall["empty"], overall["ended_by_itself"]) == (4, 1, 3)
    assert overall["longest_copy_words"] == 6
    assert style.measured(texts[2:3], source)["b"]["distinct_k"] is None  # of one sample


@pytest.mark.parametrize(
    ("text", "locked"),
    [
        ("Craft: it is short.", True),
        (" He said so.\nIntent: to be brief", True),
        ("B1: And then?\nC1: Nothing.", True),
        ("User: go on\nAssistant: yes", True),
        ('"Not now," she said. He had one rule: never ask.', False),
        ("Q: the letter stood alone on the door.", False),  # one such line is prose still
    ],
)
def test_lock_in_is_the_form_of_an_annotation_or_a_transcript(text, locked):
    assert style.lock_in(text) is locked


def test_kinds_are_told_by_their_word_pairs():
    # pairs with the beginning: {·a ab bc cd} and {·a ab bc ce}: 3 of 5 shared, one kind
    assert style.kinds(["a b c d", "a b c e"]) == 1
    assert style.kinds(["a b c d", "d c b a"]) == 2
    assert style.kinds(["", "", "a"]) == 2


def test_latex_sets_names_as_they_stand():
    assert latex.escaped("50_a & b% $5 #1 {x} ~^\\") == (
        r"50\_a \& b\% \$5 \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )


def report_of(*models) -> dict:
    """What stands in report.json, as far as the list of reports reads it."""
    return {
        "kind": "exploratory: nothing was fixed",
        "models": [
            {
                "model": name,
                "word": word,
                "device_seconds": seconds,
                "seeds": [0],
                "epoch": None,
                "rows": None,
                "primary": [
                    dict.fromkeys(("items", "works", "base", "tuned", "low", "high", "p"), 1.0)
                    | {"group": "literary", "change": change}
                ],
            }
            for name, word, seconds, change in models
        ],
    }


def test_reports_are_filtered_and_the_best_at_each_price_is_marked():
    one = report_of(("cheap", "no worse", 10, 0.01), ("dear", "improved", 90, 0.05))
    two = report_of(("waste", "worse", 95, -0.02), ("free", "improved", None, 0.9))
    rows = [*listing.rows("report-a", one), *listing.rows("report-b", two)]
    assert dict(zip((row["model"] for row in rows), listing.best(rows), strict=True)) == {
        "cheap": True,
        "dear": True,
        "waste": False,
        "free": False,  # what it cost is not known
    }
    found = listing.where(rows, ["verdict=improved", "device_seconds<100"])
    assert [row["model"] for row in found] == ["dear"]
    assert [row["model"] for row in listing.where(rows, ["model~EA"])] == ["cheap", "dear"]
    for wrong in ("colour=red", "change>much", "verdict"):
        with pytest.raises(UsageRefused, match="--where"):
            listing.where(rows, [wrong])


def test_a_figure_in_the_page_has_no_style_and_its_own_ids():
    from cqa.reporting import figures

    row = {"model": "a $x$ <b>", "group": "literary", "change": 0.1, "low": 0.0, "high": 0.2}
    markup = svg.inline(figures.forest([row, row | {"low": None}], 0.01), "forest", "said")
    found = Tags(markup)
    assert not [name for name, _ in found.attributes if name == "style"]
    assert "style" not in found.names
    assert all(value.startswith("forest-") for name, value in found.attributes if name == "id")
    assert "a $x$ <b>, literary" in "".join(found.text)


@pytest.mark.parametrize(
    "title",
    [
        "Moby | Dick",
        "||",
        "a\\|b",
        "ends in \\",
        "The Lamp\n| --- | owned |",
        "one\r\ntwo",
        "6\u20287",
    ],
)
def test_no_title_breaks_out_of_its_cell(title):
    told = "\n".join(table(("work", "n"), [(title, 1), ("after", 2)]))
    seen = MarkdownIt("js-default").render(told)
    cells = re.findall("<t[hd]>(.*?)</t[hd]>", seen, re.DOTALL)
    assert cells == ["work", "n", " ".join(title.splitlines()), "1", "after", "2"]


MARKUP = [
    "# Heading\n<img src=x onerror=alert(1)>\n\n[free](http://example.org)",
    "![](http://example.org/x.png) *a* **b** _c_ __d__ ~~e~~ `f` &lt; &#60;",
    "[free]: http://example.org\n\n[free]",
    "[a][b] <http://example.org> <!-- <?php <script>",
    "```\nx\n```",
    "--- \\",
    "===",
    "1. one",
    "- - [x] > y",
    "> quoted",
    "a\\|b | c \\[d\\](e)",
    "p < 0.001 [+0.1, +0.2] gain_bits_per_token -0.5",
]


def seen_in(page: str) -> Tags:
    """The page as a reader of Markdown sees it, HTML and tables included."""
    return Tags(MarkdownIt("js-default", {"html": True}).render(page))


@pytest.mark.parametrize("text", MARKUP)
def test_escaped_text_is_shown_as_it_is(text):
    for page, names in ((escaped(text), ["p"]), (f"first\n{escaped(text)}", ["p"])):
        assert seen_in(page).names == names, page
    (token,) = MarkdownIt("js-default").parseInline(escaped(text))
    assert {part.type for part in token.children} <= {"text", "text_special"}
    assert "".join(part.content for part in token.children) == " ".join(text.splitlines())
    cells = seen_in("\n".join(table(("a", "n"), [(text, 1)], plain=True))).names
    assert cells == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]


@pytest.mark.parametrize("text", MARKUP)
def test_nothing_of_others_is_markup_in_report_md(reported, text):
    results = json.loads((reported / "report.json").read_text("utf-8"))
    good = seen_in(markdown.page(results)).names

    def spoil(value, name=None):
        if isinstance(value, dict):
            return {key: spoil(below, key) for key, below in value.items()}
        if isinstance(value, list):
            return [spoil(below, name) for below in value]
        free = {"sentence", "question", "kind", "model", "marked", "what", "why", "run", "device"}
        return text if name in free and isinstance(value, str) else value

    lock = {"deviations": [{"field": text, "locked": text, "now": text}]}
    spoilt = spoil(results)
    assert seen_in(markdown.page(spoilt)).names == good
    more = seen_in(markdown.page(spoilt | {"lock": lock})).names
    assert sorted(more) == sorted([*good, "ul", "li"])
