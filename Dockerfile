# Images of Headroom. Each target is one image for all processes; the command says which process it is.
#   docker build --target cpu .          worker, scheduler, producer, board, command line
#   docker build --target cuda .         the same for workers with NVIDIA cards (linux/amd64)
#   docker build --target all-in-one .   with a Redis of its own, for trying: headroom up
# All run as user 10001 over a read-only root; what they write is below /var/lib/headroom, /tmp and, for outputs, /data.
# Both bases are pinned by digest; scripts/pin-images.sh compares the pins with the registry.
ARG NODE_IMAGE=node:24.21.0-trixie-slim@sha256:173f125896c3b47ddf056734c7ea789d04595a6a08769a8f78e0df642781fb66
ARG CUDA_IMAGE=nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04@sha256:d02c4310b6d57ca0b16cd80298bdb33a74187baafe2eccd8a6a16180ddc90802

# The program, compiled. No script of a package runs: nothing that we build with needs one.
FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/copy-assets.js scripts/
COPY src src
RUN npm run build && rm -f dist/*.tsbuildinfo

# What it needs at run time, without the native binaries of other platforms, sources in C, types and maps; and the list of it
# (SPDX), to which each image adds what else it has. With development dependencies in package.json npm keeps those that a
# package could use (TypeScript), and lists none of those that are both kinds.
FROM ${NODE_IMAGE} AS modules
WORKDIR /modules
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts
COPY scripts/prune-modules.js scripts/
RUN npm pkg delete devDependencies \
 && npm prune --ignore-scripts --offline \
 && node scripts/prune-modules.js node_modules \
 && npm sbom --sbom-format=spdx >sbom.spdx.json

# The same with what ONNX Runtime needs for CUDA 12; its install script fetches that, for linux/amd64 alone: elsewhere it ends
# well without it. What it fetches for TensorRT, which no image has, goes.
FROM modules AS modules-cuda
RUN ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild --ignore-scripts=false onnxruntime-node \
 && test -s node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so \
 && rm -f node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_tensorrt.so

# pg_dump and pg_restore, which `headroom backup` and `headroom restore` call for a PostgreSQL store. Installed, their package
# would bring wrappers in Perl, and with them all of Perl: here are the two alone, in its places, so that an image on top of this one
# can install a newer one beside it; and its record, where scanners look for packages that were not installed.
FROM ${NODE_IMAGE} AS postgres-client
WORKDIR /client
RUN apt-get update \
 && apt-get download postgresql-client-17 \
 && dpkg-deb --extract postgresql-client-17_*.deb package \
 && install -d root/usr/bin root/usr/lib/postgresql/17/bin root/var/lib/dpkg/status.d \
 && cp package/usr/lib/postgresql/17/bin/pg_dump package/usr/lib/postgresql/17/bin/pg_restore root/usr/lib/postgresql/17/bin/ \
 && ln -s ../lib/postgresql/17/bin/pg_dump ../lib/postgresql/17/bin/pg_restore root/usr/bin/ \
 && dpkg-deb --field postgresql-client-17_*.deb >root/var/lib/dpkg/status.d/postgresql-client-17

# What every image has in common.
FROM scratch AS app
COPY package.json deploy/image/healthcheck.js deploy/image/list-packages.js /app/
COPY bin /app/bin
COPY prompts /app/prompts
COPY models /app/models
COPY eval /app/eval
COPY examples /app/examples
COPY --from=build /build/dist /app/dist
COPY --from=modules /modules/sbom.spdx.json /app/sbom.spdx.json

# Debian 13 with Node. tini ends what a process leaves behind and hands signals on; /usr/bin/perl, which starts the
# processes of jobs, is in perl-base, which every Debian has. The libraries are those of pg_dump, which must not be older than
# the server. npm has no place in an image that installs nothing.
FROM ${NODE_IMAGE} AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends liblz4-1 libpq5 libzstd1 tini zlib1g \
 && rm -rf /var/lib/apt/lists/* /var/log/* /usr/local/lib/node_modules /opt/yarn* \
 && rm -f /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg \
 && ln -s /app/bin/headroom.js /usr/local/bin/headroom \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/headroom /data
COPY --from=postgres-client /client/root /

# Ubuntu 24.04 with CUDA 12 and cuDNN 9, and the same Node: it is linked for older systems than either. Its pg_dump would be
# older than the server: backups are made in the other image.
FROM ${CUDA_IMAGE} AS base-cuda
RUN apt-get update \
 && apt-get install -y --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* /var/log/* \
 && ln -s /app/bin/headroom.js /usr/local/bin/headroom \
 && install -d -o 10001 -g 10001 -m 0750 /var/lib/headroom /data
COPY --from=build /usr/local/bin/node /usr/local/bin/node

FROM base AS cpu
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="headroom" \
      org.opencontainers.image.description="Runs binaries, models and agents over files, as fast as each machine has room for" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/node:24.21.0-trixie-slim"
COPY --from=app /app /app
COPY --from=modules /modules/node_modules /app/node_modules
RUN node /app/list-packages.js
ENV NODE_ENV=production HOME=/var/lib/headroom HEADROOM_HOME=/var/lib/headroom HEADROOM_OPS_HOST=0.0.0.0 HEADROOM_OPS_PORT=9100
WORKDIR /var/lib/headroom
USER 10001:10001
EXPOSE 7400 7401 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "/app/healthcheck.js"]
ENTRYPOINT ["/usr/bin/tini", "--", "headroom"]
CMD ["--help"]

FROM base-cuda AS cuda
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="headroom-cuda" \
      org.opencontainers.image.description="Runs binaries, models and agents over files, as fast as each machine has room for" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04"
COPY --from=app /app /app
COPY --from=modules-cuda /modules/node_modules /app/node_modules
# All libraries that ONNX Runtime needs for cards are there, but for the driver's, which is the host's. Otherwise no image is made.
RUN ! ldd /app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so | grep 'not found' | grep -v '^[[:space:]]*libcuda\.so\.1 '
RUN node /app/list-packages.js
ENV NODE_ENV=production HOME=/var/lib/headroom HEADROOM_HOME=/var/lib/headroom HEADROOM_OPS_HOST=0.0.0.0 HEADROOM_OPS_PORT=9100
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /var/lib/headroom
USER 10001:10001
EXPOSE 7400 7401 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "/app/healthcheck.js"]
ENTRYPOINT ["/usr/bin/tini", "--", "headroom"]
CMD ["--help"]

# For trying: all processes in one, over a Redis of its own and an SQLite file in /var/lib/headroom.
FROM cpu AS all-in-one
USER 0:0
RUN apt-get update \
 && apt-get install -y --no-install-recommends valkey-server \
 && rm -rf /var/lib/apt/lists/* /var/log/* \
 && node /app/list-packages.js
LABEL org.opencontainers.image.title="headroom-all-in-one"
ENV HEADROOM_OPS_HOST=127.0.0.1
USER 10001:10001
CMD ["up"]
