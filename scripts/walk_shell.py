"""The shell that a walk page's commands run in, and what they could leave behind on this machine."""
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

COMMAND_SECONDS = 60
BACKGROUND_SECONDS = 30
STOP_SECONDS = 20
SHOWN_ADDRESS = "127.0.0.1:7104"
SHOWN_FOLDER = "/tmp/walk"


class Shell:
    """One bash for a whole page. Commands run in it one by one; it says how each ended on a pipe of its own."""

    def __init__(self, folder, env):
        self.scratch, self.env, self.count, self.pids = folder / "runner", env, 0, []
        self.scratch.mkdir()
        self.status, self.door = os.pipe()
        self.bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=env["HOME"], env=env, stdin=subprocess.PIPE, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, pass_fds=[self.door])

    def send(self, script, tail):
        self.count += 1
        path, out = self.scratch / f"{self.count}.sh", self.scratch / f"{self.count}.out"
        path.write_text(script.replace("@OUT@", str(out)))
        self.bash.stdin.write(f". {path} >>{out} 2>&1 </dev/null {self.door}>&-; {tail} >&{self.door}\n")
        self.bash.stdin.flush()
        return out

    def answer(self, seconds):
        """The number that the shell answers with, or None when it is too late or gone."""
        end, data = time.monotonic() + seconds, b""
        while not data.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or (self.bash.poll() is not None and not select.select([self.status], [], [], 0)[0]):
                return None
            if select.select([self.status], [], [], min(left, 0.2))[0]:
                data += os.read(self.status, 64)
        return int(data)

    def lines(self, out):
        text = out.read_text(errors="replace") if out.exists() else ""
        text = text.replace(self.env["TITUS_ADDR"], SHOWN_ADDRESS).replace(self.env["HOME"], SHOWN_FOLDER)
        return [line for line in text.splitlines() if not re.match(r".*: line \d+: +\d+ Killed ", line)]

    def run(self, command, seconds=0):
        """Runs a command, and returns its exit code (None: it did not end) and its lines."""
        out = self.send(command + "\n", "echo $?")
        code = self.answer(max(COMMAND_SECONDS, seconds))
        return code, self.lines(out)

    def start(self, command, ready, seconds=0):
        """Starts a command in the background; returns once its lines are READY, it has ended, or it takes too long."""
        out = self.send(f"{command} >>@OUT@ 2>&1 </dev/null &\nPID=$!\n", "echo $PID")
        pid = self.answer(COMMAND_SECONDS)
        if pid is None:
            return None, []
        self.pids.append(pid)
        wait_for(lambda: ready(self.lines(out)) or not alive(pid), seconds or BACKGROUND_SECONDS)
        return 0, self.lines(out)

    def close(self):
        """Ends what the page has left running in the background, and the shell; returns what did not end by itself."""
        self.pids = [pid for pid in self.pids if alive(pid)]
        for pid in self.pids:
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not any(alive(pid) for pid in self.pids), STOP_SECONDS)
        self.bash.stdin.close()
        wait_for(lambda: self.bash.poll() is not None, 2)
        stubborn = [f"process {pid}: {name}" for pid, name in session(self.bash.pid)]
        for pid, _ in session(self.bash.pid):
            os.kill(pid, signal.SIGKILL)
        self.bash.wait()
        os.close(self.status)
        os.close(self.door)
        return stubborn


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def stat_of(pid):
    """State, session and name of a process, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
    return rest[0], int(rest[3]), name


def alive(pid):
    stat = stat_of(pid)
    return stat is not None and stat[0] not in "ZX"


def session(leader):
    stats = [(int(p), stat_of(p)) for p in os.listdir("/proc") if p.isdigit()]
    return [(pid, s[2]) for pid, s in stats if s and s[1] == leader and s[0] not in "ZX"]


def traces():
    """All that the platform could leave behind on this machine.

    Mounts and cgroups come and go for other reasons too; ours are told by the name, which the pages' folders bear as well.
    """
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = Counter(f"mount {path}" for path in mounts if "titus" in path)
    for kind, folder in (("link", "/sys/class/net"), ("network namespace", "/run/netns")):
        found.update(f"{kind} {name}" for name in (os.listdir(folder) if os.path.isdir(folder) else []))
    groups = [path for path, _, _ in os.walk("/sys/fs/cgroup") if "titus" in path and "titus-test" not in path]
    found.update(f"cgroup {path}" for path in groups)
    if os.geteuid() == 0 and shutil.which("nft"):
        listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
        found.update(f"nft {line}" for line in listed.stdout.splitlines())
    return found


def differences(before):
    after = traces()
    return [f"left behind: {t}" for t in after - before] + [f"taken away: {t}" for t in before - after]
