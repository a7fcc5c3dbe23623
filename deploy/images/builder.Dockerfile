# `seqway-models`: imports checkpoints, and builds plans where there is a GPU.  Build it from the root
# of the repository:
#   docker build -f deploy/images/builder.Dockerfile -t seqway/builder:0.1.0 .

# The engine's C++, compiled where there is a compiler: the full image of the same Debian.
FROM python:3.11.14-bookworm AS native
WORKDIR /src
COPY engine/__init__.py engine/__init__.py
COPY engine/native engine/native
RUN CI=true python3 -m engine.native.build --output /opt/seqway/venv/lib/python3.11/site-packages/engine/native/libseqway.so

FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
RUN python3 -m venv --without-pip /opt/seqway/venv
RUN python3 -m pip install --no-cache-dir uv==0.13.9
# torch exports and measures on the processor; its build for GPUs would be gigabytes more.
RUN uv pip install --python /opt/seqway/venv/bin/python3 --index-url https://download.pytorch.org/whl/cpu torch==2.13.0
COPY LICENSE README.md constraints.txt pyproject.toml ./
COPY engine engine
RUN uv pip install --python /opt/seqway/venv/bin/python3 -c constraints.txt '.[models]' obstore
COPY deploy/images/tensorrt-requirements.txt ./
RUN python3 -m pip --python /opt/seqway/venv/bin/python3 install --no-cache-dir -r tensorrt-requirements.txt
COPY deploy/images/commands /opt/seqway/lib/deploy/images/commands
COPY deploy/images/bin/seqway-plans deploy/images/bin/seqway-model-store /opt/seqway/bin/

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="Seqway builder" \
      org.opencontainers.image.description="Exports checkpoints to Seqway's model repository and builds TensorRT plans" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/seqway /opt/seqway
COPY --from=native /opt/seqway/venv/lib/python3.11/site-packages/engine/native/libseqway.so /opt/seqway/venv/lib/python3.11/site-packages/engine/native/libseqway.so
ENV PATH=/opt/seqway/venv/bin:/opt/seqway/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/seqway/lib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HOME=/tmp
WORKDIR /tmp
USER 10001:10001
# It ends by itself: there is nothing to look after.
HEALTHCHECK NONE
ENTRYPOINT ["seqway-models"]
