# Sealtrail's programs in one image. Not run where it was written: no container engine was at hand.
FROM rust:1.95-bookworm AS builder
WORKDIR /src
COPY . .
# the whole workspace: cargo unifies features, so a part built alone is another build
RUN cargo build --release --workspace --bins --locked

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin sealtrail
COPY --from=builder \
    /src/target/release/sealtrail \
    /src/target/release/sealtrail-gateway \
    /src/target/release/sealtrail-processor \
    /src/target/release/sealtrail-query-api \
    /usr/local/bin/
COPY LICENSE /usr/share/doc/sealtrail/LICENSE
USER sealtrail
CMD ["sealtrail", "--help"]
