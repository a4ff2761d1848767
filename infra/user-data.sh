#!/bin/bash
# First boot of a dayfly instance: from power-on to the agent, and to power-off
# whatever happens in between. It holds no secret; the launch template carries it
# (see inline-user-data), and the words between two @ are filled in there.
#
# DAYFLY_ROOT, AWS_EC2_METADATA_SERVICE_ENDPOINT and DAYFLY_CHECKIN_URL move it into
# a scratch folder beside another cloud's ends; every privileged act is whatever
# command of that name stands on PATH.
set -Eeuo pipefail
umask 022

checkin_url='@CHECKIN_URL@'
max_lifetime_seconds='@MAX_LIFETIME_SECONDS@'
boot_seconds='@BOOT_SECONDS@'
case "$(uname -m)" in
  aarch64)
    agent_url='@AGENT_URL_ARM64@'
    agent_sha256='@AGENT_SHA256_ARM64@'
    runner_url='@RUNNER_URL_ARM64@'
    runner_sha256='@RUNNER_SHA256_ARM64@'
    ;;
  *)
    agent_url='@AGENT_URL_X86_64@'
    agent_sha256='@AGENT_SHA256_X86_64@'
    runner_url='@RUNNER_URL_X86_64@'
    runner_sha256='@RUNNER_SHA256_X86_64@'
    ;;
esac

root=${DAYFLY_ROOT:-}
agent=$root/opt/dayfly/dayfly-agent
runner_dir=$root/opt/actions-runner
# Empty: the runner runs as the user of this script.
runner_user=${DAYFLY_RUNNER_USER-runner}

export AWS_REGION='@REGION@'
export AWS_EC2_METADATA_SERVICE_ENDPOINT=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}
export DAYFLY_CHECKIN_URL=${DAYFLY_CHECKIN_URL:-$checkin_url}
export DAYFLY_MAX_LIFETIME_SECONDS=$max_lifetime_seconds
export DAYFLY_RUNNER_DIR=$runner_dir
export DAYFLY_RUNNER_USER=$runner_user

say() { printf 'dayfly: %s\n' "$*" >&2; }

power_off() {
  say "powering off: $*"
  # Shutdown terminates the instance; --force does not wait for units to stop.
  systemctl poweroff --force || poweroff -f || {
    [ -n "$root" ] || echo o >/proc/sysrq-trigger
  }
}

# Waits $1 seconds in this very process: a killed timer leaves no `sleep` behind.
pause() { read -rt "$1" <> <(:) || true; }

finish() {
  power_off 'the agent ended, or could not be started'
  # Nothing of this script outlives it, should the machine not be a real one.
  jobs -p | xargs -r kill
  wait 2>/dev/null || true
}
trap finish EXIT
trap 'say "line $LINENO failed: $BASH_COMMAND"; exit 1' ERR
trap 'exit 1' TERM INT HUP

# The machine's own end, should the agent and everything in the cloud fail. The
# extra three minutes leave the orderly end to the agent's timer.
last_resort=$((max_lifetime_seconds + 180))
if ! systemd-run --quiet --unit=dayfly-last-resort --on-active="${last_resort}s" \
  systemctl poweroff --force; then
  { pause "$last_resort"; power_off 'maximum lifetime'; } &
fi

# A download or package manager that hangs must not hold a GPU for hours.
{ pause "$boot_seconds"; power_off "no agent after $boot_seconds s"; } &
boot_watch=$!

# Only root may reach the metadata service: it hands out the instance's
# credentials. PREROUTING sees what containers send; hop limit 1 stops them too.
close_metadata() {
  if ! command -v iptables >/dev/null && ! command -v nft >/dev/null; then
    if command -v dnf >/dev/null; then
      dnf install -y -q nftables
    else
      apt-get update -q && apt-get install -y -q nftables
    fi
  fi
  if command -v iptables >/dev/null; then
    iptables -w -I OUTPUT -d 169.254.169.254 -m owner ! --uid-owner 0 -j REJECT
    iptables -w -t raw -I PREROUTING -d 169.254.169.254 -j DROP
    # The launch template leaves the IPv6 endpoint off: this is a second lock.
    ip6tables -w -I OUTPUT -d fd00:ec2::254 -m owner ! --uid-owner 0 -j REJECT ||
      say 'no ip6tables; the IPv6 metadata endpoint is off'
  else
    nft -f - <<'RULES'
table inet dayfly {
  chain output {
    type filter hook output priority -10;
    ip daddr 169.254.169.254 meta skuid != 0 reject
    ip6 daddr fd00:ec2::254 meta skuid != 0 reject
  }
  chain prerouting {
    type filter hook prerouting priority -300;
    ip daddr 169.254.169.254 drop
    ip6 daddr fd00:ec2::254 drop
  }
}
RULES
  fi
}

has_sha256() { [ -f "$1" ] && [ "$(sha256sum <"$1")" = "$2  -" ]; }

# fetch URL SHA256 FILE
fetch() {
  [ -n "$1" ] || { say "$3 is not in the image and no URL was given for it"; return 1; }
  mkdir -p "${3%/*}"
  curl --fail --silent --show-error --location --proto '=https' --tlsv1.2 \
    --retry 5 --retry-connrefused --connect-timeout 10 --max-time 300 \
    --output "$3.part" "$1"
  has_sha256 "$3.part" "$2" || { say "$1 has not the SHA-256 $2"; return 1; }
  mv "$3.part" "$3"
}

get_agent() {
  has_sha256 "$agent" "$agent_sha256" || fetch "$agent_url" "$agent_sha256" "$agent"
  chmod 755 "$agent"
}

# What only takes jobs to fail them has the smallest machine, which no job would do with.
is_messenger() { [ "$(($(getconf _PHYS_PAGES) * $(getconf PAGE_SIZE)))" -lt 1000000000 ]; }

get_runner() {
  if [ ! -x "$runner_dir/run.sh" ]; then
    fetch "$runner_url" "$runner_sha256" "$root/opt/actions-runner.tar.gz"
    mkdir -p "$runner_dir"
    tar -xzf "$root/opt/actions-runner.tar.gz" -C "$runner_dir" --no-same-owner
    rm "$root/opt/actions-runner.tar.gz"
    # The runner is a .NET program and does not start without ICU unless a setting says so.
    if ! ldconfig -p | grep libicuuc >/dev/null; then
      if is_messenger; then
        # A package manager would take minutes. The agent sets that for its runner.
        say 'no ICU, and none needed'
      elif command -v dnf >/dev/null; then
        dnf install -y -q libicu
      else
        "$runner_dir/bin/installdependencies.sh"
      fi
    fi
  fi
  [ -z "$runner_user" ] || chown -R "$runner_user:" "$runner_dir"
}

close_metadata
if [ -n "$runner_user" ] && ! id -u "$runner_user" >/dev/null 2>&1; then
  useradd --create-home --shell /bin/bash "$runner_user"
fi
get_runner &
runner_ready=$!
get_agent
wait "$runner_ready"

kill "$boot_watch"
wait "$boot_watch" 2>/dev/null || true
say "starting $("$agent" --version 2>/dev/null || echo agent)"
# Not exec: this shell stays to power off when the agent dies, of whatever.
"$agent"
