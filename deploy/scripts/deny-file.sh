#!/bin/sh
# One line for each blocked address in a file, for a proxy or a load balancer that reads it:
#
#   <command><name>deny-file</name><executable>deny-file.sh</executable>
#     <extra_args>/var/lib/thwart/denied</extra_args></command>
#
# The simplest kind of script: it says nothing, so it is told `add` once, and `delete` when the time is over.
# Each is safe twice, as every script's must be: after a crash or a reboot the agent says it again.
set -eu

read -r message # one line of JSON; the rest is for scripts that ask

# Where there is jq, use that. Inside of a string a quote has a backslash before it, so none of these can be forged by
# what somebody got into a log.
command=$(printf '%s\n' "$message" | sed -n 's/^{"version":1,"origin":{[^{}]*},"command":"\([a-z]*\)".*/\1/p')
address=$(printf '%s\n' "$message" | sed -n 's/.*"data":{[^{}]*"srcip":"\([0-9a-fA-F.:/]*\)".*/\1/p')
list=$(printf '%s\n' "$message" | sed -n 's/.*"parameters":{"extra_args":\["\([^"\\]*\)".*/\1/p')

[ -n "$address" ] || { echo "there is no address in the alert" >&2; exit 1; }
[ -n "$list" ] || { echo "name the file in <extra_args>" >&2; exit 1; }

exec 9>"$list.lock"
flock 9 # another may be at work for another address
[ -e "$list" ] || : >"$list"
grep -vxF -- "$address" "$list" >"$list.new" || [ $? -eq 1 ] # 1: no line is left
case $command in
add) echo "$address" >>"$list.new" ;;
delete) ;;
*) echo "told to ${command:-nothing}, which is neither add nor delete" >&2; exit 1 ;;
esac
mv -T "$list.new" "$list"
