#!/usr/bin/env bash
# Build the wheel, install it in an environment of its own, and run a telling part of the tests
# there, in another folder: an editable installation hides what a user's folder does to imports.
#     scripts/test_wheel.sh [pytest's arguments]
# LENET_PYTHON: the environment whose packages it sees (.venv's). LENET_WHEELS: a folder that keeps the wheel.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
python=${LENET_PYTHON:-$PWD/.venv/bin/python}
folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT

LENET_REQUIRE_NATIVE=1 "$python" -m pip wheel --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --wheel-dir "$folder" -Cbuild-dir="$folder/build" .

if [ -n "${LENET_WHEELS:-}" ]; then
    mkdir -p "$LENET_WHEELS"
    cp "$folder"/lenet-*.whl "$LENET_WHEELS"
fi

# It sees the packages of that environment, of lenet only what the wheel brings: that comes first.
"$python" -m venv --without-pip "$folder/venv"
packages='import sysconfig; print(sysconfig.get_path("platlib"))'
site=$("$folder/venv/bin/python" -c "$packages")
"$python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --target "$site" "$folder"/lenet-*.whl
"$python" -c 'import sys; print(*(path for path in sys.path if path.endswith("-packages")), sep="\n")' \
    >"$site/packages.pth"

mkdir "$folder/tests"
cp tests/conftest.py tests/portable.py tests/test_tiny.py tests/tutorial_process.py \
    tests/test_tutorial_lenet.py "$folder/tests"
cd "$folder/tests"
found=$("$folder/venv/bin/python" -c 'import lenet, lenet._native; print(lenet.__file__)')
case $found in
"$site"/*) ;;
*)
    echo "lenet is not that of the wheel, but $found" >&2
    exit 1
    ;;
esac
"$folder/venv/bin/python" -m pytest --config-file="$root/pyproject.toml" --rootdir="$folder/tests" \
    -p no:cacheprovider "$@" .
