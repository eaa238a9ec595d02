# SPDX-License-Identifier: Apache-2.0
"""The wall clock of a fleetd under test, moved by a preloaded library (clock.c): hours pass at once.

    clock = MovedClock(tmp_path)
    fleetd.start(env=clock.env)
    clock.forward(devices, hours=3)
    clock.now()                 # what fleetd's clock shows, UTC"""
import os
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path


class MovedClock:
    def __init__(self, folder):
        library, self.control = Path(folder) / "clock.so", Path(folder) / "clock"
        source = Path(__file__).with_name("clock.c")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        self.by = timedelta(0)
        self.write()
        options = os.environ.get("ASAN_OPTIONS", "")
        self.env = {
            "LD_PRELOAD": str(library),
            "TEST_CLOCK": str(self.control),
            "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0".lstrip(":"),
        }

    def write(self):
        value = int(self.by.total_seconds() * 1000).to_bytes(8, "little", signed=True)
        with open(self.control, "r+b" if self.control.exists() else "wb") as file:
            file.write(value)

    def forward(self, devices=(), **span):
        """By so much, as timedelta takes it; negative ones go back. The devices of the story go along and open
        new sessions: the old ones may have ended."""
        self.by += timedelta(**span)
        self.write()
        for one in devices:
            one.device.clock_s = int(self.by.total_seconds())
            one.device.session()

    def now(self):
        return datetime.now(timezone.utc) + self.by

    def at(self, **span):
        """So much after what fleetd's clock shows, as the API writes times."""
        return (self.now() + timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")
