# `make help` lists the tasks. Two of them do everything: `make run` and `make test`.

SHELL    := /bin/sh
GO       ?= $(shell command -v go || { test -x /usr/local/go/bin/go && echo /usr/local/go/bin/go; } || echo go)
PREFIX   ?= /usr/local
DESTDIR  ?=
LINKS    ?= 0
UNITS    ?= 0
PYTHON   ?= 0
PYTHONDIR ?=
# What LINKS=1 installs beside upkeep. Helpers of another package that are there already are left alone.
NAMES    := supervisord supervisorctl
HELPERS  := echo_supervisord_conf pidproxy memmon httpok crashmail crashmailbatch fatalmailbatch crashsms usrsvc usrsvcd
FUZZTIME ?= 3s
# make chaos: faults per role, which roles, how many programs, another system to show beside it.
N        ?= 12
ROLE     ?= manager,keeper,spawner,all,upgrade
PROGRAMS ?= 40
PEER     ?=
BIN      := bin
TOOLS    := $(CURDIR)/$(BIN)/tools

# The product never uses C; a build needs no compiler but Go's.
BUILD    := CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w"
# Version stamping must not fail where git is missing or does not trust the directory.
VCS      := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo auto || echo false)
export GOFLAGS := $(GOFLAGS) -buildvcs=$(VCS)
export GO FUZZTIME

# The pair of commands that run, bench and conformance drive; override to try another build.
SUPERVISORD   ?= $(CURDIR)/$(BIN)/supervisord
SUPERVISORCTL ?= $(CURDIR)/$(BIN)/supervisorctl
# The original, for comparisons, when it is installed.
REF_D    ?= /usr/bin/supervisord
REF_CTL  ?= /usr/bin/supervisorctl
export SUPERVISORD SUPERVISORCTL REF_D REF_CTL

STEPS := test-deps fmt vet lint cross unit fuzz readme webstack conformance chaos-short wine fresh-root

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help run test check build man go-version test-deps tools fmt vet lint cross unit test-short fuzz readme webstack \
	fresh-root boot-real wine conformance bench chaos chaos-build chaos-short install uninstall clean
.DEFAULT_GOAL := help

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: build ## build, run examples/quickstart, show its status, shut it down
	@scripts/quickstart.sh "$(SUPERVISORD)" "$(SUPERVISORCTL)"

test: go-version ## everything that must pass, step by step (root: installs what the tests need)
	@scripts/steps.sh $(STEPS)

check: go-version ## the fast checks: format, vet, lint, short tests
	@scripts/steps.sh fmt vet lint test-short

build: go-version ## build bin/upkeep and its links supervisord and supervisorctl
	@mkdir -p $(BIN)
	$(BUILD) -o $(BIN)/upkeep ./cmd/upkeep
	@ln -sf upkeep $(BIN)/supervisord
	@ln -sf upkeep $(BIN)/supervisorctl

man: build ## write the pages of the manual to bin/man
	@rm -rf $(BIN)/man
	@$(BIN)/upkeep man $(BIN)/man

go-version:
	@scripts/go-version.sh

test-deps: ## install the packages that the tests use (Debian, root)
	@scripts/test-deps.sh

tools: go-version
	@mkdir -p $(TOOLS)
	@cd tools && GOBIN=$(TOOLS) $(GO) install tool

fmt: tools ## fail on files that are not formatted by gofumpt
	@out=$$($(TOOLS)/gofumpt -l $$($(GO) list -f '{{.Dir}}' ./...)); \
	if [ -n "$$out" ]; then echo "not formatted (run bin/tools/gofumpt -w FILE):"; echo "$$out"; exit 1; fi

vet: go-version ## go vet
	$(GO) vet ./...

lint: tools ## staticcheck
	$(TOOLS)/staticcheck ./...

cross: go-version ## build and vet for the other systems
	@for os in darwin freebsd windows; do \
		echo "$$os"; \
		CGO_ENABLED=0 GOOS=$$os $(GO) vet ./... && \
		CGO_ENABLED=0 GOOS=$$os $(GO) build -o /dev/null ./cmd/upkeep || exit 1; \
	done

unit: build ## unit tests with the race detector, without cached results
	@if command -v $$($(GO) env CC) >/dev/null 2>&1; then \
		CGO_ENABLED=1 scripts/unit.sh -race -count=1 -timeout 15m; \
	else \
		echo "no C compiler: the race detector is left out"; \
		CGO_ENABLED=0 scripts/unit.sh -count=1 -timeout 15m; \
	fi

test-short: build ## unit tests, the short ones, without the race detector
	CGO_ENABLED=0 scripts/unit.sh -short -timeout 10m

fuzz: go-version ## every fuzz target for FUZZTIME (3s) each, two at a time
	@scripts/fuzz.sh "$(FUZZTIME)"

readme: build ## run the README's first command and check what it shows
	@scripts/readme.sh

webstack: build ## run examples/webstack: nginx, redis and an application
	@if PATH=$$PATH:/usr/sbin command -v nginx >/dev/null && command -v redis-server >/dev/null; then \
		examples/webstack/run.sh; \
	else \
		echo "SKIP webstack: nginx or redis-server is not installed"; \
	fi

fresh-root: go-version ## both commands on a minimal Debian in a chroot (root, mmdebstrap)
	@scripts/fresh-root.sh

boot-real: go-version ## start with systemd, SysV, OpenRC and cron on machines of their own (root, mmdebstrap)
	@scripts/boot-real.sh

wine: go-version ## the tests of what is special on Windows, under Wine (root, mmdebstrap; ARGS=packages)
	@scripts/wine.sh $(ARGS) || { echo "once more:"; scripts/wine.sh $(ARGS); }

conformance: build ## compare with the installed original, scenario by scenario
	@if [ ! -x $(REF_D) ] || [ ! -x $(REF_CTL) ]; then \
		echo "SKIP conformance: the original ($(REF_D), $(REF_CTL)) is not installed"; \
	else \
		set -x; \
		$(GO) run ./conformance -ref-d $(REF_D) -ref-ctl $(REF_CTL) -our-d $(SUPERVISORD) -our-ctl $(SUPERVISORCTL) $(ARGS) && \
		$(GO) run ./conformance/webstack -ref-d $(REF_D) -ref-ctl $(REF_CTL) -our-d $(SUPERVISORD) -our-ctl $(SUPERVISORCTL) \
			examples/webstack; \
	fi

bench: build ## measure against the installed original, some ten minutes (ARGS="-full": all sizes)
	@mkdir -p $(BIN)
	$(BUILD) -o $(BIN)/bench ./bench
	@scripts/bench.sh $(BIN)/bench $(ARGS)

chaos-build: build
	$(BUILD) -o $(BIN)/chaos ./chaos
	$(BUILD) -ldflags "-s -w -X github.com/upkeep-project/upkeep/internal/cli.Version=0.0.0-other" -o $(BIN)/upkeep-other ./cmd/upkeep

chaos: chaos-build ## kill the daemon's processes under load, judge by ledgers (N=12 ROLE=manager,… PROGRAMS=40 PEER=1 ARGS=)
	$(BIN)/chaos -daemon $(SUPERVISORD) -other $(BIN)/upkeep-other -role $(ROLE) -n $(N) -programs $(PROGRAMS) \
		$(if $(PEER),-peer $(REF_D)) $(ARGS)

chaos-short: chaos-build ## a small run of chaos, for every change
	@scripts/chaos-short.sh $(BIN)/chaos $(SUPERVISORD) $(BIN)/upkeep-other

install: build man ## install; DESTDIR, PREFIX, LINKS=1 the other names, UNITS=1 service files, PYTHON=1 Python modules
	install -D -m 0755 $(BIN)/upkeep $(DESTDIR)$(PREFIX)/bin/upkeep
	@for page in $(BIN)/man/*/*; do install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/$${page#$(BIN)/man/} || exit 1; done
	@if [ "$(LINKS)" = 1 ]; then \
		for name in $(NAMES); do ln -sfv upkeep $(DESTDIR)$(PREFIX)/bin/$$name; done; \
		for name in $(HELPERS); do \
			at=$(DESTDIR)$(PREFIX)/bin/$$name; \
			if [ -e $$at ] && [ "$$(readlink $$at)" != upkeep ]; then echo "left alone: $$at"; else ln -sfv upkeep $$at; fi; \
		done; \
	fi
	@if [ "$(UNITS)" = 1 ]; then \
		scripts/install-units.sh "$(DESTDIR)" "$(PREFIX)"; \
	fi
	@if [ "$(PYTHON)" = 1 ]; then scripts/install-python.sh install "$(DESTDIR)" "$(PYTHONDIR)"; fi

uninstall: ## remove what install put there; same DESTDIR and PREFIX
	@for link in $(NAMES) $(HELPERS); do \
		if [ "$$(readlink $(DESTDIR)$(PREFIX)/bin/$$link)" = upkeep ]; then rm -fv $(DESTDIR)$(PREFIX)/bin/$$link; fi; \
	done
	@if [ "$(PYTHON)" = 1 ]; then scripts/install-python.sh uninstall "$(DESTDIR)" "$(PYTHONDIR)"; fi
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/upkeep.1 $(DESTDIR)$(PREFIX)/share/man/man1/upkeep-*.1 $(DESTDIR)$(PREFIX)/share/man/man5/upkeep.conf.5
	rm -f $(DESTDIR)$(PREFIX)/bin/upkeep $(DESTDIR)/etc/systemd/system/supervisord.service $(DESTDIR)/etc/init.d/supervisord
	rm -f $(DESTDIR)/etc/systemd/system/upkeep@.service $(DESTDIR)/etc/systemd/system/usrsvcd@.service $(DESTDIR)/etc/systemd/user/usrsvcd.service
	@if [ -z "$(DESTDIR)" ] && command -v update-rc.d >/dev/null; then update-rc.d supervisord remove; fi

clean: ## remove what was built
	rm -rf $(BIN) dist out
