#!/usr/bin/env bash
# Run the native engine's tests on an engine built with sanitizers, by GCC on Linux:
#     scripts/sanitize.sh 'address;undefined' | thread [pytest's arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
sanitizers=$1
shift
build=build/${sanitizers%%;*}

# An environment of its own that sees the packages of .venv. It is not enough to put another lenet
# on PYTHONPATH: the import hook of .venv's editable installation comes first.
.venv/bin/python -m venv --without-pip "$build/venv"
packages='import sysconfig; print(sysconfig.get_path("platlib"))'
site=$("$build/venv/bin/python" -c "$packages")
.venv/bin/python -c "$packages" >"$site/packages.pth"
LENET_REQUIRE_NATIVE=1 .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --upgrade --target "$site" -Cbuild-dir="$build/cmake" \
    -Ccmake.build-type=Debug -Ccmake.define.LENET_SANITIZE="$sanitizers" .

# Python itself is built without: the runtime has to be there before it starts, and libstdc++ with
# it, whose exceptions it watches.
preload=$(ldd "$site"/lenet/_native*.so | awk '/lib(asan|tsan|stdc\+\+)\./ { print $3 }')
export LD_PRELOAD=${preload//$'\n'/ }
# CPython frees little at its end; what happens between NumPy's and PyTorch's own threads, whose
# locks ThreadSanitizer cannot all see, is not ours; and one test forks.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=ignore_noninstrumented_modules=1:die_after_fork=0
# Older runtimes of ThreadSanitizer do not start where the kernel scatters addresses widely.
still=$(setarch --addr-no-randomize true 2>/dev/null && echo setarch --addr-no-randomize || true)
# One thread races with none: ThreadSanitizer is for the tests in which the engine has several.
selected=(-m 'not slow' -k 'native or filtering' tests/test_engines.py)
if [ "$sanitizers" = thread ]; then selected=(-m 'threads and not slow'); fi
# Reports go to the real standard error: pytest may capture only Python's.
$still "$build/venv/bin/python" -m pytest --capture=sys -p no:faulthandler -p no:cacheprovider \
    "${selected[@]}" tests/test_native.py tests/test_minimal_filtering.py "$@"
