"""A real Slurm on this machine, for the tests: a controller, three nodes and munge, without systemd.

Each node claims one GPU, whose device file is /dev/null: Slurm hands it out, counts it and says which one a job has,
as it does with real ones. Needs root, and Debian's slurm-wlm and munge; job steps look for the configuration in
/etc/slurm alone, so it is written there, unless the machine has one of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

TOOLS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "sinfo")
ETC = Path("/etc/slurm")
MARK = "ClusterName=langneurons"
NODES = ("node1", "node2", "node3")
MEMORY = 9_000  # MB a node

CONFIGURATION = """{mark}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
# A requeued job waits until its old credential has expired: by default two minutes.
AuthInfo=cred_expire=5
StateSaveLocation={base}/state
SlurmctldPidFile={base}/run/slurmctld.pid
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdSpoolDir={base}/spool/%n
SlurmdPidFile={base}/run/slurmd.%n.pid
SlurmdLogFile={base}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={base}/log/jobcomp.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=5,sched_interval=5
GresTypes=gpu
MinJobAge=86400
KillWait=5
MailProg=/bin/true
NodeName=node[1-3] NodeHostname={host} NodeAddr=127.0.0.1 Port=[17001-17003] CPUs=2 CoresPerSocket=2 \
RealMemory={memory} Gres=gpu:1
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=10
"""
GPUS = "AutoDetect=off\nNodeName=node[1-3] Name=gpu File=/dev/null\n"


def why_not() -> str | None:
    """Why no cluster can be brought up here; None if one can."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=_path()) is None]
    if missing:
        return f"no {', '.join(missing)} here: apt-get install slurm-wlm munge"
    if os.geteuid():
        return "a Slurm of the tests' own needs root"
    own = ETC / "slurm.conf"
    if own.exists() and MARK not in own.read_text(encoding="utf-8"):
        return f"{own} is this machine's own"
    return None


def _path() -> str:
    return os.environ["PATH"] + ":/usr/sbin:/sbin"


class Cluster:
    """A running Slurm; a context manager that takes it down again, whatever happened."""

    def __init__(self, base: Path):
        self.base = base
        self.tools = base / "bin"
        self.daemons: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> Cluster:
        folders = ["state", "run", "log", "bin", *(f"spool/{node}" for node in NODES)]
        for folder in folders:
            (self.base / folder).mkdir(parents=True)
        self._hide_sacct()
        host = socket.gethostname().partition(".")[0]
        ETC.mkdir(exist_ok=True)
        text = CONFIGURATION.format(mark=MARK, host=host, base=self.base, memory=MEMORY)
        (ETC / "slurm.conf").write_text(text, encoding="utf-8")
        (ETC / "gres.conf").write_text(GPUS, encoding="utf-8")
        try:
            self._start_munge()
            self.start_controller()
            for node in NODES:
                self.start_node(node)
            self.wait_for(lambda: self.idle_nodes() == set(NODES), "nodes")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception) -> None:
        with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            self.ask("scancel", "--user=root", timeout=20)
            self.wait_for(lambda: not self.ask("squeue", "-h", "-t", "R,CG"), "the last jobs' end", seconds=20)
        for name in list(self.daemons):
            self.stop(name)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)

    def idle_nodes(self) -> set[str]:
        return set(self.ask("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split())

    def _hide_sacct(self) -> None:
        """A folder of the system's commands but sacct: without accounting it fails, and the executor would ask it."""
        for folder in ("/usr/sbin", "/usr/bin"):
            for command in Path(folder).iterdir():
                with contextlib.suppress(FileExistsError):
                    if command.name != "sacct":
                        (self.tools / command.name).symlink_to(command)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a person who works on this cluster."""
        kept = [p for p in os.environ["PATH"].split(":") if not (Path(p) / "sacct").exists()]
        return os.environ | {"PATH": ":".join([*kept, str(self.tools)])}

    def _start_munge(self) -> None:
        Path("/run/munge").mkdir(exist_ok=True)
        shutil.chown("/run/munge", "munge", "munge")
        if not Path("/etc/munge/munge.key").exists():
            subprocess.run(["mungekey", "-c"], check=True, env=self.environment)
            shutil.chown("/etc/munge/munge.key", "munge", "munge")
        if subprocess.run(["munge", "-n"], capture_output=True, env=self.environment).returncode == 0:
            return  # one runs already: it is not ours to stop
        command = ["munged", "--foreground", "--syslog"]
        self.daemons["munged"] = subprocess.Popen(command, user="munge", group="munge", env=self.environment)
        munge = ["munge", "-n"]
        self.wait_for(lambda: not subprocess.run(munge, capture_output=True, env=self.environment).returncode, "munge")

    def start_controller(self) -> None:
        self._start("slurmctld", ["slurmctld", "-D"])
        self.wait_for(lambda: "UP" in self.ask("scontrol", "ping", check=False), "slurmctld")

    def start_node(self, node: str) -> None:
        self._start(node, ["slurmd", "-D", "-N", node])

    def _start(self, name: str, command: list[str]) -> None:
        with (self.base / "log" / f"{name}.out").open("ab") as stream:
            options = {"stdout": stream, "stderr": stream, "env": self.environment, "start_new_session": True}
            self.daemons[name] = subprocess.Popen(command, **options)

    def stop(self, name: str, by: int = signal.SIGTERM) -> None:
        """Stop one daemon and wait for its end."""
        daemon = self.daemons.pop(name)
        daemon.send_signal(by)
        try:
            daemon.wait(timeout=20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def crash_node(self, node: str) -> None:
        """A node goes down in the middle of its work: its daemon and its jobs die, and the controller hears of it."""
        jobs = self.ask("squeue", "-h", "-t", "R", "-w", node, "-o", "%i").split()
        self.stop(node, signal.SIGKILL)
        for job in jobs:
            for pid in _processes_of(job):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def mend_node(self, node: str) -> None:
        self.start_node(node)
        self.ask("scontrol", "update", f"nodename={node}", "state=resume", check=False)  # it may be back by itself
        self.wait_for(lambda: node in self.idle_nodes(), node)

    def ask(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        """The output of one of Slurm's commands."""
        options = {"capture_output": True, "text": True, "env": self.environment, "timeout": timeout}
        return subprocess.run(command, check=check, **options).stdout

    def wait_for(self, condition, what: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not there after {seconds} s; logs in {self.base / 'log'}")
            time.sleep(0.1)

    def jobs(self) -> list[dict[str, str]]:
        """Every job that the controller knows, also finished ones: the fields that ``scontrol -d show job`` tells."""
        found = []
        for block in self.ask("scontrol", "-d", "-o", "show", "job").splitlines():
            fields = dict(re.findall(r"(?:^|\s)([A-Za-z/:_]+)=(\S*)", block))
            if "JobId" in fields:
                found.append(fields)
        return found


def _processes_of(job: str) -> list[int]:
    """Every process of a job on this machine, and the steps' own daemons."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes()
            if f"SLURM_JOB_ID={job}".encode() in environment or f"slurmstepd: [{job}.".encode() in command:
                found.append(int(entry.name))
    return found
