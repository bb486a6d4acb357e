# raeh - self-hosted, real-time biosignal ingest
#
#   make              build everything into build/ (release flavour), dashboard and all
#   make run          install what is needed, build, run the whole stack until Ctrl-C
#   make demo         the same with a demo account, a simulated watch and live insights
#   make test         every test: unit, integration, fuzz smoke, simulation, lint
#   make unit         the C tests beside the code (ASan + UBSan)
#   make integration  real processes, real clients
#   make fuzz         the fuzz targets for longer (FUZZ_S seconds each)
#   make sim          the deterministic simulation (SCHEDULES, SEED)
#   make bench        print figures: throughput, cost, latency
#   make bench-dsp    cost of the analysis by mix of sensors
#   make accuracy     score the bundled recordings, draw the plots of docs/accuracy.md
#   make lint         clang-format, clang-tidy, the layer rule
#   make fmt          format the C code
#   make test-compose the stack of docker-compose.yml in an engine of its own (root)
#   make test-debian13  build and test in a Debian 13 root of its own (root)
#   make install      the programs into DESTDIR, PREFIX
#   make deps         install the Debian packages that all of this needs
#   make clean        remove build/
#
# A folder in services/ is a service; x_test.c is a test program, x_fuzz.c a fuzz target,
# integration/x.c a program that may link every service. Nothing is listed by hand.

CC       ?= cc
PYTHON   ?= /usr/bin/python3
B        ?= build
FUZZ_S   ?= 60
SCHEDULES ?= 10000
PREFIX   ?= /usr/local

CPPFLAGS += -I. -I$(B)/proto -D_GNU_SOURCE -MMD -MP
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-format-truncation -Werror
CFLAGS   += -std=gnu11 -g $(WARNINGS) -fno-omit-frame-pointer
ifdef FUZZ
CFLAGS   += -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
            -fprofile-instr-generate -fcoverage-mapping -Wno-error -Wno-unknown-warning-option
else ifdef SAN
CFLAGS   += -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
else
CFLAGS   += -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
LDFLAGS  += -pie -Wl,-z,relro,-z,now
endif
LDFLAGS  += -Wl,--as-needed
LDLIBS    = -lwebsockets -lssl -lcrypto -lnng -lprotobuf-c -lrocksdb -lsodium -ljansson -lz \
            -lkissfft-float -lseccomp -lm -lpthread

services := $(notdir $(patsubst %/main.c,%,$(wildcard services/*/main.c)))
folders  := $(notdir $(wildcard services/*))
protos   := $(wildcard proto/*.proto)
proto_o  := $(patsubst proto/%.proto,$(B)/proto/%.pb-c.o,$(protos))
proto_h  := $(proto_o:.o=.h)
special  := %_test.c %_fuzz.c %/main.c
folder    = $(filter-out $(special),$(wildcard $(1)/*.c $(1)/*/*.c))
objects   = $(patsubst %.c,$(B)/%.o,$(call folder,$(1)))
tests    := $(wildcard common/*_test.c services/*/*_test.c services/*/*/*_test.c integration/*_test.c)
fuzzers  := $(wildcard common/*_fuzz.c services/*/*_fuzz.c services/*/*/*_fuzz.c)
programs := $(filter-out %_test.c,$(wildcard integration/*.c))
binary    = $(if $(filter cli,$(1)),raeh,raeh-$(1))
# "--start-group": a service's archive and common's may need each other's protobuf code.
archives  = -Wl,--start-group $(1) $(B)/common.a $(B)/proto.a -Wl,--end-group

simulated := $(patsubst %.c,$(B)/%.o,$(wildcard integration/sim/*.c))

installed := $(foreach s,$(services),$(B)/bin/$(call binary,$(s)))

all: $(B)/bin/integration/sim $(installed) \
     $(patsubst integration/%.c,$(B)/bin/integration/%,$(programs))

define service_rules
$(B)/services/$(1).a: $$(call objects,services/$(1))
	@rm -f $$@
	$$(AR) rcs $$@ $$^
$(B)/bin/$(call binary,$(1)): $(B)/services/$(1)/main.o $(B)/services/$(1).a $(B)/common.a $(B)/proto.a
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$< $$(call archives,$(B)/services/$(1).a) $$(LDLIBS)
endef
$(foreach s,$(folders),$(eval $(call service_rules,$(s))))

# The dashboard is built once, for every flavour, and becomes a part of the edge.
dashboard       := services/edge/dashboard
dashboard_files := $(shell find $(dashboard) \( -name node_modules -o -name dist \) -prune \
                     -o -type f ! -name README.md -print)
dashboard_npm   := $(dashboard)/node_modules/.package-lock.json
$(dashboard_npm): $(dashboard)/package-lock.json
	@cd $(<D) && npm ci --no-audit --no-fund && touch node_modules/.package-lock.json
build/dashboard/assets.c: services/edge/embed.mjs $(dashboard_files) | $(dashboard_npm)
	@mkdir -p $(@D)
	@cd $(dashboard) && npm run --silent build -- --outDir $(CURDIR)/$(@D)/dist --emptyOutDir
	@node services/edge/embed.mjs $(@D)/dist $@
$(B)/dashboard.o: build/dashboard/assets.c services/edge/assets.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CPPFLAGS) -c -o $@ $<
$(B)/services/edge.a: $(B)/dashboard.o

$(B)/common.a: $(call objects,common)
	@rm -f $@
	$(AR) rcs $@ $^
$(B)/proto.a: $(proto_o)
	@rm -f $@
	$(AR) rcs $@ $^
$(B)/proto/%.pb-c.h $(B)/proto/%.pb-c.c: proto/%.proto $(protos)
	@mkdir -p $(@D)
	protoc-c -Iproto --c_out=$(B)/proto $<
$(B)/proto/%.pb-c.o: $(B)/proto/%.pb-c.c $(proto_h)
	$(CC) $(filter-out $(WARNINGS),$(CFLAGS)) $(CPPFLAGS) -c -o $@ $<
$(B)/%.o: %.c | $(proto_h)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CPPFLAGS) -c -o $@ $<

# A test links its own folder, less main(), and common.
service_archive = $(if $(filter services/%,$(1)),$(B)/services/$(word 2,$(subst /, ,$(1))).a)
every_service   = $(foreach s,$(folders),$(B)/services/$(s).a)
.SECONDEXPANSION:
$(B)/common/%_test: $(B)/common/%_test.o $(B)/common.a $(B)/proto.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call archives,) $(LDLIBS) -lcriterion
$(B)/services/%_test: $(B)/services/%_test.o $$(call service_archive,services/%) $(B)/common.a $(B)/proto.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call archives,$(call service_archive,services/$*)) $(LDLIBS) -lcriterion
$(B)/integration/%_test: $(B)/integration/%_test.o $(every_service) $(B)/common.a $(B)/proto.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call archives,$(every_service)) $(LDLIBS) -lcriterion
# A program of several files keeps the others in a folder of its name.
$(B)/bin/integration/%: $(B)/integration/%.o $$(call objects,integration/%) $(every_service) $(B)/common.a $(B)/proto.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(call archives,$(every_service)) $(LDLIBS)

$(B)/bin/integration/nosync.so: integration/shim/nosync.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -shared -fPIC -o $@ $<

$(B)/%_fuzz: $(B)/%_fuzz.o $$(call service_archive,$$*) $(B)/common.a $(B)/proto.a
	$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(call archives,$(call service_archive,$*)) $(LDLIBS)

# Its own net and analysis come before the archives, so theirs are not taken.
$(B)/bin/integration/sim: $(simulated) $(every_service) $(B)/common.a $(B)/proto.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(simulated) $(call archives,$(every_service)) $(LDLIBS)

# Unless the caller has said how many at once.
parallel = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

deps:
	@./deps

run:
	@./deps build
	@$(MAKE) --no-print-directory $(parallel) all
	@exec $(B)/bin/raeh up

demo:
	@./deps build
	@$(MAKE) --no-print-directory $(parallel) all
	@exec $(B)/bin/raeh up --demo

unit:
	@$(MAKE) --no-print-directory $(parallel) B=build/san SAN=1 run-unit
run-unit: $(tests:%.c=$(B)/%)
	@integration/run-unit $(sort $^)

# TESTS chooses: TESTS="-k revoke -x"
node := $(patsubst %,integration/%/node_modules/.package-lock.json,node browser)
integration: $(node)
	@$(MAKE) --no-print-directory $(parallel) B=build/san SAN=1 all
	@$(PYTHON) integration/run-integration $(TESTS)
integration/%/node_modules/.package-lock.json: integration/%/package-lock.json
	@cd $(<D) && npm ci --no-audit --no-fund --ignore-scripts && touch node_modules/.package-lock.json

# Each target for FUZZ_S seconds; then how much of the parsers was reached.
fuzz:
	@$(MAKE) --no-print-directory $(parallel) B=build/fuzz CC=clang FUZZ=1 run-fuzz
run-fuzz: $(fuzzers:%.c=$(B)/%)
	@integration/run-fuzz $(B) $(FUZZ_S) $(sort $^)
fuzz-smoke:
	@$(MAKE) --no-print-directory fuzz FUZZ_S=8

# The simulation, then the faults that it must catch. SEED=1 SCHEDULES=1: one again.
sim:
	@$(MAKE) --no-print-directory $(parallel) $(B)/bin/integration/sim
	@$(B)/bin/integration/sim --schedules $(SCHEDULES) --jobs $(shell nproc) \
	  $(if $(SEED),--seed $(SEED))
	@$(if $(SEED),,integration/sim/plant.py $(B))

accuracy:
	@./deps python3-matplotlib
	@$(MAKE) --no-print-directory $(parallel) all
	@$(PYTHON) integration/accuracy.py --plots docs/accuracy
bench-dsp:
	@$(MAKE) --no-print-directory $(parallel) all
	@$(B)/bin/integration/bench_dsp

test: deps
	@$(PYTHON) integration/run_tests.py unit integration fuzz-smoke sim lint

# FIGURES chooses: FIGURES="frames idle"
bench:
	@$(MAKE) --no-print-directory $(parallel) all $(B)/bin/integration/nosync.so
	@$(PYTHON) integration/bench.py $(FIGURES)

# Apart from `make test`: they need root, the network for packages, and minutes.
test-compose:
	@./deps containers
	@$(MAKE) --no-print-directory $(parallel) $(installed)
	@$(PYTHON) -m pytest integration/compose $(TESTS)
test-debian13:
	@integration/debian13

install: $(installed)
	install -D -t $(DESTDIR)$(PREFIX)/bin $^

lint: compile_commands.json
	@integration/lint $(sources)
fmt:
	@clang-format -i $(sources) $(headers)
sources := $(sort $(wildcard common/*.c services/*/*.c services/*/*/*.c integration/*.c integration/*/*.c))
headers := $(sort $(wildcard common/*.h services/*/*.h services/*/*/*.h integration/*.h integration/*/*.h))
compile_commands.json: Makefile $(sources) $(proto_h)
	@printf '%s\n' $(sources) | sed 's|.*|{ "directory": "$(CURDIR)", "file": "&", "command": \
	  "$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(filter-out -Werror,$(CFLAGS)) -Wno-unknown-warning-option -c &" },|; 1s|^|[ |; $$s|,$$| ]|' >$@

clean:
	rm -rf build compile_commands.json integration/node/node_modules integration/browser/node_modules \
	  $(dashboard)/node_modules

.PHONY: accuracy bench-dsp all deps install test-compose test-debian13 run demo test unit run-unit integration fuzz run-fuzz fuzz-smoke sim bench lint fmt clean
.SECONDARY:
-include $(shell find $(addprefix $(B)/,common services proto integration) -name '*.d' 2>/dev/null)
