# The server as an image: docker build --tag newsprint .
# A static binary in an image with nothing else in it: no shell, no user that could be root.

FROM rust:1.95-alpine AS build
# A C compiler and headers, for mimalloc, zstd and ring.
RUN apk add --no-cache build-base linux-headers
WORKDIR /src
COPY . .
# The commit that this is built from, for /version: --build-arg REVISION=$(git rev-parse HEAD)
ARG REVISION=unknown
ENV NEWSPRINT_REVISION=$REVISION
RUN cargo build --release --locked && \
    mkdir -p /rootfs/usr/bin /rootfs/var/lib/newsprint /rootfs/var/backups/newsprint && \
    cp target/release/newsprint /rootfs/usr/bin/

FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title="newsprint" \
      org.opencontainers.image.description="One gRPC call tells what a news article is about and whether it was seen before" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build --chown=65532:65532 /rootfs /
# By number, or Kubernetes cannot tell that it is not root.
USER 65532:65532
ENV NEWSPRINT_LISTEN=0.0.0.0:50051 \
    NEWSPRINT_HTTP=0.0.0.0:9464 \
    NEWSPRINT_DATA=/var/lib/newsprint/data \
    NEWSPRINT_BACKUPS=/var/backups/newsprint \
    NEWSPRINT_LOG_FORMAT=json
VOLUME ["/var/lib/newsprint", "/var/backups/newsprint"]
EXPOSE 50051 9464
# Opening a large store takes its time.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/usr/bin/newsprint", "health"]
ENTRYPOINT ["/usr/bin/newsprint"]
CMD ["serve"]
