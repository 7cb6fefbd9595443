"""Counts what has been run. Each suite adds a line to the tally file; the last line of tests/run.sh is its sum.

    tally.py add   TALLY SUITE PASSED FAILED
    tally.py meson TALLY SUITE BUILD_FOLDER       every cmocka case of the last `meson test` (they speak TAP)
    tally.py pytest TALLY SUITE JUNIT_XML EXIT_CODE
    tally.py sum   TALLY                          prints "N passed, N failed"; exit code 1 if anything failed
"""
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def add(tally, suite, passed, failed, notes=""):
    with open(tally, "a", encoding="utf-8") as out:
        out.write(f"{passed} {failed} {suite}\n")
    print(f"{suite}: {passed} passed, {failed} failed{notes}")


def meson(tally, suite, folder):
    """A test program that crashed has no "not ok" of its own, and counts as one more failure."""
    passed = failed = 0
    log = Path(folder) / "meson-logs" / "testlog.json"
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        test = json.loads(line)
        spoken = (test.get("stdout") or "") + (test.get("stderr") or "")
        cases_ok = len(re.findall(r"^ok \d+", spoken, re.MULTILINE))
        cases_bad = len(re.findall(r"^not ok \d+", spoken, re.MULTILINE))
        went_well = test["result"] == "OK"
        if cases_ok + cases_bad == 0:
            cases_ok, cases_bad = (1, 0) if went_well else (0, 1)
        elif not went_well and cases_bad == 0:
            cases_bad = 1
        if not went_well:
            print(f"FAILED {test['name']} ({test['result']})")
        passed += cases_ok
        failed += cases_bad
    if passed + failed == 0:
        failed = 1                     # a suite that ran nothing has not passed
    add(tally, suite, passed, failed)


def pytest(tally, suite, junit, exit_code):
    passed = failed = skipped = 0
    if Path(junit).exists():
        for result in ElementTree.parse(junit).getroot().iter("testsuite"):
            count = {name: int(result.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
            failed += count["failures"] + count["errors"]
            skipped += count["skipped"]
            passed += count["tests"] - count["failures"] - count["errors"] - count["skipped"]
    if int(exit_code) != 0 and failed == 0 or passed + failed == 0:
        failed += 1                    # it did not even begin, or was interrupted
    add(tally, suite, passed, failed, f", {skipped} skipped" if skipped else "")


def total(tally):
    passed = failed = 0
    for line in Path(tally).read_text(encoding="utf-8").splitlines():
        passed += int(line.split()[0])
        failed += int(line.split()[1])
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main():
    what, tally, *rest = sys.argv[1:]
    if what == "add":
        add(tally, rest[0], int(rest[1]), int(rest[2]))
    elif what == "meson":
        meson(tally, *rest)
    elif what == "pytest":
        pytest(tally, *rest)
    elif what == "sum":
        return total(tally)
    return 0


if __name__ == "__main__":
    sys.exit(main())
