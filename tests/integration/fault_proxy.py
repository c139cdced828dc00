"""The network between a gateway and its cloud, to be made bad: one sluice-tcp-proxy a service (tests/faults/README.md)."""

import json
import subprocess
import threading

from harness import free_port

SERVICES = ("shop", "inventory", "attendance")


class FaultProxy:
    def __init__(self, stack, service):
        self.port = free_port()
        self._answers = []
        self._changed = threading.Condition()
        self.popen = subprocess.Popen([stack.binaries / "sluice-tcp-proxy", "--listen", f"127.0.0.1:{self.port}",
                                       "--to", stack.cloud_addresses[service]],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()
        self._next()   # it listens

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _read(self):
        for line in self.popen.stdout:
            with self._changed:
                self._answers.append(json.loads(line))
                self._changed.notify_all()

    def _next(self):
        with self._changed:
            if not self._changed.wait_for(lambda: self._answers, 10):
                raise AssertionError("the proxy does not answer")
            return self._answers.pop(0)

    def __call__(self, fault=None, **how):
        """Takes effect before it returns; the figures."""
        command = {"fault": fault, **how} if fault else {}
        self.popen.stdin.write(json.dumps(command) + "\n")
        self.popen.stdin.flush()
        answer = self._next()
        if not answer["ok"]:
            raise AssertionError(f"{command}: {answer['error']}")
        return answer

    def stop(self):
        self.popen.terminate()
        self.popen.wait(10)
        self.popen.stdin.close()
        self.popen.stdout.close()


class Network:
    """A proxy for each service."""

    def __init__(self, stack):
        self.proxies = {service: FaultProxy(stack, service) for service in SERVICES}

    @property
    def addresses(self):
        return {service: proxy.address for service, proxy in self.proxies.items()}

    def all(self, fault=None, **how):
        for proxy in self.proxies.values():
            proxy(fault, **how)

    def stop(self):
        for proxy in self.proxies.values():
            proxy.stop()
