"""Schemathesis against the API's own description: whatever is sent, no 5xx and no answer that is not described.

`make fuzz` sends thousands of cases; here are enough to see a new route that is described wrongly.
"""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import child_environment
from test_api import served

COMMAND = Path(sys.executable).with_name("schemathesis")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))  # for each operation
SECONDS = 60 + EXAMPLES

pytestmark = pytest.mark.skipif(not COMMAND.exists(), reason="schemathesis is not installed; run: make setup")


@pytest.fixture(scope="module")
def server(founding_corpus, founding_home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    # Whoever sends thousands of questions from one address is told to wait; that is another test's subject.
    limits = {"ASSISTANT_RATE": "1000000", "ASSISTANT_RATE_TOTAL": "1000000"}
    ratings = {"ASSISTANT_FEEDBACK": str(folder / "feedback.sqlite3")}
    with served({**child_environment(founding_corpus, founding_home), **limits, **ratings}, folder / "log") as client:
        yield client
    assert "Traceback" not in (folder / "log").read_text("utf-8")


@pytest.mark.timeout(2 * SECONDS + 60)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_whatever_is_sent_the_answer_is_one_that_is_described(server, accept, tmp_path):
    seed = secrets.randbelow(2**32)
    print(f"seed {seed}")
    options = ["--checks", CHECKS, "--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", str(seed)]
    more = ["--continue-on-failure", "--no-color", "-H", f"Accept: {accept}"]
    run = [str(COMMAND), "run", f"{server.base_url}/openapi.json", *options, *more]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=2 * SECONDS, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) > 100
