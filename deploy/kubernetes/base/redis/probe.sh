#!/bin/sh
# "ready": it answers and has read its data. "alive": reading a long file is not being dead.
# What comes after the first word is for valkey-cli, such as --tls.
wanted=$1
shift
REDISCLI_AUTH=$(cat /run/secrets/redis/password)
export REDISCLI_AUTH
answer=$(valkey-cli "$@" ping 2>&1)
case "$wanted $answer" in
  *" PONG") exit 0 ;;
  "alive "*LOADING*) exit 0 ;;
esac
echo "$answer" >&2
exit 1
