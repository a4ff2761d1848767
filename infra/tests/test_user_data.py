"""Runs user-data.sh as an instance would, in a scratch folder and with the
privileged commands replaced by ones that only write down how they were called."""

import hashlib
import os
import re
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "user-data.sh"
SHIMS = ("systemctl", "systemd-run", "poweroff", "iptables", "ip6tables", "useradd", "chown")


class UserData(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name) / "root"
        self.calls = Path(scratch.name) / "calls"
        self.calls.touch()
        self.shims = Path(scratch.name) / "bin"
        self.shims.mkdir()
        for name in SHIMS:
            self.shim(name, "exit 0")
        self.values = {"BOOT_SECONDS": "60", "MAX_LIFETIME_SECONDS": "3600", "REGION": "eu-west-1",
                       "CHECKIN_URL": "https://checkin.example/"}
        self.place_runner()

    def shim(self, name, body):
        path = self.shims / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>{self.calls}\n{body}\n')
        path.chmod(0o755)

    def place_runner(self):
        runner = self.root / "opt/actions-runner/run.sh"
        runner.parent.mkdir(parents=True)
        runner.write_text("#!/bin/bash\n")
        runner.chmod(0o755)

    def place_agent(self, body):
        agent = self.root / "opt/dayfly/dayfly-agent"
        agent.parent.mkdir(parents=True)
        agent.write_text(f'#!/bin/bash\n[ "$1" = --version ] && exit\n{body}\n')
        self.values["AGENT_SHA256_X86_64"] = self.values["AGENT_SHA256_ARM64"] = hashlib.sha256(
            agent.read_bytes()).hexdigest()
        return agent

    def start(self, **env):
        """The script with its words filled in, in a process group of its own."""
        text = re.sub(r"@([A-Z0-9_]+)@", lambda m: self.values.get(m.group(1), ""), SCRIPT.read_text())
        script = self.root / "user-data"
        script.write_text(text)
        process = subprocess.Popen(
            ["bash", script], start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": f"{self.shims}:{os.environ['PATH']}", "DAYFLY_ROOT": str(self.root),
                 "DAYFLY_RUNNER_USER": "", **env})
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        """No test leaves a process behind, and neither does the script."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()

    def run_to_end(self, **env):
        process = self.start(**env)
        output, _ = process.communicate(timeout=30)
        return output, self.calls.read_text().splitlines()

    def assert_powered_off(self, calls):
        self.assertIn("systemctl poweroff --force", calls)

    def test_starts_the_agent_with_what_it_needs_and_powers_off_after_it(self):
        self.place_agent("env >$DAYFLY_ROOT/env")
        _, calls = self.run_to_end()
        env = (self.root / "env").read_text().splitlines()
        for line in ("DAYFLY_CHECKIN_URL=https://checkin.example/", "AWS_REGION=eu-west-1",
                     f"DAYFLY_RUNNER_DIR={self.root}/opt/actions-runner", "DAYFLY_RUNNER_USER=",
                     "DAYFLY_MAX_LIFETIME_SECONDS=3600",
                     "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://169.254.169.254"):
            self.assertIn(line, env)
        self.assert_powered_off(calls)

    def test_sets_the_last_power_off_before_anything_else(self):
        self.place_agent("true")
        _, calls = self.run_to_end()
        self.assertRegex(calls[0], r"^systemd-run .*--on-active=3780s systemctl poweroff --force$")

    def test_closes_the_metadata_service_to_all_but_root_before_the_agent_starts(self):
        self.place_agent(f"echo agent >>{self.calls}")
        _, calls = self.run_to_end()
        refuse = "iptables -w -I OUTPUT -d 169.254.169.254 -m owner ! --uid-owner 0 -j REJECT"
        self.assertLess(calls.index(refuse), calls.index("agent"))
        self.assertIn("iptables -w -t raw -I PREROUTING -d 169.254.169.254 -j DROP", calls)

    def test_powers_off_without_an_agent_where_the_metadata_service_stays_open(self):
        self.place_agent(f"echo agent >>{self.calls}")
        self.shim("iptables", "exit 4")
        _, calls = self.run_to_end()
        self.assertNotIn("agent", calls)
        self.assert_powered_off(calls)

    def test_powers_off_when_there_is_no_agent_to_get(self):
        output, calls = self.run_to_end()
        self.assertIn("no URL was given", output)
        self.assert_powered_off(calls)

    def test_does_not_run_an_agent_whose_sum_is_wrong(self):
        agent = self.place_agent(f"echo agent >>{self.calls}")
        agent.write_text(agent.read_text() + "# changed\n")
        _, calls = self.run_to_end()
        self.assertNotIn("agent", calls)
        self.assert_powered_off(calls)

    def test_powers_off_when_the_runner_cannot_be_had(self):
        self.place_agent(f"echo agent >>{self.calls}")
        (self.root / "opt/actions-runner/run.sh").unlink()
        _, calls = self.run_to_end()
        self.assertNotIn("agent", calls)
        self.assert_powered_off(calls)

    def test_powers_off_when_the_agent_is_killed(self):
        self.place_agent("kill -KILL $$")
        _, calls = self.run_to_end()
        self.assert_powered_off(calls)

    def test_powers_off_when_the_boot_takes_too_long(self):
        self.values["BOOT_SECONDS"] = "1"
        off = self.root / "off"
        os.mkfifo(off)
        self.shim("iptables", f"read -r <{self.root}/never")
        os.mkfifo(self.root / "never")
        self.shim("systemctl", f"echo off >{off}")
        self.start()
        self.assertEqual(off.read_text(), "off\n")

    def place_runner_archive(self):
        """A runner to be fetched, on a machine without ICU."""
        (self.root / "opt/actions-runner/run.sh").unlink()
        runner = self.root.parent / "runner"
        (runner / "bin").mkdir(parents=True)
        for name, body in (("run.sh", ""), ("bin/installdependencies.sh", f"echo installdependencies >>{self.calls}")):
            (runner / name).write_text(f"#!/bin/bash\n{body}\n")
            (runner / name).chmod(0o755)
        archive = self.root.parent / "runner.tar.gz"
        subprocess.run(["tar", "-czf", archive, "-C", runner, "."], check=True)
        self.values["RUNNER_URL_X86_64"] = self.values["RUNNER_URL_ARM64"] = "https://downloads.example/runner"
        self.values["RUNNER_SHA256_X86_64"] = self.values["RUNNER_SHA256_ARM64"] = hashlib.sha256(
            archive.read_bytes()).hexdigest()
        self.shim("curl", f'while [ "$1" != --output ]; do shift; done; cp {archive} "$2"')
        self.shim("ldconfig", "true")

    def memory(self, pages):
        self.shim("getconf", f"case $1 in _PHYS_PAGES) echo {pages} ;; PAGE_SIZE) echo 4096 ;; esac")

    def test_installs_what_the_runner_needs_where_a_job_may_run(self):
        self.place_agent(f"echo agent >>{self.calls}")
        self.place_runner_archive()
        self.memory(2 ** 20)
        _, calls = self.run_to_end()
        self.assertIn("agent", calls)
        self.assertTrue({"installdependencies", "dnf install -y -q libicu"} & set(calls), calls)

    def test_installs_nothing_on_the_smallest_machine_which_only_fails_jobs(self):
        self.place_agent(f"echo agent >>{self.calls}")
        self.place_runner_archive()
        self.memory(2 ** 17)
        _, calls = self.run_to_end()
        self.assertIn("agent", calls)
        self.assertFalse({"installdependencies", "dnf install -y -q libicu"} & set(calls), calls)

    def test_takes_agent_and_runner_for_the_machines_processor(self):
        self.place_agent(f"echo agent >>{self.calls}")
        self.place_runner_archive()
        self.memory(2 ** 20)
        right = {"x86_64": "X86_64", "aarch64": "ARM64"}
        for machine, name in right.items():
            with self.subTest(machine):
                runner = self.root / "opt/actions-runner/run.sh"
                runner.unlink(missing_ok=True)
                self.shim("uname", f"echo {machine}")
                for other in right.values():
                    self.values[f"RUNNER_URL_{other}"] = f"https://downloads.example/{other}"
                self.calls.write_text("")
                _, calls = self.run_to_end()
                fetched = [call for call in calls if call.startswith("curl ")]
                self.assertEqual([call.rsplit("/", 1)[1] for call in fetched], [name])
                self.assertIn("agent", calls)

    def test_makes_the_runner_user_and_gives_it_the_runner(self):
        self.place_agent("true")
        _, calls = self.run_to_end(DAYFLY_RUNNER_USER="nobody-of-this-name")
        self.assertIn("useradd --create-home --shell /bin/bash nobody-of-this-name", calls)
        self.assertIn(f"chown -R nobody-of-this-name: {self.root}/opt/actions-runner", calls)

    def test_has_its_own_last_timer_where_systemd_has_none(self):
        self.place_agent("true")
        self.shim("systemd-run", "exit 1")
        self.values["MAX_LIFETIME_SECONDS"] = "3600"
        process = self.start()
        process.wait(timeout=30)
        self.assert_powered_off(self.calls.read_text().splitlines())

    def test_leaves_no_process_behind_once_the_agent_ended(self):
        self.place_agent("true")
        process = self.start()
        process.wait(timeout=30)
        with self.assertRaises(ProcessLookupError):
            os.killpg(process.pid, 0)


if __name__ == "__main__":
    unittest.main()
