# The workers and the controllers, which differ by their arguments; see docs/reference.md.  Build it
# from the root of the repository:
#   docker build -f deploy/images/worker.Dockerfile -t seqway/worker:0.1.0 .
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /empty
WORKDIR /src
RUN python3 -m venv --without-pip /opt/seqway/venv
RUN python3 -m pip install --no-cache-dir uv==0.13.9
COPY LICENSE README.md constraints.txt pyproject.toml ./
COPY engine/__init__.py engine/__init__.py
COPY engine/contract engine/contract
COPY services services
COPY workers workers
RUN uv pip install --python /opt/seqway/venv/bin/python3 -c constraints.txt '.[jobs]'
COPY deploy/images/commands /opt/seqway/lib/deploy/images/commands
COPY deploy/images/bin/seqway-heartbeat deploy/images/bin/seqway-model-store /opt/seqway/bin/

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="Seqway worker" \
      org.opencontainers.image.description="Celery workers of Seqway's batch jobs, and their controller" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/seqway /opt/seqway
# A new volume takes over the owner of the folder that it is mounted on.
COPY --from=build --chown=10001:10001 /empty /var/lib/seqway/jobs
# Without REMAP_SIGTERM SIGTERM waits for running chunks without an end.
ENV PATH=/opt/seqway/venv/bin:/opt/seqway/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/seqway/lib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    REMAP_SIGTERM=SIGQUIT \
    SEQWAY_HEARTBEAT_FILE=/tmp/heartbeat \
    HOME=/tmp
WORKDIR /tmp
USER 10001:10001
EXPOSE 9464
HEALTHCHECK --interval=20s --timeout=5s --start-period=60s CMD ["seqway-heartbeat", "90"]
ENTRYPOINT ["celery", "--app=workers.app", "worker"]
