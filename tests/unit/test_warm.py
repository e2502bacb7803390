"""Jobs that start warm: the same script, the same files, the same exit status as a cold start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import sys
from types import SimpleNamespace
from langneurons.runner.jobs import job
with job(SimpleNamespace(log=[{log!r}], threads=1, config={{}})):
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
    code = "import sys, langneurons.runner.warm as warm; warm.PRELOADED = ('torch',); sys.exit(warm.main(sys.argv[1:]))"
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
    ("command", "status", "says"),
    [
        ([], 2, "usage: langneurons warm COMMAND [ARGUMENT ...]\n"),
        (
            ["no-such-command"],
            127,
            "error: no-such-command: command not found; usage: langneurons warm COMMAND",
        ),
    ],
)
def test_no_command_is_one_line(command, status, says):
    done = run(command, capture_output=True, text=True)
    assert done.returncode == status and done.stdout == ""
    assert done.stderr.startswith(says) and done.stderr.count("\n") == 1


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


# What a child may end with, whatever raised it: nothing of it goes on in the server.
ENDINGS = {
    "a message": ("sys.exit('no such model')", 1),
    "no code": ("sys.exit()", 0),
    "a large code": ("sys.exit(257)", 1),
    "a huge code": ("sys.exit(2**40)", 255),
    "an interrupt": ("raise KeyboardInterrupt", 130),
    "memory": ("raise MemoryError", 1),
    "a base exception": ("raise type('Own', (BaseException,), {})()", 1),
    "recursion": ("f = lambda: f(); f()", 1),
    "closed streams": ("sys.stdout.close(); sys.stderr.close(); raise ValueError", 1),
    "streams that fail when flushed": ("sys.stdout = sys.stderr = open('/dev/full', 'w'); print('lost')", 120),
    "an exception that cannot be printed": (
        "raise type('Own', (Exception,), {'__str__': lambda self: sys.exit(0), '__repr__': None})()",
        1,
    ),
}


@pytest.mark.parametrize("case", ENDINGS)
def test_whatever_a_job_raises_ends_in_the_child(tmp_path, case):
    body, status = ENDINGS[case]
    script = tmp_path / "it.py"
    script.write_text(f"import sys\n{body}\n", encoding="utf-8")
    assert in_the_child({"script": str(script), "directory": str(tmp_path), "environment": {}}) == status


@pytest.mark.parametrize("request_", [{}, {"script": "it.py", "directory": "gone", "environment": {}}, [], None])
def test_a_request_that_cannot_be_followed_ends_in_the_child(tmp_path, request_):
    assert in_the_child(request_) == 1


def in_the_child(request) -> int:
    """The exit status of a forked child; 99 if anything came back into the code that forked it."""
    code = (
        "import json, os, socket, sys, langneurons.runner.warm as warm\n"
        "sockets = socket.socketpair()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    try:\n"
        "        warm._child(*sockets, [os.dup(1), os.dup(2)], sys.argv[1].encode(), os.getppid())\n"
        "    finally:\n"
        "        os._exit(99)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    command = [sys.executable, "-c", code, json.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def test_the_server_goes_on_after_a_job_whose_directory_is_gone(scripts, tmp_path):
    """The first client asks from a directory that is deleted before its job starts; the second one is served."""
    script = scripts("plain")
    ask = (
        "import json, os, socket, sys\n"
        "c = socket.socket(socket.AF_UNIX); c.connect(os.environ['LANGNEURONS_WARM'])\n"
        "request = json.dumps({'script': 'x.py', 'directory': '/gone', 'environment': {}}).encode()\n"
        "socket.send_fds(c, [len(request).to_bytes(8, 'big')], [1, 2]); c.sendall(request)\n"
        "print('status', c.recv(8))\n"
    )
    (tmp_path / "ask.py").write_text(ask, encoding="utf-8")
    shell = f"{sys.executable} {tmp_path / 'ask.py'}; {sys.executable} {script}"
    done = run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert "status b'1'" in done.stdout and "FileNotFoundError" in done.stderr
    assert (tmp_path / "plain.log").read_text() == "forked True\n"


def test_a_temporary_directory_with_a_long_name_is_warm_too(scripts, tmp_path):
    long = tmp_path / ("d" * 200)
    long.mkdir()
    done = run([sys.executable, str(scripts("plain"))], env=os.environ | {"TMPDIR": str(long)})
    assert done.returncode == 0
    assert (tmp_path / "plain.log").read_text() == "forked True\n"
    assert list(long.iterdir()) == []


def test_where_no_socket_can_be_made_jobs_start_cold_with_a_word(scripts, tmp_path):
    code = (
        "import errno, socket, sys, langneurons.runner.warm as warm\n"
        "class Socket(socket.socket):\n"
        "    def bind(self, address): raise OSError(errno.EOPNOTSUPP, 'Operation not supported')\n"
        "socket.socket = Socket\n"
        "sys.exit(warm.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, sys.executable, str(scripts("plain", "sys.exit(7)"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert (tmp_path / "plain.log").read_text().splitlines()[0] == "forked True"  # of a job without the variable
    assert [line for line in done.stderr.splitlines() if "Jobs start cold" in line]
    assert "Traceback" not in done.stderr


def test_where_nothing_can_be_forked_a_job_starts_cold(scripts, tmp_path):
    code = (
        "import os, sys, langneurons.runner.warm as warm\n"
        "warm.PRELOADED = ()\n"
        "def fork(): raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "def serve(*arguments, serve=warm._serve): os.fork = fork; serve(*arguments)\n"
        "warm._serve = serve\n"
        "sys.exit(warm.main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, sys.executable, str(scripts("plain", "sys.exit(7)"))])
    assert done.returncode == 7
    assert (tmp_path / "plain.log").read_text().splitlines()[0] == "forked False"


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_a_killed_server_takes_its_jobs_with_it_and_the_client_says_so(scripts, tmp_path):
    script = scripts("long", "import time; time.sleep(60)")
    shell = f"{sys.executable} {script} 2> {tmp_path}/told & client=$!; "
    shell += f"while [ ! -s {tmp_path}/long.out ]; do sleep 0.1; done; kill -9 $PPID; wait $client; "
    shell += f"echo $? > {tmp_path}/status"
    assert run(["bash", "-c", shell]).returncode == -signal.SIGKILL
    until = time.monotonic() + 30
    while not (tmp_path / "status").exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.2)
    assert (tmp_path / "status").read_text() == "1\n"
    assert "the process that starts jobs warm was killed" in (tmp_path / "told").read_text()
    pid = int((tmp_path / "long.out").read_text().split()[2])
    until = time.monotonic() + 10
    while (state := Path(f"/proc/{pid}/cmdline")).exists() and state.read_bytes() and time.monotonic() < until:
        time.sleep(0.1)
    assert not state.exists() or not state.read_bytes()  # gone, or a zombie where nobody waits for orphans
