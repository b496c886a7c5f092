# syntax=docker/dockerfile:1
# Sealtrail's programs in one image. It has not been built: no container engine is part of the tests. They check that
# every file, program and version that is named here exists (integration-tests/python/containers).
FROM rust:1.95-bookworm AS builder
WORKDIR /src
COPY . .
# The whole workspace: cargo unifies features, so a part built alone is another build. What cargo fetched and built stays
# in the builder's caches, and so the programs must be copied out of them in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --workspace --bins --locked \
    && install -D --strip --target-directory=/out \
        target/release/sealtrail \
        target/release/sealtrail-gateway \
        target/release/sealtrail-processor \
        target/release/sealtrail-query-api \
        target/release/sealtrail-sealer

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Sealtrail" \
    org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin sealtrail \
    && install -d -o 10001 -g 10001 /var/lib/sealtrail
# the certificate authorities that clients trust where no ca_file is set; the slim image has none
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=builder \
    /out/sealtrail \
    /out/sealtrail-gateway \
    /out/sealtrail-processor \
    /out/sealtrail-query-api \
    /out/sealtrail-sealer \
    /usr/local/bin/
COPY deploy/docker/http-ok /usr/local/bin/http-ok
COPY LICENSE /usr/share/doc/sealtrail/LICENSE
USER 10001:10001
CMD ["sealtrail", "--help"]
