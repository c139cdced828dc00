"""What scripts/run does after the build."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from demo import SOURCE, Stack, StartError  # noqa: E402

DIRECT = "direct-"  # before the names of devices on the listener


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/run", description="Runs the whole chain on this machine.")
    parser.add_argument("--smoke", action="store_true", help="bounded: send events, wait until they arrived, judge, end")
    parser.add_argument("--events", type=int, default=5000, help="with --smoke: how many events (default 5000)")
    parser.add_argument("--rate", type=float, default=None,
                        help="events per second of all devices together (default 20, with --smoke 1000)")
    parser.add_argument("--vending", type=int, default=6, help="vending machines behind Mosquitto (default 6)")
    parser.add_argument("--sensors", type=int, default=4, help="shop sensors behind Mosquitto (default 4)")
    parser.add_argument("--terminals", type=int, default=3, help="attendance terminals behind Mosquitto (default 3)")
    parser.add_argument("--direct", type=int, default=3, help="so many of each on the gateway's own listener too (default 3)")
    parser.add_argument("--serial", type=int, default=2, help="devices on serial lines (ptys)")
    parser.add_argument("--dir", type=Path, default=SOURCE / "run", help="where state, logs and run.json go")
    parser.add_argument("--no-view", action="store_true", help="no live view, only wait for Ctrl-C")
    options = parser.parse_args()
    # The simulator takes 0 for no limit at all: a bounded run with it would not end.
    if options.smoke and options.events < 1:
        parser.error(f"--events: at least 1, not {options.events}")
    if options.rate is None:
        options.rate = 1000 if options.smoke else 20
    if not options.rate > 0:
        parser.error(f"--rate: above 0, not {options.rate:g}")
    return options


def shares(events, ways):
    """So many events each way, all of them together."""
    return [events // ways + (way < events % ways) for way in range(ways)]


def device_names(options):
    return ([f"vm-{i + 1:04}" for i in range(options.vending)] + [f"sensor-{i + 1:04}" for i in range(options.sensors)] +
            [f"term-{i + 1:04}" for i in range(options.terminals)])


def direct_names(options):
    return [f"{DIRECT}{family}-{i + 1:04}" for family in ("vm", "sensor", "term") for i in range(options.direct)]


def start(stack, options, smoke):
    say = lambda text: print(f"run: {text}", file=sys.stderr, flush=True)
    begin = time.monotonic()
    ledgers = [stack.folder / "sim/ledger.tsv"]
    stack.start_broker()
    say(f"broker on 127.0.0.1:{stack.broker_port} (TLS {stack.broker_tls_port})")
    stack.start_cloud()
    say("cloud: " + ", ".join(f"{s} {a}" for s, a in stack.cloud_addresses.items()))
    stack.serial_ports = [f"serial-{i + 1:04}" for i in range(options.serial)]
    stack.start_gateway()
    say(f"gateway {stack.gateway_id} on {stack.socket}" +
        (f", devices welcome on 127.0.0.1:{stack.listener_port} (TLS)" if stack.listener_port else ""))
    common = dict(ca=stack.certificates.ca(), credentials=stack.folder / "users")
    # Half of it each way, where there are devices on the listener.
    ways = 2 if options.direct else 1
    events = shares(options.events, ways)
    load = lambda way: dict(rate=options.rate / ways, **(dict(events=events[way], wait_receipts=120) if smoke else {}))
    stack.start_sim(vending=options.vending, sensors=options.sensors, terminals=options.terminals, serial=options.serial,
                    serial_dir=stack.folder / "serial", broker=f"mqtts://127.0.0.1:{stack.broker_tls_port}",
                    ledger=ledgers[0], state=stack.folder / "sim", **common, **load(0))
    if options.direct and not (smoke and events[1] == 0):
        ledgers.append(stack.folder / "sim/direct.tsv")
        stack.start_sim(name="sim-direct", prefix=DIRECT, vending=options.direct, sensors=options.direct,
                        terminals=options.direct, listener=stack.listener_url(), ledger=ledgers[1],
                        state=stack.folder / "sim/direct", **common, **load(1))
    path = stack.write_run_json(ledger=ledgers[0], listener_ledger=ledgers[1] if len(ledgers) > 1 else None)
    say(f"all up after {time.monotonic() - begin:.1f} s; addresses in {path}")
    return ledgers


def smoke(options):
    folder = Path(tempfile.mkdtemp(prefix="sluice-smoke-"))
    with Stack(folder, devices=device_names(options), listener_devices=direct_names(options)) as stack:
        stack.retention["bus_file_bytes"] = 64 << 10   # small, so that the judge meets many
        ledgers = start(stack, options, smoke=True)
        sims = [p for name, p in stack.processes.items() if name.startswith("sim")]
        for sim in sims:
            sim.popen.wait(timeout=600)
            if sim.popen.returncode != 0:
                print(f"run: {sim.name} ended with {sim.popen.returncode}:\n{sim.tail()}", file=sys.stderr)
        code, verdict = stack.judge(ledgers, wait=60)
    shown = {k: verdict[k] for k in ("devices", "accepted", "applied", "duplicates", "missing", "order_breaks")}
    bad = (code != 0 or any(sim.popen.returncode for sim in sims) or shown["applied"] != shown["accepted"] or shown["accepted"] == 0 or
           any(shown[k] for k in ("duplicates", "missing", "order_breaks")) or verdict["refused"] or verdict["open"])
    if bad:
        print(f"run: the whole verdict: {json.dumps(verdict)}\nrun: everything is kept in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(shown), flush=True)
    return 1 if bad else 0


def interactive(options):
    with Stack(options.dir, devices=device_names(options), listener_devices=direct_names(options)) as stack:
        start(stack, options, smoke=False)
        view = None
        try:
            if not options.no_view:
                view = subprocess.Popen([stack.binaries / "sluicectl", "--socket", stack.socket, "watch"])
                view.wait()
            else:
                signal.pause()
        except KeyboardInterrupt:
            pass
        finally:
            if view and view.poll() is None:
                view.terminate()
                view.wait()
            print("\nrun: stopping", file=sys.stderr, flush=True)
    return 0


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        return smoke(options) if options.smoke else interactive(options)
    except (StartError, subprocess.TimeoutExpired) as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
