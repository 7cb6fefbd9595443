"""Stories of the presets (docs/presets.md), on what tests/e2e stands on: two clusters, a database per test, a pgshunt."""
import importlib.util
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
E2E = TOP / "tests" / "e2e" / "conftest.py"

specification = importlib.util.spec_from_file_location("stand", E2E)
stand = importlib.util.module_from_spec(specification)
sys.modules["stand"] = stand
specification.loader.exec_module(stand)

workspace, clusters, stores, make_proxy = stand.workspace, stand.clusters, stand.stores, stand.make_proxy
pytest_runtest_makereport = stand.pytest_runtest_makereport
