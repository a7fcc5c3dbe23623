#!/usr/bin/env bash
# Generates the TypeScript of protos/ into src/generated, or into the folder that is named.
# protoc comes with grpcio-tools, the common protos with googleapis-common-protos: `make setup`.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:-src/generated}
PYTHON=${PYTHON:-../../.venv/bin/python}
COMMON=$("$PYTHON" -c 'import google.rpc as r; print(list(r.__path__)[0] + "/../..")')
OPTIONS=(
  env=node importSuffix=.js esModuleInterop=true emitImportedFiles=false exportCommonSymbols=false
  outputServices=grpc-js outputJsonMethods=false useExactTypes=false useReadonlyTypes=true
  forceLong=bigint oneof=unions-value stringEnums=true enumsAsLiterals=true removeEnumPrefix=true
)
rm -rf "$OUT"
mkdir -p "$OUT"
"$PYTHON" -m grpc_tools.protoc -I../../protos -I"$COMMON" \
  --plugin=protoc-gen-ts_proto=node_modules/.bin/protoc-gen-ts_proto \
  --ts_proto_out="$OUT" --ts_proto_opt="$(IFS=,; echo "${OPTIONS[*]}")" \
  ../../protos/seqway/v1/*.proto \
  google/protobuf/{any,duration,struct,timestamp}.proto google/rpc/{status,error_details}.proto
