# docker build -t pipemgr -f deploy/pipemgr.Dockerfile .
# docker run -v /var/run/docker.sock:/var/run/docker.sock:ro -v $HOME/.ssh/id_ed25519:/key:ro \
#   -v pipemgr:/state pipemgr --relay relay.example.com:2222
#
# Another address for /health comes as -e PIPEMGR_HEALTH=:8081, for the health check
# reads that as well.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ENV CGO_ENABLED=0
RUN go build -trimpath -ldflags='-s -w' -o /out/pipemgr ./cmd/pipemgr
# Under this name it understands the health check that compose files for such
# images have: curl -f http://localhost:8080/health
RUN mkdir -p /out/usr/bin /out/state && ln -s /pipemgr /out/usr/bin/curl && chmod 0700 /out/state

# Nothing but the binary: whoever is in this container has Docker's socket, and so the
# machine.
FROM scratch
COPY --from=build /out/ /
# root, for Docker's socket is root's, and the key mostly somebody's with mode 0600.
USER 0:0
ENV PIPEMGR_RELAY=patchwork:2222
ENV PIPEMGR_STATE_DIR=/state
VOLUME /state
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s CMD ["/pipemgr", "healthcheck"]
# Stop it with a time longer than --flush-timeout (5 s), as docker stop does.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/pipemgr"]
