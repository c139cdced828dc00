"""Starts the real programs on loopback: broker, cloud, gateway, simulators. Used by scripts/run, scripts/bench and the
system tests. Everything lives in one folder; nothing outside it is touched; only own processes are ended, by pid."""

import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

SOURCE = Path(os.environ.get("SLUICE_SOURCE", Path(__file__).resolve().parents[2]))
TRUST_DOMAIN = "sluice.demo"
SHOP = "shop-1"
GATEWAY = "gw-demo"


class StartError(Exception):
    """A program did not come up; the text says which and shows the end of its log."""


def bin_dir():
    return Path(os.environ.get("SLUICE_BIN", SOURCE / "build/dev/bin"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(check, seconds, what, interval=0.02):
    """Waits for a condition that has no event to wait on (another program's port or file)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = check()
        if value:
            return value
        time.sleep(interval)
    raise StartError(f"{what}: not within {seconds} s")


class Process:
    """One program with its log file."""

    def __init__(self, name, command, log, env=None, stdin=None):
        self.name, self.command, self.log = name, [str(c) for c in command], Path(log)
        out = open(self.log, "ab")
        self.popen = subprocess.Popen(self.command, stdout=out, stderr=subprocess.STDOUT,
                                      stdin=stdin or subprocess.DEVNULL, env={**os.environ, **(env or {})},
                                      start_new_session=True)
        out.close()

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def tail(self, lines=15):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def kill(self):
        if self.alive():
            self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()

    def stop(self, seconds=10):
        if self.alive():
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.send_signal(signal.SIGKILL)
        return self.popen.wait()

    def expect(self, check, seconds, what):
        def alive_and():
            if not self.alive():
                raise StartError(f"{self.name} ended with {self.popen.returncode}:\n{self.tail()}")
            return check()
        try:
            return wait_until(alive_and, seconds, f"{self.name}: {what}")
        except StartError as error:
            raise StartError(f"{error}\n{self.tail()}") from None


class Certificates:
    """A private CA and what it signed, made by openssl when first asked for."""

    def __init__(self, folder, trust_domain=TRUST_DOMAIN):
        self.folder, self.trust_domain = Path(folder), trust_domain
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, umask=0o077)
        if done.returncode:
            raise StartError(f"openssl {arguments[0]}: {done.stderr}")

    def ca(self):
        cert, key = self.folder / "ca.crt", self.folder / "ca.key"
        if not cert.exists():
            self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365",
                          "-subj", "/CN=Sluice demo CA", "-keyout", key, "-out", cert,
                          "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        return cert

    def issue(self, name, uri=None, dns=()):
        """Returns (certificate, key) with the URI and DNS names as subject alternative names."""
        ca = self.ca()
        cert, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if not cert.exists():
            names = ([f"URI:{uri}"] if uri else []) + [f"DNS:{d}" for d in dns] + (["IP:127.0.0.1"] if dns else [])
            extensions = self.folder / f"{name}.ext"
            extensions.write_text(f"subjectAltName={','.join(names)}\nkeyUsage=critical,digitalSignature\n"
                                  "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n")
            request = self.folder / f"{name}.csr"
            self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                          "-keyout", key, "-out", request)
            self._openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial",
                          "-days", "90", "-extfile", extensions, "-out", cert)
        return cert, key

    def gateway(self, gateway=GATEWAY, shop=SHOP):
        return self.issue(f"gateway-{gateway}", f"spiffe://{self.trust_domain}/shop/{shop}/gateway/{gateway}")

    def service(self, name="cloud"):
        return self.issue(f"service-{name}", f"spiffe://{self.trust_domain}/service/{name}", dns=["localhost"])

    def operator(self, name="demo"):
        return self.issue(f"operator-{name}", f"spiffe://{self.trust_domain}/operator/{name}")


class Stack:
    """The whole chain in one folder. Start what you need, in the order broker, cloud, gateway, sim.

    `devices` have a password at the broker, `listener_devices` one at the gateway's own listener, which there is if there are
    any; both lie in users/<device>."""

    def __init__(self, folder, binaries=None, devices=(), listener_devices=(), gateway=GATEWAY, shop=SHOP):
        self.folder = Path(folder).resolve()
        self.binaries = Path(binaries or bin_dir())
        self.gateway_id, self.shop_id = gateway, shop
        self.devices = list(devices)
        self.listener_devices = list(listener_devices)
        for name in ("", "log", "broker", "cloud", "gateway", "sim", "users", "serial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.certificates = Certificates(self.folder / "pki")
        self.processes = {}
        self.broker_port = self.broker_tls_port = None
        self.listener_port = None
        self.listener_passwords = self.folder / "gateway/listener.passwd"
        # The judge reads every event that was published: files of the bus are set aside, none goes.
        self.retention = {"bus_files": 1000}
        self.cloud_sync = {}   # [sync] of the cloud's configuration
        self.gateway_settings = {}   # section -> key -> value, over what the gateway's configuration says otherwise
        self.cloud_addresses = {}
        self.cloud_ports = {}
        self.serial_ports = []
        self.socket = self.folder / "gateway/control.sock"
        # sun_path holds 107 bytes; a deep work folder would not fit.
        if len(str(self.socket)) > 100:
            short = Path("/tmp") / f"sluice-{os.getpid()}-{secrets.token_hex(3)}"
            short.mkdir(mode=0o700)
            self._short = short
            self.socket = short / "control.sock"

    # -- pieces ---------------------------------------------------------------------------------------------------------

    def log(self, name):
        return self.folder / "log" / f"{name}.log"

    def _start(self, name, command, **kwargs):
        process = Process(name, command, self.log(name), **kwargs)
        self.processes[name] = process
        return process

    def password(self, user):
        path = self.folder / "users" / user
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(16))
        return path

    def write_broker_config(self):
        """Mosquitto with per-device passwords and topics, persistence, TLS beside a loopback port."""
        users = ["sluice-gateway", "sluice-sim", *self.devices]
        plain = self.folder / "broker/passwords"
        plain.touch(mode=0o600)
        plain.write_text("".join(f"{u}:{self.password(u).read_text()}\n" for u in users))
        subprocess.run(["mosquitto_passwd", "-U", plain], check=True, capture_output=True)
        (self.folder / "broker/acl").write_text(
            "user sluice-gateway\ntopic read sluice/v1/+/+\ntopic write sluice/v1/+/ack\n\n"
            "user sluice-sim\ntopic write sluice/v1/+/+\ntopic read sluice/v1/+/ack\n\n"
            "pattern write sluice/v1/%u/+\npattern read sluice/v1/%u/ack\n")
        for name in ("acl",):
            os.chmod(self.folder / "broker" / name, 0o600)
        cert, key = self.certificates.issue("broker", dns=["localhost"])
        config = self.folder / "broker/mosquitto.conf"
        config.write_text(f"""# written by {Path(__file__).name}
user {pwd.getpwuid(os.getuid()).pw_name}
per_listener_settings false
allow_anonymous false
password_file {plain}
acl_file {self.folder}/broker/acl
persistence true
persistence_location {self.folder}/broker/
autosave_interval 60
# what the gateway has not taken yet stays: the byte limit is the gateway's quota, not a count
max_queued_messages 0
max_queued_bytes 268435456
max_inflight_messages 0
set_tcp_nodelay true
listener {self.broker_port} 127.0.0.1
listener {self.broker_tls_port} 127.0.0.1
cafile {self.certificates.ca()}
certfile {cert}
keyfile {key}
""")
        return config

    def start_broker(self):
        if self.broker_port is None:
            self.broker_port, self.broker_tls_port = free_port(), free_port()
        config = self.write_broker_config()
        mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        process = self._start("mosquitto", [mosquitto, "-c", config])
        process.expect(lambda: self._answers(self.broker_port) and self._answers(self.broker_tls_port), 10, "ports open")
        return process

    @staticmethod
    def _answers(port):
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def start_cloud(self, services=("shop", "inventory", "attendance"), name="sluice-cloud", extra=()):
        cert, key = self.certificates.service()
        ports_file = self.folder / f"cloud/{name}-ports.json"
        ports_file.unlink(missing_ok=True)
        config = self.folder / f"cloud/{name}.toml"
        config.write_text(f"# written by {Path(__file__).name}\n[retention]\n" +
                          "".join(f"{key} = {value}\n" for key, value in self.retention.items()) +
                          "[sync]\n" + "".join(f"{key} = {value}\n" for key, value in self.cloud_sync.items()))
        command = [self.binaries / "sluice-cloud", "--config", config, "--services", ",".join(services), "--data", self.folder / "cloud",
                   "--cert", cert, "--key", key, "--ca", self.certificates.ca(), "--trust-domain", TRUST_DOMAIN,
                   "--ports-file", ports_file, *extra]
        for service in services:
            # A service that starts again keeps its port: gateways know it by address.
            command += [f"--listen-{service}", f"127.0.0.1:{self.cloud_ports.get(service, 0)}"]
        process = self._start(name, command)
        addresses = process.expect(lambda: ports_file.exists() and json.loads(ports_file.read_text() or "null"), 20,
                                   "services listen")
        for service in services:
            self.cloud_addresses[service] = addresses[service]
            self.cloud_ports[service] = int(addresses[service].rsplit(":", 1)[1])
        return process

    def write_listener_passwords(self):
        """Each device's password from `sluicectl listener add-device`, into users/<device>; its hash into the listener's file."""
        for device in self.listener_devices:
            path = self.folder / "users" / device
            if path.exists():
                continue
            done = subprocess.run([self.binaries / "sluicectl", "listener", "--password-file", self.listener_passwords, "--json",
                                   "add-device", "--replace", device], capture_output=True, text=True, timeout=20)
            if done.returncode:
                raise StartError(f"sluicectl listener add-device {device}: {done.stderr}")
            path.touch(mode=0o600)
            path.write_text(json.loads(done.stdout)["password"])

    def listener_url(self, tls=True):
        return f"mqtts://127.0.0.1:{self.listener_port}" if tls else f"mqtt://127.0.0.1:{self.listener_port}"

    def write_listener_config(self, tls, extra):
        if not self.listener_devices:
            return ""
        self.write_listener_passwords()
        self.listener_port = self.listener_port or free_port()
        cert, key = self.certificates.issue("listener", dns=["localhost"])
        keys = f'certificate_file = "{cert}"\nkey_file = "{key}"\n' if tls else ""
        # All devices come from one address here, and at once.
        most = max(512, 2 * len(self.listener_devices))
        return f"""
[[listener]]
name = "devices"
bind = "127.0.0.1:{self.listener_port}"
password_file = "{self.listener_passwords}"
{keys}max_connections = {most}
max_connections_per_address = {most}
max_half_open_per_address = 64
max_connects_per_second = 1000
{extra}"""

    def write_gateway_config(self, extra="", mqtt_tls=True, addresses=None, listener_tls=True, listener_extra=""):
        cert, key = self.certificates.gateway(self.gateway_id, self.shop_id)
        addresses = {**self.cloud_addresses, **(addresses or {})}
        url = (f'url = "mqtts://127.0.0.1:{self.broker_tls_port}"\nca_file = "{self.certificates.ca()}"' if mqtt_tls else
               f'url = "mqtt://127.0.0.1:{self.broker_port}"')
        mqtt = "" if self.broker_port is None else f"""
[[mqtt]]
name = "main"
{url}
client_id = "{self.gateway_id}"
username = "sluice-gateway"
password_file = "{self.password("sluice-gateway")}"
"""
        serial = "".join(f"""
[[serial]]
name = "{device}"
port = "{self.folder}/serial/{device}"
device_id = "{device}"
receipts = true
baud = 115200
profile = "{SOURCE}/devices/lines/profiles/json-lines.toml"
""" for device in self.serial_ports)
        config = self.folder / "gateway/sluiced.toml"
        config.write_text(f"""# written by {Path(__file__).name}
[gateway]
state_dir = "{self.folder}/gateway/state"

[identity]
certificate = "{cert}"
private_key = "{key}"
trust = "{self.certificates.ca()}"

[cloud]
shop = "{addresses["shop"]}"
inventory = "{addresses["inventory"]}"
attendance = "{addresses["attendance"]}"

[sync]
# on one machine nobody storms: come back quickly
spread_ms = 200
base_ms = 200
cap_ms = 2000

[control]
socket = "{self.socket}"
{mqtt}{self.write_listener_config(listener_tls, listener_extra)}{serial}{extra}""")
        for section, settings in self.gateway_settings.items():
            lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
            config.write_text(config.read_text().replace(f"[{section}]\n", f"[{section}]\n{lines}", 1))
        return config

    def start_gateway(self, config=None, env=None, ready=True):
        config = config or self.write_gateway_config()
        self.gateway_config = config
        process = self._start("sluiced", [self.binaries / "sluiced", "--config", config], env=env)
        if ready:
            # A broker keeps nothing for a session it has not seen yet: what devices say before is answered and dropped.
            try:
                process.expect(self._subscribed, 20, "answers on its socket, is connected to the broker and listens")
            except StartError as error:
                sources = [f"{s['name']}: {s['state']}: {s['detail']}" for s in (self.status_or_none() or {}).get("sources", [])]
                raise StartError("\n".join([str(error), *sources])) from None
        return process

    def start_sim(self, name="sim", **options):
        """Options become flags: vending=3 -> --vending 3, flat_out=True -> --flat-out."""
        command = [self.binaries / "sluice-sim"]
        for key, value in options.items():
            flag = "--" + key.replace("_", "-")
            if value is True:
                command.append(flag)
            elif value is not None and value is not False:
                command += [flag, str(value)]
        return self._start(name, command)

    # -- questions ------------------------------------------------------------------------------------------------------

    def ctl(self, *arguments, timeout=20):
        return subprocess.run([self.binaries / "sluicectl", "--socket", self.socket, *arguments], capture_output=True,
                              text=True, timeout=timeout)

    def status(self):
        done = self.ctl("status", "--json")
        if done.returncode not in (0, 1):
            raise StartError(f"sluicectl status: {done.stderr}")
        return json.loads(done.stdout)

    def status_or_none(self):
        try:
            return self.status()
        except (StartError, subprocess.TimeoutExpired, json.JSONDecodeError):
            return None

    def _subscribed(self):
        status = self.status_or_none()
        wanted = {"mqtt": "connected", "listener": "listening"}
        return status and all(s["state"] == wanted.get(s["name"].partition(":")[0], s["state"]) for s in status["sources"])

    def judge(self, ledgers, wait=30):
        """(exit code, verdict) over all ledgers."""
        done = subprocess.run([self.binaries / "sluice-judge", *[a for l in ledgers for a in ("--ledger", str(l))],
                               "--cloud-data", self.folder / "cloud", "--wait", str(wait), "--expect-accepted", "--json"],
                              capture_output=True, text=True, timeout=wait + 120)
        lines = done.stdout.strip().splitlines()
        if not lines:
            raise StartError(f"sluice-judge said nothing: {done.stderr}")
        return done.returncode, json.loads(lines[-1])

    def write_run_json(self, path=None, ledger=None, listener_ledger=None):
        cert, key = self.certificates.operator()
        path = Path(path or self.folder / "run.json")
        path.write_text(json.dumps({
            "broker": {"host": "127.0.0.1", "port": self.broker_port, "tls_port": self.broker_tls_port,
                       "ca": str(self.certificates.ca()), "users_dir": str(self.folder / "users")},
            "listener": {"host": "127.0.0.1", "tls_port": self.listener_port, "ca": str(self.certificates.ca()),
                         "users_dir": str(self.folder / "users")},
            "cloud": {**self.cloud_addresses, "ca": str(self.certificates.ca()), "operator_cert": str(cert),
                      "operator_key": str(key), "data_dir": str(self.folder / "cloud")},
            "gateway": {"state_dir": str(self.folder / "gateway/state"), "socket": str(self.socket),
                        "config": str(getattr(self, "gateway_config", "")), "gateway_id": self.gateway_id,
                        "shop_id": self.shop_id},
            "sim": {"ledger": str(ledger or ""), "listener_ledger": str(listener_ledger or "")},
            "pids": {name: p.pid for name, p in self.processes.items() if p.alive()},
        }, indent=2) + "\n")
        return path

    # -- the end --------------------------------------------------------------------------------------------------------

    def stop(self):
        # The simulators first: they wait for answers, and their devices go offline while the gateway still hears it.
        for name in [n for n in self.processes if n.startswith("sim")] + ["sluiced"]:
            if name in self.processes:
                self.processes[name].stop()
        for process in reversed(list(self.processes.values())):
            process.stop()
        if hasattr(self, "_short"):
            shutil.rmtree(self._short, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
