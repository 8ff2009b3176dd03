# Everything one does with this repository. 'make' alone runs the relay.

GO ?= go
BIN := bin/patchwork

# How long 'make fuzz' spends on each fuzz test.
FUZZTIME ?= 10s

.DEFAULT_GOAL := run
.PHONY: run build web test test-long format lint bench fuzz clean

# The relay with nothing configured: HTTP on :8080, SSH on :2222.
run: build
	$(BIN) start

# Static binaries that run on any Linux: the relay, which is its client too, and pipemgr.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/patchwork
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/pipemgr ./cmd/pipemgr

# The scripts and styles of the pages, which are kept built.
web:
	@.ci/web.sh

# All tests with the race detector, which needs a C compiler. The scripts use
# the machine's own clients; what is missing of them is installed first. All is
# compiled before anything runs, and one package runs at a time: each has servers and
# browsers of its own to keep two cores busy.
test:
	@.ci/apt.sh gcc:gcc ssh:openssh-client sshd:openssh-server curl:curl nginx:nginx-light openssl:openssl caddy:caddy haproxy:haproxy apache2:apache2-bin wget:wget promtool:prometheus chromium:chromium autossh:autossh node:nodejs npm:npm shellcheck:shellcheck \
		dockerd:docker.io busybox:busybox-static nsenter:util-linux fish:fish zsh:zsh aiosmtpd:python3-aiosmtpd /usr/lib/python3/dist-packages/paramiko:python3-paramiko
	@.ci/npm.sh
	@$(GO) test -race -run '^$$' ./... >/dev/null
	$(GO) test -race -p 1 -timeout 30m ./...

# Also what takes too long for every change.
test-long:
	PATCHWORK_LONG=1 $(GO) test -tags long -timeout 2h -count=1 ./...

# A second, before the minutes of 'make test'.
format:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted, run gofmt -w:"; echo "$$unformatted"; exit 1; }

# Format, vet, staticcheck, golangci-lint, known vulnerabilities.
lint: format
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) tool -modfile=tools/go.mod golangci-lint run ./...
	@.ci/vuln.sh

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

fuzz:
	@.ci/fuzz.sh $(FUZZTIME)

clean:
	rm -rf bin
