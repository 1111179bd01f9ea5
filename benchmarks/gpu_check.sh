#!/usr/bin/env bash
# Builds, tests and times the CUDA kernels on a GPU machine without network. Needs torch with CUDA,
# torchvision, CMake, ninja, pybind11, scikit-build-core and nvcc; other wheels (pytest, scipy, timm)
# may lie in a folder:
#   benchmarks/gpu_check.sh [WHEELS]
# Ends with a table; JSON and Markdown go to .benchmarks/gpu.*
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if [ $# -gt 0 ]; then
  "$python" -m pip install -q --no-index --no-deps --target "$site" "$1"/*.whl
fi
"$python" -m pip install -q --no-index --no-deps --no-build-isolation --target "$site" . \
  -C cmake.define.TUIPROBE_CUDA=ON -C cmake.define.TUIPROBE_WERROR=ON
# The tests and benchmarks are imported from a copy, so that the package comes from where it was built.
cp -r tests benchmarks csrc pyproject.toml "$site"
export PYTHONPATH="$site"
cd "$site"
"$python" -m pytest -q -p no:cacheprovider tests/gpu -k "not host"
if command -v nvdisasm >/dev/null; then
  "$python" -m benchmarks.cuda_static
fi
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$python" -m pytest -q -p no:cacheprovider tests/gpu -k "not host and (maps or finite or top_k)"
  done
fi
"$python" -m benchmarks.gpu --json "$site/gpu.json" | tee "$site/gpu.md"
mkdir -p "$OLDPWD/.benchmarks"
cp "$site"/gpu.json "$site"/gpu.md "$OLDPWD/.benchmarks/"
