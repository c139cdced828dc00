"""Sluice without a broker: devices → the gateway's own listener → mTLS gRPC → sluice-cloud → the bus file."""

import base64
import hashlib
import os
import shutil

from demo import Stack
from sluice_side import SluiceSide

MOST_DEVICES = 2000


class ListenerStack(Stack):
    """Passwords are hashed once for all runs: with sluicectl, a process a device, 2,000 take a minute."""

    def write_listener_passwords(self):
        shutil.copy(self.hashed, self.listener_passwords)
        self.listener_passwords.chmod(0o600)


class ListenerSide(SluiceSide):
    name = "listener"

    def __init__(self, folder, binaries):
        super().__init__(folder, binaries)
        self.devices = [f"vm-{i + 1:04}" for i in range(MOST_DEVICES)] + ["warm-vm-0001", "warm-vm-0002", "warm-term-0001"]
        self.plain, self.hashed = folder / "listener.plain", folder / "listener.passwd"
        for path in (self.plain, self.hashed):
            path.touch(mode=0o600)
        passwords = {device: os.urandom(16).hex() for device in self.devices}
        self.plain.write_text("".join(f"{d}:{p}\n" for d, p in passwords.items()))
        self.hashed.write_text("".join(f"{d}:{phc(p)}\n" for d, p in passwords.items()))

    def new_stack(self, folder):
        stack = ListenerStack(folder, binaries=self.binaries, listener_devices=self.devices)
        stack.hashed = self.hashed
        return stack

    def start_gateway(self, stack, addresses, tls=False, flush_ms=0):
        config = stack.write_gateway_config(addresses=addresses, listener_tls=tls)
        env = {}
        if flush_ms:
            env = {"LD_PRELOAD": str(self.binaries / "libsluice-slow-sync.so"), "SLUICE_SLOW_SYNC_MS": str(flush_ms)}
        stack.start_gateway(config=config, env=env)
        stack.server = dict(listener=stack.listener_url(tls), credentials=self.plain, connect_wait=120)
        if tls:
            stack.server["ca"] = stack.certificates.ca()


def phc(password):
    """As sluicectl hashes what it generates: scrypt, N = 2^10."""
    salt = os.urandom(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=1024, r=8, p=1, dklen=32)
    text = lambda raw: base64.b64encode(raw).decode().rstrip("=")
    return f"$scrypt$ln=10,r=8,p=1${text(salt)}${text(digest)}"
