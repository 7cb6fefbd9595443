"""PostgreSQL's own regression suite, through the proxy and without it: the same words, or it is a difference.

    regress.py SOURCE [--quick] [--only home|moved] [--keep FOLDER] [TEST...]

Every run has clusters of its own, prepared the same way; only the port that pg_regress is told differs. The proxy's run is
judged against the direct one, not against the expected files: server and source may be of different minor versions.

    home    the regression database is the default store, and no tenant lives elsewhere: bytes go through as they came
    moved   it has an event table, too, and one tenant has been moved away: BEGIN waits, and the journal is at work
"""
import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from stand import TABLE, Stand, said_differently

from pgcluster import Workspace, as_server_user, bindir, server_user

HERE = Path(__file__).resolve().parent
DBNAME = "regression"

# What pg_regress itself does to a database that it creates. It does not create this one: it is a store.
DATABASE_SETTINGS = {"lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C", "bytea_output": "hex",
                     "timezone_abbreviations": "Default"}


class Suite:
    """The suite's files where the server's user may read and write, and one run of it."""

    def __init__(self, workspace, source, schedule, tests):
        self.schedule, self.tests = schedule, tests
        self.workspace = workspace
        self.base = workspace.path / "suite"
        built = Path(source) / "src/test/regress"
        self.base.mkdir()
        for name in ("sql", "expected", "data"):
            shutil.copytree(built / name, self.base / name)
        for name in ("pg_regress", "regress.so", "refint.so", "autoinc.so", "parallel_schedule", "resultmap"):
            shutil.copy2(built / name, self.base / name)
        shutil.copy2(HERE / "quick_schedule", self.base / "quick_schedule")
        self._own()

    def _own(self):
        if os.geteuid() != 0:
            return
        user = server_user()
        for folder, _, files in os.walk(self.base):
            for path in [folder, *(os.path.join(folder, name) for name in files)]:
                os.chown(path, user.pw_uid, user.pw_gid)

    def run(self, name, host, port):
        """The outputs, test -> text, and what pg_regress said."""
        command = [str(self.base / "pg_regress"), f"--inputdir={self.base}", f"--outputdir={self.base}",
                   f"--dlpath={self.base}", f"--bindir={bindir()}", f"--host={host}", f"--port={port}",
                   "--user=postgres", "--use-existing", f"--dbname={DBNAME}", "--max-concurrent-tests=20"]
        if self.tests:
            command += self.tests
        else:
            command.append(f"--schedule={self.base / self.schedule}")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        done = subprocess.run(as_server_user(command), cwd=self.base, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        results = self.base / "results"
        kept = self.workspace.path / f"results-{name}"
        if done.returncode not in (0, 1) or not results.is_dir():
            raise SystemExit(f"pg_regress could not run ({name}):\n{done.stdout[-4000:]}")
        results.rename(kept)
        (kept / "pg_regress.log").write_text(done.stdout)
        return {path.stem: path.read_text(encoding="utf-8", errors="surrogateescape")
                for path in sorted(kept.glob("*.out"))}, done.stdout


def one_run(workspace, suite, name, moved, through_proxy):
    site = Stand(workspace, name, DBNAME, moved, table=TABLE if moved else None, database_settings=DATABASE_SETTINGS)
    try:
        if through_proxy:
            outputs, said = suite.run(name, site.proxy.host, site.proxy.port)
        else:
            site.proxy.stop()
            outputs, said = suite.run(name, site.shared.host, site.shared.port)
    except BaseException:
        print(site.proxy.log_tail(30))
        raise
    finally:
        shutil.copy2(site.proxy.log_path, workspace.path / f"{name}.log")
    site.stop()
    return outputs, said


def compare(name, direct, proxied):
    """(same, different); prints every difference."""
    same = different = 0
    for test in sorted(set(direct) | set(proxied)):
        if test in direct and direct[test] == proxied.get(test):
            same += 1
            continue
        different += 1
        print(said_differently(test, direct.get(test, "(no output)"), proxied.get(test, "(no output)")))
    print(f"regress {name}: {same} tests the same, {different} different", flush=True)
    return same, different


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("source")
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--only", choices=["home", "moved"])
    arguments.add_argument("--keep", help="copy results and logs here")
    arguments.add_argument("tests", nargs="*")
    options = arguments.parse_intermixed_args()
    passed = failed = 0
    schedule = "quick_schedule" if options.quick else "parallel_schedule"
    with Workspace("pgshunt-regress-") as workspace:
        suite = Suite(workspace, options.source, schedule, options.tests)
        try:
            for name, moved in (("home", False), ("moved", True)):
                if options.only not in (None, name):
                    continue
                direct, said = one_run(workspace, suite, f"{name}-direct", moved, False)
                print(f"{name}, direct: {' '.join(said.splitlines()[-5:]).strip()[:200]}", flush=True)
                proxied, said = one_run(workspace, suite, f"{name}-proxy", moved, True)
                same, different = compare(name, direct, proxied)
                passed, failed = passed + same, failed + different
        finally:
            if options.keep:
                keep = Path(options.keep)
                keep.mkdir(parents=True, exist_ok=True)
                for path in [*workspace.path.glob("results-*"), *workspace.path.glob("*.log")]:
                    if path.is_dir():
                        shutil.copytree(path, keep / path.name, dirs_exist_ok=True)
                    else:
                        shutil.copy2(path, keep)
    print(f"regress: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
