"""A stack whose gateway is its devices' own MQTT server, and questions about what came of what they said."""

import json
import sqlite3
import subprocess
import sys
import threading
import unittest

from harness import StackTest, wait_until

SKIPPED = 77   # SKIP_RETURN_CODE of CTest

# Where an event that took effect is, by service.
EFFECTS = {"inventory": "inventory.db", "shop": "shop.db", "attendance": "attendance.db"}


def sale(seq, boot=1):
    return json.dumps({"boot": boot, "seq": seq, "selection": "A1", "price": 150, "currency": "EUR"})


def sales(count, boot=1, first=1):
    return [sale(first + i, boot) for i in range(count)]


def numbers(count, boot=1, first=1):
    """(boot, seq) of what sales() makes."""
    return [(boot, first + i) for i in range(count)]


class ListenerTest(StackTest):
    def stack_with_listener(self, tls=True, devices=("vm-0001", "vm-0002"), topics=("tele/{device}/#",), extra=""):
        stack = self.new_stack(listener_devices=list(devices))
        stack.start_cloud()
        ca = f'client_ca_file = "{stack.certificates.ca()}"\n' if tls else ""
        config = stack.write_gateway_config(listener_tls=tls, listener_extra=f"{ca}topics = {json.dumps(list(topics))}\n{extra}")
        stack.passwords = stack.listener_passwords
        stack.device_passwords = {device: (stack.folder / "users" / device).read_text() for device in devices}
        check = subprocess.run([stack.binaries / "sluiced", "--config", config, "--check"], capture_output=True, text=True)
        self.assertEqual(check.returncode, 0, check.stderr)
        self.start_listener(stack, config)
        return stack

    def start_listener(self, stack, config=None):
        stack.start_gateway(config=config or stack.gateway_config)
        wait_until(lambda: self.source(stack)["state"] == "listening", 20, "the listener listens")

    def listener_ctl(self, stack, *arguments):
        return subprocess.run([stack.binaries / "sluicectl", "listener", "--password-file", stack.passwords, "--json", *arguments],
                              capture_output=True, text=True, timeout=20)

    def source(self, stack):
        return next(s for s in stack.status()["sources"] if s["name"] == "listener:devices")

    def figure(self, stack, name):
        return self.figures(stack)[name]

    def figures(self, stack):
        return {f["name"]: f["value"] for f in self.source(stack)["figures"]}

    def wait_figure(self, stack, name, value, seconds=20):
        wait_until(lambda: self.figure(stack, name) == value, seconds, f"{name} is {value}")

    def effects(self, stack, device, service="inventory"):
        """(boot, seq) of every event of the device that took effect, in the order in which it did."""
        with sqlite3.connect(f"file:{stack.folder}/cloud/{EFFECTS[service]}?mode=ro", uri=True) as db:
            return db.execute("SELECT boot, seq FROM effects WHERE device_id = ? ORDER BY position", (device,)).fetchall()

    def assert_arrived(self, stack, device, expected, service="inventory", in_order=True, seconds=30):
        """The device's events of one service: these, each once, and nothing of it under way any more."""
        expected = list(expected)
        wait_until(lambda: len(self.effects(stack, device, service)) >= len(expected), seconds,
                   f"{len(expected)} events of {device} are in {service}")
        self.assert_nothing_under_way(stack)
        arrived = self.effects(stack, device, service)
        self.assertEqual(arrived if in_order else sorted(arrived), expected if in_order else sorted(expected))

    def assert_nothing_under_way(self, stack):
        """Everything that the gateway took was delivered; what comes after this comes from nobody."""
        wait_until(lambda: all(q["pending"] == 0 for q in stack.status()["queues"]) and
                   self.figure(stack, "withheld") == 0 and self.figure(stack, "waiting_for_room") == 0,
                   30, "queues and PUBACKs are empty")


class Lines:
    """A program whose output is awaited line by line."""

    def __init__(self, command, **kwargs):
        self.lines = []
        self._changed = threading.Condition()
        self.popen = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      stdin=kwargs.pop("stdin", subprocess.DEVNULL), **kwargs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.popen.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()

    def wait_for(self, check, what, seconds=30):
        """The first line for which `check` holds; text: the line that contains it."""
        holds = check if callable(check) else lambda line: check in line
        with self._changed:
            found = self._changed.wait_for(lambda: [l for l in self.lines if holds(l)], seconds)
            if not found:
                raise AssertionError(f"{what}: not within {seconds} s; said:\n" + "\n".join(self.lines[-30:]))
            return found[0]

    def finish(self, seconds=60):
        """The exit code and all lines."""
        try:
            code = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {seconds} s; said:\n" + "\n".join(self.lines[-30:])) from None
        self._reader.join(10)
        return code, self.lines

    def kill(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self._reader.join(10)
        self.popen.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def skip(why):
    """Where what is tried is not on this machine: seen in CTest's table, never a pass."""
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def run():
    unittest.main(module="__main__", verbosity=2)


__all__ = ["EFFECTS", "Lines", "ListenerTest", "numbers", "run", "sale", "sales", "skip", "unittest", "wait_until"]
