"""The load both sides are put under, and what a run of it gives."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field

from measure import Refused

DEVICES = 50


@dataclass
class Result:
    """One run. None: not measured."""
    events: int = 0
    eps: float | None = None
    rss_mib: float | None = None
    cpu_s_per_100k: float | None = None
    broker_cpu_s_per_100k: float | None = None
    bytes_per_event: float | None = None
    reconnect_s: float | None = None
    puback_eps: float | None = None               # up to the last PUBACK
    lost: int = 0
    duplicates: int = 0
    counted: bool = False                         # lost and duplicates are in the sum
    latency: dict = field(default_factory=dict)   # p50, p99, p99_critical, p99_bulk in ms, to the cloud's commit
    puback: dict = field(default_factory=dict)    # p50, p99, max in ms


def paced(rate, seconds, share, devices=DEVICES):
    return dict(vending=devices, rate=rate, events=int(rate * seconds), critical_share=share)


def flat_out(events, share, devices=DEVICES):
    # The window is wide enough that the wait for receipts, at most every 50 ms, is not what is measured.
    return dict(vending=devices, flat_out=True, events=events, critical_share=share, window=1024)


def through_broker(stack):
    """What sluice-sim needs to know of the stack's broker."""
    return dict(broker=f"mqtt://127.0.0.1:{stack.broker_port}", username="sluice-sim",
                password_file=stack.password("sluice-sim"))


def run_sim(stack, ledger, limit, **options):
    """Runs sluice-sim against stack.server (its options) to its end; its totals."""
    name = f"sim-{ledger.stem}"
    process = stack.start_sim(name=name, **stack.server, ledger=ledger, json=True, payload_bytes=200, **options)
    return ended(process, limit)


def ended(process, limit):
    """Totals of a load generator."""
    try:
        process.popen.wait(limit)
    except subprocess.TimeoutExpired:
        process.stop()
        raise Refused(f"{process.name} did not end within {limit} s:\n{process.tail()}") from None
    lines = [line for line in process.tail(40).splitlines() if line.startswith("{")]
    if not lines:
        raise Refused(f"{process.name} ended with {process.popen.returncode}:\n{process.tail()}")
    totals = json.loads(lines[-1])
    if totals["open"]:
        raise Refused(f"{totals['open']} events without an answer:\n{process.tail()}")
    return totals


def first_send(ledger):
    """Unix seconds."""
    with open(ledger, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("S\t"):
                column = line.rstrip("\n").split("\t")
                return (int(column[5]) * 1000 + int(column[6])) / 1e6
    raise Refused(f"{ledger} has no sending")


class Proxy:
    """Our TCP proxy between a client and a port: the length of the wire, and the cut."""

    def __init__(self, stack, name, port, to, delay_ms):
        self.stack, self.name, self.port, self.to, self.delay_ms = stack, name, port, to, delay_ms
        self.process = None
        self.up()

    def up(self):
        self.process = self.stack._start(f"proxy-{self.name}", [
            self.stack.binaries / "sluice-tcp-proxy", "--listen", f"127.0.0.1:{self.port}", "--to", self.to,
            "--delay-ms", self.delay_ms])
        self.process.expect(lambda: self.stack._answers(self.port), 10, "listens")

    def down(self):
        self.process.kill()


def say(text):
    print(f"bench: {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
