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
