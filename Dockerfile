# One binary with everything embedded, in a small image. Base images are pinned by digest, for all platforms:
# a tag can be moved to other contents.

FROM rust:1.98-slim-bookworm@sha256:94e9efa4033213dbb70d4f665527e7ece3944ddb7ba1dd2e43f6fd6e2490af58 AS build
RUN rustup target add wasm32-unknown-unknown
WORKDIR /src
COPY . .
# The caches speed up the next build. The binary is copied out, because a cache is not part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo run --locked --package xtask -- build && \
    cp target/release/tollgate /usr/local/bin/tollgate

FROM debian:bookworm-slim@sha256:7b140f374b289a7c2befc338f42ebe6441b7ea838a042bbd5acbfca6ec875818
RUN useradd --system --uid 10001 --home-dir /data --create-home tollgate
COPY --from=build /usr/local/bin/tollgate /usr/local/bin/tollgate
USER tollgate
WORKDIR /data
VOLUME /data

ENV APP_ENV=production \
    BIND_ADDR=0.0.0.0:3000 \
    DATABASE_URL=sqlite:/data/tollgate.db
EXPOSE 3000

# Ready means that the database is reachable, all migrations are applied and all background tasks run.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/3000 && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [[ $status == 200 ]]"]

ENTRYPOINT ["tollgate"]
CMD ["serve"]
