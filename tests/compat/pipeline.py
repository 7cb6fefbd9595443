"""libpq_pipeline, PostgreSQL's own test of pipeline mode, through the proxy: every test passes, and what libpq sends and
reads is, message by message, what it sends and reads without a proxy. In both pool modes.

    pipeline.py SOURCE
"""
import subprocess
import sys
from pathlib import Path

from stand import Stand, said_differently

from pgcluster import Workspace

ROWS = 700                             # as in PostgreSQL's own run of it
TIMEOUT_S = 180

# In which order libpq sends and reads depends on who is faster, in the one; how much it sends, in the other.
ORDER_VARIES = {"pipelined_insert"}
NO_TRACE = {"uniqviol"}

# What the tests leave behind: each begins without it.
LEFTOVERS = """
SELECT format('DROP TABLE %I', tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename ~ '^(pq_|ppln_)'
"""


class Program:
    def __init__(self, source, folder):
        self.path = Path(source) / "src/test/modules/libpq_pipeline/libpq_pipeline"
        self.folder = folder

    def tests(self):
        return subprocess.run([self.path, "tests"], check=True, capture_output=True, text=True).stdout.split()

    def run(self, test, stand, server):
        """(whether it passed, what it said, the trace)."""
        for (drop,) in stand.shared.rows(stand.dbname, LEFTOVERS):
            stand.shared.execute(stand.dbname, drop)
        conninfo = server.conninfo(stand.dbname, "postgres")
        trace = self.folder / "trace"
        trace.unlink(missing_ok=True)
        try:
            done = subprocess.run([self.path, "-r", str(ROWS), "-t", trace, test, conninfo], capture_output=True,
                                  text=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as slow:
            return False, f"no end within {TIMEOUT_S} s: {slow.stdout} {slow.stderr}", ""
        return done.returncode == 0, done.stdout + done.stderr, read_trace(test, trace)


def read_trace(test, path):
    if test in NO_TRACE or not path.exists():
        return ""
    lines = path.read_text().splitlines(keepends=True)
    if test in ORDER_VARIES:
        lines.sort(key=lambda line: line[:1])      # stable: each direction for itself
    return "".join(lines)


def compare(program, stand, name):
    passed = failed = 0
    for test in program.tests():
        direct, said, expected = program.run(test, stand, stand.shared)
        if not direct:
            print(f"{test} fails without pgshunt, too:\n{said}")
        well, said, trace = program.run(test, stand, stand.proxy)
        if direct and well and trace == expected:
            passed += 1
            continue
        failed += 1
        if not well:
            print(f"pipeline {name}: {test} fails:\n{said[-3000:]}")
        if trace != expected:
            print(said_differently(f"trace of {test}", expected, trace))
    print(f"pipeline {name}: {passed} passed, {failed} failed", flush=True)
    return passed, failed


def main():
    passed = failed = 0
    with Workspace("pgshunt-pipeline-") as workspace:
        program = Program(sys.argv[1], workspace.path)
        for name, moved, mode in (("home", False, "session"), ("moved", True, "session"),
                                  ("home, transaction", False, "transaction"), ("moved, transaction", True, "transaction")):
            stand = Stand(workspace, f"{mode}-{'moved' if moved else 'home'}", "pipeline", moved, pool_mode=mode)
            well, bad = compare(program, stand, name)
            passed, failed = passed + well, failed + bad
            stand.stop()
    print(f"pipeline: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
