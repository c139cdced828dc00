"""What the bench measures with: a process's memory, CPU and writes, the bus files' growth, latencies out of ledgers."""

import os
import re
import subprocess
import threading
import time
from pathlib import Path


class Refused(Exception):
    """The bench cannot give honest figures here; the text says why."""


def file_system(folder):
    """Type of the file system that holds the folder."""
    done = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", str(folder)], capture_output=True, text=True)
    if done.returncode == 0 and done.stdout.strip():
        return done.stdout.strip().splitlines()[-1]
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, fs, *_ = line.split()
        if (str(folder) + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
            best, kind = mount, fs
    return kind


def refuse_memory_file_system(folder):
    kind = file_system(folder)
    if kind in ("tmpfs", "ramfs"):
        raise Refused(f"{folder} lies on {kind}: writes cost nothing there. Give --dir on a real disk.")
    return kind


def _status_kib(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def peak_rss_mib(pid):
    return _status_kib(pid, "VmHWM") / 1024


def cpu_seconds(pid):
    """User and system, all threads. Works on a process that ended and was not waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def written_bytes(pid):
    """Bytes sent to storage (write_bytes of /proc/<pid>/io). Works on a process that ended and was not waited for."""
    return int(re.search(r"^write_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.M).group(1))


def end_unwaited(process, seconds=30):
    """SIGTERM, and wait for the end without reaping: the kernel still tells what it wrote, the last checkpoint included."""
    process.popen.terminate()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return
        time.sleep(0.02)
    raise Refused(f"{process.name} did not end within {seconds} s")


class Follower(threading.Thread):
    """Notes when files grow. The files may be missing at first. With keep=True it holds what it read, for latencies."""

    def __init__(self, paths, keep=False, interval=0.01):
        super().__init__(daemon=True)
        self.paths, self.keep, self.interval = [Path(p) for p in paths], keep, interval
        self.first_growth = self.last_growth = 0.0   # time.time()
        self.lines = 0
        self.chunks = []                             # (unix seconds, bytes), in order per file
        self._end = threading.Event()
        self._offsets = {p: (p.stat().st_size if p.exists() else 0) for p in self.paths}
        self.start()

    def run(self):
        files = {}
        while True:
            ending = self._end.is_set()
            for path in self.paths:
                if path not in files:
                    if not path.exists():
                        continue
                    files[path] = open(path, "rb", buffering=0)
                    files[path].seek(self._offsets[path])
                while chunk := files[path].read(1 << 20):
                    now = time.time()
                    self.first_growth = self.first_growth or now
                    self.last_growth = now
                    self.lines += chunk.count(b"\n")
                    if self.keep:
                        self.chunks.append((path, now, chunk))
            if ending:
                break
            self._end.wait(self.interval)
        for file in files.values():
            file.close()

    def wait_still(self, seconds, limit):
        """Until nothing grew for `seconds`; gives up after `limit`, or a minute in which nothing ever came."""
        begin = time.time()
        while time.time() - begin < (limit if self.last_growth else min(limit, 60)):
            if self.last_growth and time.time() - self.last_growth > seconds:
                return
            time.sleep(0.05)

    def stop(self):
        self._end.set()
        self.join()


def first_sends(ledger):
    """{(device, seq): (unix seconds of the first sending, kind)}; one boot a ledger."""
    sends = {}
    with open(ledger, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("S\t") or not line.endswith("\n"):
                continue
            _, device, _, seq, kind, ms, us, *_ = line.rstrip("\n").split("\t")
            sends.setdefault((device, int(seq)), ((int(ms) * 1000 + int(us)) / 1e6, kind))
    return sends


_ORIGIN = re.compile(rb'"origin":\{[^}]*?"deviceId":"([^"]+)"[^}]*?"seq":(\d+)')


def arrivals(follower):
    """{(device, seq): unix seconds} of the first bus event that tells of it, out of what a Follower kept."""
    seen, rest = {}, {}
    for path, when, chunk in follower.chunks:
        text = rest.get(path, b"") + chunk
        cut = text.rfind(b"\n") + 1
        rest[path] = text[cut:]
        for match in _ORIGIN.finditer(text[:cut]):
            seen.setdefault((match.group(1).decode(), int(match.group(2))), when)
    return seen


BULK = ("status", "telemetry")


def latencies(sends, arrived):
    """Milliseconds, ascending: (all, critical, bulk)."""
    critical, bulk = [], []
    for key, (sent, kind) in sends.items():
        if key in arrived:
            (bulk if kind in BULK else critical).append((arrived[key] - sent) * 1e3)
    return sorted(critical + bulk), sorted(critical), sorted(bulk)


def percentile(ascending, share):
    if not ascending:
        return None
    return round(ascending[min(len(ascending) - 1, int(len(ascending) * share))], 2)
