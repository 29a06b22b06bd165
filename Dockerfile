# lenet serve without PyTorch:  docker build -t lenet . && docker run -p 8000:8000 \
#   --read-only --tmpfs /tmp -v "$PWD/runs/first:/models/first:ro" lenet /models/first
FROM python:3.12-slim AS build
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN LENET_REQUIRE_NATIVE=1 python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
COPY --from=build /wheels /wheels
COPY constraints.txt /wheels/
RUN python -m pip install --no-cache-dir --constraint /wheels/constraints.txt \
      "$(echo /wheels/lenet-*.whl)[serve]" \
 && rm -rf /wheels \
 && useradd --no-create-home --uid 10001 lenet
USER 10001
WORKDIR /models
ENV MPLCONFIGDIR=/tmp PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", \
  "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=2)"]
ENTRYPOINT ["lenet", "serve", "--host", "0.0.0.0"]
