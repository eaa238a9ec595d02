# SPDX-License-Identifier: Apache-2.0
"""A small fleet on a real fleetd, and rollouts of it that go exactly as far as the caller wants.

    story = Story(fleetd, devices=20)     # modules, versions, releases, enrolled devices
    story.start("autumn")                 # 3 layers x 3 waves, planned and started
    story.work(5)                         # five orders are carried out and confirmed
    story.work(2, "failed")               # two fail
    story.wait("autumn", "paused")

The devices are strict_device.py's: every order is verified, every report signed."""
import hashlib

from strict_device import Device, enrol_token
from waiting import ok, until

MODULES = {"runtime": {}, "library": {"runtime": ">=1.0.0"}, "application": {"library": ">=1.0.0"}}
FACTORY = [{"module": module, "version": "1.0.0"} for module in MODULES]
PROGRESS = ("downloading", "installing")
STRATEGY = {
    "waves": [{"percent": 10, "name": "canary"}, {"percent": 30}, {"percent": 60}],
    "strata": ["attribute.region"],
    "seed": 7,
    "gate": {"success": {"percent": 90}, "error": {"percent": 40, "minimum": 2}},
    "probation_s": 0,
    "on_failure": "pause",
}


class Story:
    """Three modules that need each other, in two versions; devices that run the first."""

    def __init__(self, fleetd, devices=20):
        self.api = fleetd
        for module, requires in MODULES.items():
            ok(fleetd.put(f"/api/v1/modules/{module}", {"kind": "wasm", "description": f"The {module}"}))
            for version in ("1.0.0", "1.1.0", "1.2.0"):
                self.publish(module, version, requires)
        for release, version in (("factory", "1.0.0"), ("autumn", "1.1.0"), ("winter", "1.2.0")):
            entries = [{"module": module, "version": version} for module in MODULES]
            ok(fleetd.put(f"/api/v1/releases/{release}", {"entries": entries}))
        token = enrol_token(fleetd)
        self.devices = [self.enrol(token, number) for number in range(devices)]
        self.rollouts = []
        self.begun = {}  # device id -> the order that it has taken and not ended

    def publish(self, module, version, requires):
        data = (f"{module} " * 400 + version).encode()
        digest = hashlib.sha256(data).hexdigest()
        kind = {"Content-Type": "application/octet-stream"}
        ok(self.api.put(f"/api/v1/artifacts/{digest}", data=data, headers=kind))
        spec = {"variants": [{"sha256": digest}], "requires": requires}
        ok(self.api.put(f"/api/v1/modules/{module}/versions/{version}", spec))

    def enrol(self, token, number):
        region = ("eu", "us", "asia")[number % 3]
        device = Device(self.api, f"device-{number:03}")
        device.enrol(token, attributes={"region": region, "hw": f"rev{number % 2}"}, installed=FACTORY)
        device.session()
        return device

    # ---- rollouts

    def create(self, name, release=None, **strategy):
        """Create a rollout; planning begins."""
        body = {"release": release or name, "selector": "", "strategy": {**STRATEGY, **strategy}}
        self.rollouts.append(name)
        return ok(self.api.put(f"/api/v1/rollouts/{name}", body))

    def plan(self, name, release=None, **strategy):
        """Create a rollout and wait for its plan."""
        self.create(name, release, **strategy)
        return self.wait(name, "ready")

    def start(self, name, release=None, **strategy):
        """Plan and start; the first stage is open."""
        self.plan(name, release, **strategy)
        self.verb(name, "start")
        return self.wait(name, "running")

    def verb(self, name, verb, **body):
        return ok(self.api.post(f"/api/v1/rollouts/{name}/{verb}", body))

    def rollout(self, name):
        return ok(self.api.get(f"/api/v1/rollouts/{name}"))

    def stats(self, name):
        return ok(self.api.get(f"/api/v1/rollouts/{name}/stats"))

    def wait(self, name, *states):
        def there():
            rollout = self.rollout(name)
            return rollout if rollout["state"] in states else None

        return until(f"{name} in {states}", there)

    # ---- devices at work

    def order(self, device):
        """What the device shall do, or None."""
        if device.id in self.begun:
            return self.begun.pop(device.id)
        envelope = device.poll()
        order = device.open_manifest(envelope) if envelope else None
        return order if order and "step" in order else None

    def with_orders(self):
        """The devices that have something to do, in their order."""
        names = set(self.begun)
        for rollout in self.rollouts:
            steps = ok(self.api.get(f"/api/v1/rollouts/{rollout}/steps?state=queued&limit=1000"))["items"]
            names.update(step["device"] for step in steps)
        return [device for device in self.devices if device.id in names]

    def carry_out(self, device, order, end):
        """Report the way of a step, and its end."""
        installed = [{"module": m["module"], "version": m["version"]} for m in order["modules"]]
        if end == "failed":
            device.report("failed", order, cause="release", detail="the health command ended with 1")
            return
        for state in PROGRESS:
            device.report(state, order, bytes=900 if state == "installing" else 0)
            if end == state:
                self.begun[device.id] = order
                return
        device.report(end, order, installed=installed, bytes=900, saved=2700)

    def work(self, count, end="confirmed"):
        """Exactly `count` orders are carried out; with a state on the way as `end`, so many are begun. Orders
        that were begun are the next to end."""
        done = 0
        begins = end in PROGRESS

        def turn():
            nonlocal done
            for device in self.with_orders():
                order = self.order(device) if done < count and not (begins and device.id in self.begun) else None
                if order:
                    self.carry_out(device, order, end)
                    done += 1
            return done == count

        until(f"{count} orders", turn)

    def work_until(self, name, *states):
        """All orders are carried out until the rollout is so."""

        def turn():
            for device in self.with_orders():
                order = self.order(device)
                if order:
                    self.carry_out(device, order, "confirmed")
            rollout = self.rollout(name)
            return rollout if rollout["state"] in states else None

        return until(f"{name} in {states}", turn)
