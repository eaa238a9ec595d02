# SPDX-License-Identifier: Apache-2.0
"""Stories of rollouts on a real fleetd: a fleet of scripted devices and an operator.

    story = Story(fleetd)
    story.module("app", "1.0.0", "1.1.0")           # made-up bytes
    story.release("next", app="1.1.0")
    fleet = story.devices(4, app="1.0.0")
    story.rollout("r", "next", waves=[{"count": 1}, {"percent": 100}])  # planned, not started
    story.verb("r", "start")
    story.work(fleet)                               # everybody takes its order and confirms
    story.wait("r", "completed")

Nothing sleeps for a length of time: `until` polls a condition."""
import hashlib

from strict_device import enrol_token, enrolled
from waiting import ok, until



class Actor:
    """A device that does what the story says. `order` is its open manifest, None without one."""

    def __init__(self, device, installed):
        self.device, self.id = device, device.id
        self.installed = dict(installed)
        self.order = None

    def poll(self):
        """Ask; True if there is an order now that names a step."""
        envelope = self.device.poll()
        if envelope is not None:
            order = self.device.open_manifest(envelope)
            self.order = order if "step" in order else None
            if self.order is None:
                self.take(order)
        return self.order is not None

    def asks(self):
        """Poll until an order is there; the order."""
        until(f"{self.id} is offered something", self.poll)
        return self.order

    def take(self, order):
        self.installed = {m["module"]: m["version"] for m in order["modules"]}

    def says(self, state, **members):
        self.device.report(state, self.order, **members)

    def confirms(self):
        self.take(self.order)
        self.says("confirmed", installed=[{"module": m, "version": v} for m, v in sorted(self.installed.items())])
        self.order = None

    def fails(self, state="failed", cause="release"):
        """The new version does not work, or (rolled_back) the device has taken itself back."""
        self.says(state, cause=cause)
        self.order = None

    def wants(self):
        """The versions that its order demands."""
        return {m["module"]: m["version"] for m in self.order["modules"]}


class Story:
    """The operator's side."""

    def __init__(self, fleetd):
        self.api = fleetd
        self.token = enrol_token(fleetd)

    def module(self, name, *versions, tier="device", requires=None):
        ok(self.api.put(f"/api/v1/modules/{name}", {"kind": "file", "tier": tier}))
        for version in versions:
            content = f"{name} {version}".encode()
            digest = hashlib.sha256(content).hexdigest()
            ok(self.api.put(f"/api/v1/artifacts/{digest}", data=content))
            ok(self.api.put(f"/api/v1/modules/{name}/versions/{version}",
                            {"variants": [{"sha256": digest}], "requires": requires or {}}))

    def release(self, name, **versions):
        entries = [{"module": m.replace("_", "-"), "version": v} for m, v in versions.items()]
        ok(self.api.put(f"/api/v1/releases/{name}", {"entries": entries}))

    def device(self, name, gateway=None, tier="device", **installed):
        members = {} if gateway is None else {"gateway": gateway}
        rows = [{"module": m, "version": v} for m, v in installed.items()]
        if tier == "gateway":
            ok(self.api.post("/api/v1/devices", data=f'{{"id": "{name}", "tier": "gateway"}}\n'.encode(),
                             headers={"Content-Type": "application/x-ndjson"}))
        device = enrolled(self.api, name, self.token, installed=rows, **members)
        return Actor(device, installed)

    def devices(self, n, prefix="d", **installed):
        return [self.device(f"{prefix}{i}", **installed) for i in range(n)]

    # ---- rollouts

    def create(self, name, release, selector="", **strategy):
        strategy = {"waves": [{"percent": 100}], "probation_s": 0, **strategy}
        body = {"release": release, "selector": selector, "strategy": strategy}
        return self.api.put(f"/api/v1/rollouts/{name}", body)

    def rollout(self, name, release, selector="", start=True, **strategy):
        ok(self.create(name, release, selector, **strategy))
        self.wait(name, "ready")
        if start:
            self.verb(name, "start")

    def verb(self, name, verb, **arguments):
        return ok(self.api.post(f"/api/v1/rollouts/{name}/{verb}", arguments))

    def refused(self, name, verb, **arguments):
        """The sentence of a verb that is refused."""
        answer = self.api.post(f"/api/v1/rollouts/{name}/{verb}", arguments)
        assert answer.status == 409, answer
        return answer.json()["detail"]

    def get(self, name):
        return ok(self.api.get(f"/api/v1/rollouts/{name}"))

    def stats(self, name):
        return ok(self.api.get(f"/api/v1/rollouts/{name}/stats"))

    def stage(self, name, layer, wave):
        return next(s for s in self.stats(name)["stages"] if (s["layer"], s["wave"]) == (layer, wave))

    def steps(self, name, **where):
        """The states of the devices' steps: {(device, layer): state}."""
        query = "&".join(f"{k}={v}" for k, v in where.items())
        rows = ok(self.api.get(f"/api/v1/rollouts/{name}/steps?limit=1000&{query}"))["items"]
        return {(r["device"], r["layer"]): r["state"] for r in rows}

    def wait(self, name, *states):
        def there():
            rollout = self.get(name)
            return rollout if rollout["state"] in states else None

        try:
            return until(f"{name} is {states}", there)
        except AssertionError as e:
            raise AssertionError(f"{e}: {self.get(name)}") from e

    def wait_stage(self, name, layer, wave, *states):
        until(f"L{layer}.W{wave} of {name} is {states}", lambda: self.stage(name, layer, wave)["state"] in states)

    def ends(self, name, device, layer, *states):
        """Wait until the device's step in this layer is in one of the states."""
        until(f"{device.id} is {states} in {name}", lambda: self.steps(name).get((device.id, layer)) in states)

    # ---- devices

    def work(self, fleet, name, *states):
        """Devices take what they are offered and confirm, until the rollout is in one of the states."""
        def round_trip():
            for one in fleet:
                if one.order is not None or one.poll():
                    one.confirms()
            return self.get(name)["state"] in states

        until(f"{name} is {states}", round_trip)

    def idle(self, fleet):
        """Whether nobody is offered anything now."""
        return not any(one.poll() for one in fleet)

    def verify(self):
        """Stop fleetd; what is stored fits together. The data folder can be looked at afterwards."""
        self.api.stop()
        checked = self.api.run("--verify", "--hash-blobs")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        return checked.stdout
