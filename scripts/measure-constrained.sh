#!/bin/sh
# A small ECU: the server with one CPU and 128 MiB, a read-only root and its store on a mount of its own. Root only; needs `npm run build`.
# Takes cgroups of version 1 or 2, whichever is there. Runs reads, writes, lists and a mixture against it, and then leaves it alone for a
# while: what it writes then is flash wear.
#   scripts/measure-constrained.sh [seconds of idleness]
set -eu
idle=${1:-120}
root=$(cd "$(dirname "$0")/.." && pwd)
cli="${CLI:-$root/dist/cli.js}"
node=$(command -v node)
work=$(mktemp -d)
group=sovd-edge-$$
memory=$((128 * 1024 * 1024))
mkdir -p "$work/store" "$work/out"

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  groups="/sys/fs/cgroup/$group"
  mkdir "$groups"
  echo "$memory" > "$groups/memory.max"
  echo 0 > "$groups/memory.swap.max" 2> /dev/null || true
  echo "100000 100000" > "$groups/cpu.max"
else
  groups="/sys/fs/cgroup/memory/$group /sys/fs/cgroup/cpu/$group"
  mkdir $groups
  echo "$memory" > "/sys/fs/cgroup/memory/$group/memory.limit_in_bytes"
  echo 100000 > "/sys/fs/cgroup/cpu/$group/cpu.cfs_period_us"
  echo 100000 > "/sys/fs/cgroup/cpu/$group/cpu.cfs_quota_us"
fi

simulator=
server=
finish() {
  kill $server $simulator 2> /dev/null || true
  wait 2> /dev/null || true
  rmdir $groups 2> /dev/null || true
  rm -rf "$work"
}
trap finish EXIT

databases=${DATABASES:-$root/../shared/mdd}
[ -d "$databases" ] || { echo "$databases is missing: nothing measured"; exit 0; }
"$node" "$cli" simulate --address 127.0.0.1 --control-port 20593 > /dev/null 2>&1 &
simulator=$!

# the shell enters the group, makes its mounts, and becomes the server
unshare --mount sh -c "
  for group in $groups; do echo \$\$ > \$group/cgroup.procs; done
  mount --make-rprivate /
  mount --bind '$work/store' '$work/store'
  mount -o remount,bind,ro / 2> /dev/null || mount --bind / / && mount -o remount,bind,ro /
  touch '$root/.writable' 2> /dev/null && { echo 'the root can be written'; rm '$root/.writable'; }
  touch '$work/store/.writable' && rm '$work/store/.writable' || echo 'the store cannot be written'
  exec env NODE_OPTIONS=--max-semi-space-size=4 CDA_SHARDS__WORKERS=1 '$node' '$cli' serve --config '$databases/opensovd-cda.toml' \
    --databases-path '$databases' --listen-address 127.0.0.1 --listen-port 20592 --tester-address 127.0.0.2 \
    --discovery-target 127.0.0.1 --store '$work/store'
" > "$work/out/log" 2>&1 &
server=$!

url=http://127.0.0.1:20592
tries=0
until curl -sf "$url/vehicle/v15/components/flxc1000" 2> /dev/null | grep -q '"state":"Online"'; do
  tries=$((tries + 1))
  [ $tries -lt 300 ] || { echo "not online:"; tail -5 "$work/out/log"; exit 1; }
  sleep 0.1
done
grep -h "can be written\|cannot be written" "$work/out/log" || echo "root read-only, store writable"
for profile in read list mix; do
  "$node" "$cli" bench "$url" --profile $profile --ecus flxc1000,fsnr2000,tmcc3000,hovr4000,jgwt5000 --connections 1,64 --duration 5 --rounds 1 | grep -v '^$'
done
written() { awk '/^write_bytes/ { print $2 }' "/proc/$server/io"; }
before=$(written)
sleep "$idle"
echo "idle for $idle s: $(($(written) - before)) bytes written to disk"
before=$(written)
lock=$(curl -sf -X POST "$url/vehicle/v15/authorize" -H 'content-type: application/json' -d '{"client_id":"a","client_secret":"b"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -sf -X POST "$url/vehicle/v15/components/flxc1000/locks" -H "authorization: Bearer $lock" -H 'content-type: application/json' -d '{"lock_expiration":60}' > /dev/null
curl -sf -X PUT "$url/vehicle/v15/components/flxc1000/data/vindataidentifier" -H "authorization: Bearer $lock" -H 'content-type: application/json' -d '{"data":{"VIN":"SCEDT26T8BD005261"}}' -o /dev/null -w 'write call: HTTP %{http_code}\n' || true
echo "one lock and one write call: $(($(written) - before)) bytes written to disk"
grep -E "VmHWM|VmRSS|RssAnon" "/proc/$server/status"
for group in $groups; do cat "$group/memory.max_usage_in_bytes" "$group/memory.peak" 2> /dev/null || true; done
