# The gateway.  Build it from the root of the repository:
#   docker build -f deploy/images/gateway.Dockerfile -t seqway/gateway:0.1.0 .
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /empty
WORKDIR /src
RUN python3 -m venv --without-pip /opt/seqway/venv
RUN python3 -m pip install --no-cache-dir uv==0.13.9
# Metadata of all packages stays in the environment, where scanners look for it.
COPY LICENSE README.md constraints.txt pyproject.toml ./
COPY engine/__init__.py engine/__init__.py
COPY engine/contract engine/contract
COPY services services
COPY sdk/python sdk/python
RUN uv pip install --python /opt/seqway/venv/bin/python3 -c constraints.txt '.[gateway]' ./sdk/python
COPY deploy/images/commands /opt/seqway/lib/deploy/images/commands
COPY deploy/images/bin/seqway-gateway-health /opt/seqway/bin/

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="Seqway gateway" \
      org.opencontainers.image.description="gRPC front door of Seqway: checks, converts, calls Triton" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/seqway /opt/seqway
# A new volume takes over the owner of the folder that it is mounted on.
COPY --from=build --chown=10001:10001 /empty /var/lib/seqway/jobs
ENV PATH=/opt/seqway/venv/bin:/opt/seqway/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/seqway/lib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /tmp
USER 10001:10001
EXPOSE 50051 50052 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["seqway-gateway-health"]
ENTRYPOINT ["seqway-gateway"]
