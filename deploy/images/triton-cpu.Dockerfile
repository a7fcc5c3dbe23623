# Triton for processors: the server of the wheel nvidia-pytriton.  Build it from the root of the
# repository:
#   docker build -f deploy/images/triton-cpu.Dockerfile -t seqway/triton-cpu:0.1.0 .

# The engine's C++, compiled where there is a compiler: the full image of the same Debian.
FROM python:3.11.14-bookworm AS native
WORKDIR /src
COPY engine/__init__.py engine/__init__.py
COPY engine/native engine/native
RUN CI=true python3 -m engine.native.build --output /opt/seqway/lib/engine/native/libseqway.so

FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
RUN python3 -m venv --without-pip /opt/seqway/venv
RUN python3 -m pip install --no-cache-dir uv==0.13.9
COPY deploy/local/triton-requirements.txt ./
RUN uv pip install --python /opt/seqway/venv/bin/python3 -r triton-requirements.txt
# Of the wheel's own dependencies none is needed.
RUN uv pip install --python /opt/seqway/venv/bin/python3 --no-deps nvidia-pytriton==0.7.0
# Triton's Python backend with the stub for this Python, and ours beside it.
WORKDIR /opt/seqway/venv/lib/python3.11/site-packages/pytriton/tritonserver
RUN mkdir -p /opt/seqway/backends/python /opt/seqway/bin \
    && cp backends/python/* python_backend_stubs/3.11/triton_python_backend_stub /opt/seqway/backends/python/ \
    && ln -s /opt/seqway/lib/engine/backend /opt/seqway/backends/seqway \
    && ln -s "$PWD/bin/tritonserver" /opt/seqway/bin/tritonserver
# The stub passes over PYTHONPATH.
RUN echo /opt/seqway/lib > /opt/seqway/venv/lib/python3.11/site-packages/seqway.pth
COPY engine /opt/seqway/lib/engine
COPY deploy/images/commands /opt/seqway/lib/deploy/images/commands
COPY deploy/images/bin/seqway-triton deploy/images/bin/seqway-triton-probe /opt/seqway/bin/

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="Seqway Triton for processors" \
      org.opencontainers.image.description="Triton Inference Server with Seqway's engine on ONNX Runtime" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/seqway /opt/seqway
COPY --from=native /opt/seqway/lib/engine/native/libseqway.so /opt/seqway/lib/engine/native/libseqway.so
# The stub takes the first python3 of PATH, and needs its shared library.
ENV PATH=/opt/seqway/venv/bin:/opt/seqway/bin:/usr/local/bin:/usr/bin:/bin \
    LD_LIBRARY_PATH=/opt/seqway/venv/lib/python3.11/site-packages/nvidia_pytriton.libs:/usr/local/lib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /tmp
USER 10001:10001
EXPOSE 8001 8002
HEALTHCHECK --interval=15s --timeout=12s --start-period=300s CMD ["seqway-triton-probe", "--seconds=8"]
ENTRYPOINT ["seqway-triton"]
CMD ["--model-repository=/models", "--backend-directory=/opt/seqway/backends", "--model-control-mode=none", "--exit-on-error=false", "--http-address=127.0.0.1", "--metrics-address=0.0.0.0", "--exit-timeout-secs=45"]
