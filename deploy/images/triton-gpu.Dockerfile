# Triton for NVIDIA's GPUs: a layer on NVIDIA's image, with the TensorRT that plans are built with, and
# PyTorch for variants without a plan.
# Build it from the root of the repository:
#   docker build -f deploy/images/triton-gpu.Dockerfile -t seqway/triton-gpu:0.1.0 .

# The engine's C++, compiled where there is a compiler: a Debian with an older C library than that of
# the Ubuntu below.
FROM python:3.11.14-bookworm AS native
WORKDIR /src
COPY engine/__init__.py engine/__init__.py
COPY engine/native engine/native
RUN CI=true python3 -m engine.native.build --output /opt/seqway/lib/engine/native/libseqway.so

FROM nvcr.io/nvidia/tritonserver:26.08-py3 AS build
WORKDIR /src
# An environment of our own, made by the image's pip: Ubuntu's Python has no ensurepip.
RUN python3 -m venv --without-pip /opt/seqway/venv
WORKDIR /empty
WORKDIR /src
COPY deploy/local/triton-requirements.txt deploy/local/torch-requirements.txt deploy/images/tensorrt-requirements.txt ./
RUN python3 -m pip --python /opt/seqway/venv/bin/python3 install --no-cache-dir -r triton-requirements.txt -r torch-requirements.txt -r tensorrt-requirements.txt
RUN mkdir -p /opt/seqway/backends \
    && cp -r /opt/tritonserver/backends/python /opt/seqway/backends/python \
    && ln -s /opt/seqway/lib/engine/backend /opt/seqway/backends/seqway
# The stub passes over PYTHONPATH.
RUN echo /opt/seqway/lib > /opt/seqway/venv/lib/python3.12/site-packages/seqway.pth
COPY engine /opt/seqway/lib/engine
COPY deploy/images/commands /opt/seqway/lib/deploy/images/commands
COPY deploy/images/bin/seqway-plans deploy/images/bin/seqway-triton deploy/images/bin/seqway-triton-gpu deploy/images/bin/seqway-triton-probe /opt/seqway/bin/

FROM nvcr.io/nvidia/tritonserver:26.08-py3
LABEL org.opencontainers.image.title="Seqway Triton for GPUs" \
      org.opencontainers.image.description="Triton Inference Server with Seqway's engine on TensorRT and PyTorch" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# Triton's language compiles the launchers of its kernels when a variant is loaded.  Ubuntu keeps no
# older version of a package, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libpython3.12-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/seqway /opt/seqway
# A new volume takes over the owner of the folder that it is mounted on.
COPY --from=build --chown=10001:10001 /empty /var/cache/seqway
COPY --from=native /opt/seqway/lib/engine/native/libseqway.so /opt/seqway/lib/engine/native/libseqway.so
# The stub takes the first python3 of PATH.
ENV PATH=/opt/seqway/venv/bin:/opt/seqway/bin:/opt/tritonserver/bin:/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TRITON_CACHE_DIR=/var/cache/seqway/triton \
    TORCHINDUCTOR_CACHE_DIR=/var/cache/seqway/inductor \
    HOME=/tmp
WORKDIR /tmp
USER 10001:10001
EXPOSE 8001 8002
HEALTHCHECK --interval=15s --timeout=12s --start-period=600s CMD ["seqway-triton-probe", "--seconds=8"]
ENTRYPOINT ["seqway-triton-gpu"]
CMD ["--model-repository=/models", "--backend-directory=/opt/seqway/backends", "--model-control-mode=none", "--exit-on-error=false", "--http-address=127.0.0.1", "--metrics-address=0.0.0.0", "--exit-timeout-secs=45"]
