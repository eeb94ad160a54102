# shellcheck shell=bash
# What the scripts share: where things are, steps that are timed and counted, and checks.
# To be sourced by bash.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # for those who source this
target=${CARGO_TARGET_DIR:-$root/target}
# shellcheck disable=SC2034
tools=$root/target/tools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

passed=0
failed=0

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# need COMMAND WHAT: stops with a clear word if a toolchain is not there.
need() {
  command -v "$1" >/dev/null || fail "'$1' is missing: install $2, then try again"
}

# Where a Chromium is, if there is one.
find_chromium() {
  type -P chromium || type -P chromium-browser || type -P google-chrome || true
}

# step NAME COMMAND…: runs one step, tells how long it took, and adds its tests to the totals. A
# step that counts nothing counts as one. A failed step does not stop the run: whoever looks at the
# output wants to know all that is wrong.
step() {
  local name=$1 began=$SECONDS status=0 step_passed step_failed
  shift
  printf '\n=== %s\n' "$name"
  "$@" 2>&1 </dev/null | tee "$work/step.log" || status=$?
  read -r step_passed step_failed < <(count_tests "$work/step.log")
  if ((step_passed + step_failed == 0 && status == 0)); then
    step_passed=1
  fi
  if ((status != 0 && step_failed == 0)); then
    step_failed=1
  fi
  ((passed += step_passed, failed += step_failed)) || true
  if ((step_failed == 0)); then
    printf -- '--- ok: %s, %d s\n' "$name" $((SECONDS - began))
  else
    printf -- '--- FAILED: %s, %d s\n' "$name" $((SECONDS - began))
    printf 'step: %s\n' "$name" >>"$work/failures"
    name_failures "$work/step.log" >>"$work/failures"
  fi
}

# The lines with which test runners and our own checks name a failure, each with the first lines
# that say why.
name_failures() {
  sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
    /^(FAIL  |--- FAIL: |not ok |FAILED |✖ |test .* \.\.\. FAILED$|thread .* panicked at |(error|Error|ERROR)[:[ ])/ {
      shown = 3
      print "  " substr($0, 1, 300)
      next
    }
    shown > 0 && /^ / { shown--; print "  " substr($0, 1, 600); next }
    { shown = 0 }' | head -n 40
}

# Sums what test runners say at their end: cargo, pytest, node, go test -v, Maven, and lines of our
# own such as "3 passed, 0 failed", the last of which stands for everything before it.
count_tests() {
  sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
    function number_before(word) {
      return match($0, "[0-9]+ " word) ? substr($0, RSTART) + 0 : 0
    }
    function number_after(word) {
      return match($0, word "[0-9]+") ? substr($0, RSTART + length(word)) + 0 : 0
    }
    /^[0-9]+ passed, [0-9]+ failed$/ { passed = $1; failed = $3; next }
    /^test result: / || /^(=+ )?[0-9]+ (passed|failed|error).* in [0-9.]+s/ {
      passed += number_before("passed")
      failed += number_before("failed") + number_before("error")
    }
    /^(#|ℹ) pass [0-9]+$/ || /^--- PASS: / { passed += /PASS/ ? 1 : $3 }
    /^(#|ℹ) fail [0-9]+$/ || /^--- FAIL: / { failed += /FAIL/ ? 1 : $3 }
    /Tests run: [0-9]+.* -- in / {
      bad = number_after("Failures: ") + number_after("Errors: ")
      passed += number_after("Tests run: ") - bad - number_after("Skipped: ")
      failed += bad
    }
    END { print passed + 0, failed + 0 }'
}

# The closing line, and the exit code that goes with it.
finish() {
  if [[ -s $work/failures ]]; then
    printf '\nWhat failed:\n'
    awk '!seen[$0]++' "$work/failures"
  fi
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  ((failed == 0 && passed > 0))
}

# check NAME PATTERN… -- COMMAND…: runs a command and looks for each pattern (an extended regular
# expression) in what it printed, with white space squeezed to single blanks. A pattern that begins
# with '!' must not be found.
check() {
  local name=$1 pattern output patterns=() wrong=() seen=()
  shift
  while [[ $1 != -- ]]; do
    patterns+=("$1")
    shift
  done
  shift
  output=$("$@" 2>&1 </dev/null | tr -s '[:space:]' ' ') || true
  for pattern in "${patterns[@]}"; do
    if [[ $pattern == !* ]]; then
      if [[ $output =~ ${pattern#!} ]]; then wrong+=("unwanted: ${BASH_REMATCH[0]}"); fi
    elif [[ $output =~ $pattern ]]; then
      seen+=("${BASH_REMATCH[0]}")
    else
      wrong+=("not found: $pattern")
    fi
  done
  if ((${#wrong[@]} == 0)); then
    passed=$((passed + 1))
    printf 'ok    %s\n' "$name"
    if ((${#seen[@]} > 0)); then printf '        %.160s\n' "${seen[@]}"; fi
  else
    failed=$((failed + 1))
    printf 'FAIL  %s\n' "$name"
    printf '        %s\n' "${wrong[@]}" "saw: ${output:-(nothing)}"
  fi
}
