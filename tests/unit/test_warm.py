"""Jobs that start warm: the same script, the same files, the same exit status as a cold start."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import sys
from langneurons.jobs import job
with job({log!r}):
    import os, torch
    print("forked", "LANGNEURONS_WARM" not in os.environ)
    open({out!r}, "w").write(os.getcwd() + " " + str(torch.arange(4).sum().item()) + " " + str(os.getpid()))
    {body}
"""


@pytest.fixture
def scripts(tmp_path):
    def write(name: str, body: str = "pass") -> Path:
        log, out = str(tmp_path / f"{name}.log"), str(tmp_path / f"{name}.out")
        path = tmp_path / f"{name}.py"
        path.write_text(SCRIPT.format(log=log, out=out, body=body), encoding="utf-8")
        return path

    return write


def run(command: list[str], **options) -> subprocess.CompletedProcess:
    # torch alone is imported beforehand: the mechanism is the same, and the test quicker.
    code = "import sys, langneurons.warm as warm; warm.PRELOADED = ('torch',); sys.exit(warm.main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *command], check=False, **options)


def test_a_script_runs_in_the_warm_process(scripts, tmp_path):
    script = scripts("plain")
    # The client's own pid is not the job's: the job is a fork of the warm process.
    shell = (
        f"{sys.executable} {script} & client=$!; wait $client; code=$?; echo $client > {tmp_path}/client; exit $code"
    )
    assert run(["bash", "-c", shell], cwd=tmp_path).returncode == 0
    where, total, pid = (tmp_path / "plain.out").read_text().split()
    assert (where, total) == (str(tmp_path), "6")
    assert pid != (tmp_path / "client").read_text().strip()
    assert (tmp_path / "plain.log").read_text() == "forked True\n"


@pytest.mark.parametrize(
    ("body", "status"), [("sys.exit(7)", 7), ("raise ValueError('no such file')", 1), ("os.kill(os.getpid(), 9)", 137)]
)
def test_the_exit_status_is_the_script_s(scripts, body, status):
    assert run([sys.executable, str(scripts("bad", body))]).returncode == status


def test_an_expected_error_is_one_line_in_the_log(scripts, tmp_path):
    run([sys.executable, str(scripts("bad", "raise ValueError('corpus.tokens: too few')"))])
    assert (tmp_path / "bad.log").read_text().splitlines()[-1] == "error: corpus.tokens: too few"


def test_without_a_warm_process_a_script_starts_cold(scripts, tmp_path):
    environment = os.environ | {"LANGNEURONS_WARM": str(tmp_path / "gone")}
    done = subprocess.run([sys.executable, str(scripts("cold"))], env=environment, check=False)
    assert done.returncode == 0
    assert (tmp_path / "cold.out").exists()


def test_the_command_s_status_is_returned():
    assert run(["bash", "-c", "exit 5"]).returncode == 5


def test_a_killed_client_takes_its_job_with_it(scripts, tmp_path):
    script = scripts("long", "import time; time.sleep(60)")
    shell = f"{sys.executable} {script} & client=$!; while [ ! -s {tmp_path}/long.out ]; do sleep 0.1; done; "
    shell += "kill -9 $client"
    start = time.monotonic()
    run(["bash", "-c", shell + "; sleep 1"])
    assert time.monotonic() - start < 45
    pid = int((tmp_path / "long.out").read_text().split()[2])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)
