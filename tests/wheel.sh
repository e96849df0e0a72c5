#!/bin/sh
# make test-wheel: the wheel, installed with pip into a fresh environment, in an empty directory.
# Some minutes: everything is installed anew. PYTHON=python3.12 tries another interpreter.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
unset PYTHONPATH

"$python" -m venv "$place/venv"
pip="$place/venv/bin/python -m pip --disable-pip-version-check --quiet"
$pip wheel --no-deps --wheel-dir "$place/dist" "$here"
wheel=$(ls "$place"/dist/cqa-*.whl)
$pip install -c "$here/constraints.txt" ${PIP_ARGS:-} "$wheel"
echo "$(basename "$wheel"): $(wc -c < "$wheel") bytes; $("$place/venv/bin/python" --version)"

mkdir "$place/empty"
cd "$place/empty"
PATH="$place/venv/bin:$PATH"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
cqa doctor
cqa ingest
cqa plan experiments/reproduce.toml
cqa train --batch-size 4 --budget 6ktokens || [ $? -eq 4 ]
printf '%s\n' '{"text": " He paid, and the goose came along.", "context": "A man bought a ferry.", "brief": {"intent": "Let the deal be odd."}}' > outputs.jsonl
cqa score outputs.jsonl
cqa score outputs.jsonl --adapter latest
python - <<'end'
import json
from cqa.paths import BENCHMARK_ITEMS, shipped

rows = shipped(BENCHMARK_ITEMS).read_text("utf-8").splitlines(keepends=True)
groups = [json.loads(row)["group"] for row in rows]
with open("items.jsonl", "w", encoding="utf-8") as file:
    for group in ("literary", "factual"):
        file.writelines([row for row, of in zip(rows, groups) if of == group][:3])
end
cqa generate items.jsonl --adapter latest --max-new-tokens 4 --out written.jsonl
test "$(wc -l < written.jsonl)" -eq 12
cqa score items.jsonl
cqa score items.jsonl --adapter latest
cqa report --out page.html
test -s page.html
cqa export train- adapter
test -s adapter/adapter_model.safetensors
test -s adapter/README.md
cat > one.toml <<'end'
name = "one"
question = "Does the wheel do an experiment?"
items = "items.jsonl"
seeds = [0]

[[arms]]
name = "annotations"
rows = 4
write = false

[train]
epochs = 1
forms = ["generation"]

[score]
noise_floor = false
mismatched = 1

[analysis]
arm = "annotations"
margin = 0.05
end
cqa run one.toml --workers 1
test -s one.lock.json
test -s runs/report-one-*/report.html
for name in reproduce embedded controls duality data-size paper; do
  cqa run "experiments/$name.toml" --on sky > task.yaml
  test -s task.yaml
done
test -n "$(ls -d runs/train-*/adapter/adapter_model.safetensors)"
test ! -e "$place/empty/cqa"
case $(python -c 'import cqa; print(cqa.__file__)') in
  "$place"/venv/*) ;;
  *) echo "the checkout was used, not the wheel"; exit 1 ;;
esac
cqa table
echo "the wheel works"
