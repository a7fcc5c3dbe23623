#!/bin/sh
# Makes the namespace and those of its Secrets that can be made up: the password of Redis, and the
# pepper of API keys. What is there already stays as it is.
#   deploy/kubernetes/create-secrets.sh         # Redis without TLS
#   deploy/kubernetes/create-secrets.sh rediss  # for the component mtls
set -eu
scheme=${1:-redis}
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
missing() { ! kubectl -n seqway get secret "$1" >/dev/null 2>&1; }

kubectl apply -f "$(dirname "$0")/base/namespace/namespace.yaml"
if missing seqway-redis && missing seqway-secrets; then
  password=$(random)
  # Through a pipe: arguments could be read by everybody on this machine.
  create() { kubectl -n seqway create secret generic "$1" --from-env-file=/dev/stdin; }
  create seqway-redis <<END
password=$password
users.acl=user default on >$password ~* &* +@all
END
  create seqway-secrets <<END
seqway_redis_url=$scheme://:$password@seqway-redis:6379/0
seqway_api_key_pepper=$(random)
END
elif missing seqway-redis || missing seqway-secrets; then
  echo "one of the Secrets seqway-redis and seqway-secrets is there: delete it, or make the other" >&2
  exit 1
fi
