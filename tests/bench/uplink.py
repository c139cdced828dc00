#!/usr/bin/env python3
"""The second half of the path alone: outbox → sync → gRPC → cloud apply → bus file, without devices and broker.

uplink_bench feeds encoded events into journal, outbox and uplink as sluiced does; sluice-cloud stands at the other end.
CPU is user and system of all threads, in microseconds an event; `feeder` is the part of the gateway's that appends.
Needs a build of both programs: uplink.py --bin build/release/bin --dir <folder on a real disk>
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
SOURCE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "scripts/lib"), str(SOURCE / "tests/bench")]
from demo import Stack  # noqa: E402
from measure import Follower, Refused, cpu_seconds, peak_rss_mib, refuse_memory_file_system, written_bytes  # noqa: E402

SERVICES = ("shop", "inventory", "attendance")
COLUMNS = ("kind", "rate", "eps", "published_eps", "gateway_cpu_us", "feeder_cpu_us", "cloud_cpu_us", "cloud_bytes",
           "cloud_rss_mib", "batches", "acks", "syncs", "switches", "p50_ms", "p99_ms")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--bin", type=Path, default=SOURCE / "build/release/bin")
    parser.add_argument("--dir", type=Path, default=SOURCE / "build")
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--kinds", default="bulk,sale")
    parser.add_argument("--rates", default="0", help="events per second, comma-separated; 0: flat out")
    parser.add_argument("--seconds", type=float, default=20, help="of a paced run")
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--window", type=int, default=8192)
    parser.add_argument("--wrap-gateway", default="", help="command before uplink_bench, for example: perf record -g -o FILE")
    parser.add_argument("--wrap-cloud", default="", help="command run beside the cloud; {pid} is its process")
    return parser.parse_args()


def run(options, folder, kind, rate):
    shutil.rmtree(folder, ignore_errors=True)
    with Stack(folder, binaries=options.bin) as stack:
        cloud = stack.start_cloud()
        cert, key = stack.certificates.gateway()
        bus = [folder / f"cloud/{service}-events.jsonl" for service in SERVICES]
        events = int(rate * options.seconds) if rate else options.events
        follower = Follower(bus, interval=0.01)
        cpu, written = cpu_seconds(cloud.pid), written_bytes(cloud.pid)
        beside = None
        if options.wrap_cloud:
            beside = subprocess.Popen(options.wrap_cloud.format(pid=cloud.pid).split())
        (folder / "state").mkdir()
        begin = time.time()
        done = subprocess.run([*options.wrap_gateway.split(), options.bin / "uplink_bench", "--folder", folder / "state",
                               "--cert", cert, "--key", key, "--ca", stack.certificates.ca(), "--server-name", "localhost",
                               *(a for s in SERVICES for a in (f"--{s}", stack.cloud_addresses[s])),
                               "--kind", kind, "--events", str(events), "--rate", str(rate), "--devices",
                               str(options.devices), "--window", str(options.window)],
                              capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise Refused(f"uplink_bench: {done.stderr}\n{cloud.tail()}")
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        follower.wait_still(1, 60)
        follower.stop()
        if beside:
            beside.terminate()
            beside.wait()
        expected = {"bulk": events, "sale": 2 * events, "mix": events + events // 10}[kind]
        if follower.lines != expected:
            raise Refused(f"{follower.lines} lines of the bus for {expected} expected")
        per_event = 1e6 / events
        figures.update(kind=kind, rate=rate, cloud_cpu_us=round((cpu_seconds(cloud.pid) - cpu) * per_event, 2),
                       cloud_bytes=round((written_bytes(cloud.pid) - written) / events),
                       cloud_rss_mib=round(peak_rss_mib(cloud.pid), 1),
                       published_eps=round(events / (follower.last_growth - follower.first_growth)),
                       took_s=round(time.time() - begin, 1))
        return figures


def main():
    options = arguments()
    options.bin = options.bin.resolve()
    options.dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="uplink-", dir=options.dir)).resolve()
    try:
        refuse_memory_file_system(folder)
        print(" ".join(f"{c:>14}" for c in COLUMNS))
        for kind in options.kinds.split(","):
            for rate in map(int, options.rates.split(",")):
                figures = run(options, folder / "run", kind, rate)
                print(" ".join(f"{figures[c]:>14}" for c in COLUMNS), flush=True)
    except Refused as error:
        print(f"uplink.py: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
