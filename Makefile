# make help lists the targets. Variables: STORE (a prepared store), MOTION_STORE (that of mmp and cmmm, if another),
# TEXT_STORE (lexmlm's), RUNS (folder of runs), SIZE (tiny, small, paper), TEXT and VIT (a pretrained language model's
# and vision transformer's name or folder), SEED, FIT (further options of `motionlang fit`, for every stage that is
# built), FIT_lexcmlp (for that stage), RAW (the table's data), TABLE (its further options).
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
SIZE ?= small
SEED ?= 0
STORE ?=
MOTION_STORE ?= $(STORE)
TEXT_STORE ?= $(STORE)
TEXT ?=
VIT ?=
FIT ?=
DEMO ?= demo
RAW ?=
TABLE ?=

# in a checkout the targets install into $(VENV) first; beside an installed wheel (`motionlang init`) there is nothing to do
INSTALLED := $(if $(wildcard pyproject.toml),$(VENV)/.installed)
export PATH := $(abspath $(VENV))/bin:$(PATH)
export TOKENIZERS_PARALLELISM := false

$(if $(wildcard configs/$(SIZE)/run.yaml),,$(error SIZE=$(SIZE): say tiny, small or paper))

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all check pipeline mmp cmmm lexmlm lexmmm lexcmlp codebook cstar tmr tmrlexical dense denselexical maxsim table
.SECONDARY:
.DELETE_ON_ERROR:

help:  ## list the targets
	@grep -hE '^[a-z/%$$()A-Z_-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([^:]+):.*## */  \1\t/' | expand -t 16
	@echo "  variables: STORE=$(STORE) RUNS=$(RUNS) SIZE=$(SIZE) (tiny, small, paper) SEED=$(SEED)"
	@echo "             MOTION_STORE TEXT_STORE TEXT VIT FIT FIT_lexcmlp ...: see the Makefile's first lines"

install: $(INSTALLED)  ## install into $(VENV)
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

test: $(INSTALLED)  ## the tests without the slow ones and those on real data
	pytest -q -n auto --dist loadfile -m "not slow and not real"

test-all: $(INSTALLED)  ## the slow tests and those on real data, which skip where it is absent
	pytest -q -n auto --dist loadfile -m "slow or real"

check: $(INSTALLED)  ## format, lint, types and tests, as CI runs them
	ruff format --check .
	ruff check .
	mypy
	$(MAKE) test

# ---- the chain: one file target per checkpoint; an interrupted one goes on where it stopped ---------------------------

pipeline: $(RUNS)/codebook/best.ckpt  ## the whole chain on STORE: mmp cmmm lexmlm lexmmm lexcmlp codebook
mmp cmmm lexmlm lexmmm lexcmlp codebook cstar tmr tmrlexical dense denselexical maxsim: %: $(RUNS)/%/best.ckpt
mmp:  ## masked motion prediction (MoLang)
cmmm:  ## contrastive masked motion modelling (LexMotion)
lexmlm:  ## lexical masked language modelling (LexMotion)
lexmmm:  ## lexical masked motion modelling (LexMotion)
lexcmlp:  ## lexical contrastive motion-language pretraining (LexMotion)
codebook:  ## shared codebook (MSCode)
cstar:  ## contrast and reconstruction of pairs, after mmp (MoLang)
tmr:  ## a variational latent space for motions and sentences (TMR), a baseline
tmrlexical:  ## TMR with a raw lexical head, a baseline
dense:  ## one vector per motion and sentence (MotionPatches), a baseline
denselexical:  ## dense with a raw lexical head, a baseline
maxsim:  ## late interaction of words and motion patches (MotionColBert)

# overlays of a size: a stage takes the fragments of the parts that it has, then its own file where there is one;
# a model that TEXT or VIT names takes the place of its fragment
parts_mmp := run motion
parts_cmmm := run motion
parts_lexmlm := run text
parts_lexmmm := run motion text
parts_lexcmlp := run motion text
parts_codebook := run motion text
parts_cstar := run motion text
parts_tmr := run text trained_text
parts_tmrlexical := run text trained_text tmr
parts_maxsim := run image text
parts_dense := run image text
parts_denselexical := run image text dense
named := $(if $(TEXT),text trained_text) $(if $(VIT),image)
overlays = $(wildcard $(foreach part,$(filter-out $(named),$(parts_$*)) $*,configs/$(SIZE)/$(part).yaml))
name_text := --model.init_args.text.init_args.name=$(TEXT)
name_image := --model.init_args.motion.init_args.vit.init_args.name=$(VIT)
names = $(foreach part,$(filter $(named),$(parts_$*)),$(name_$(part)))

# a run that was stopped has last.ckpt and no best.ckpt yet
define fit
	motionlang fit --config $< $(addprefix --config ,$(overlays)) --data.store $(1) --runs $(RUNS) \
	  --seed_everything $(SEED) $(names) $(FIT) $(FIT_$*) \
	  $$(test -f $(RUNS)/$*/last.ckpt -a ! -f $(RUNS)/$*/best.ckpt && echo --ckpt_path last)
endef

need_store = $(if $(1),,$(error say which store: make $@ STORE=FOLDER (made by `motionlang prepare`)))

$(RUNS)/mmp/best.ckpt: $(RUNS)/%/best.ckpt: stages/%.yaml | $(INSTALLED)
	$(call need_store,$(MOTION_STORE))$(call fit,$(MOTION_STORE))
$(RUNS)/cmmm/best.ckpt: $(RUNS)/%/best.ckpt: stages/%.yaml $(RUNS)/mmp/best.ckpt | $(INSTALLED)
	$(call need_store,$(MOTION_STORE))$(call fit,$(MOTION_STORE))
$(RUNS)/lexmlm/best.ckpt: $(RUNS)/%/best.ckpt: stages/%.yaml | $(INSTALLED)
	$(call need_store,$(TEXT_STORE))$(call fit,$(TEXT_STORE))
$(RUNS)/lexmmm/best.ckpt: $(RUNS)/%/best.ckpt: stages/%.yaml $(RUNS)/cmmm/best.ckpt $(RUNS)/lexmlm/best.ckpt | $(INSTALLED)
	$(call need_store,$(STORE))$(call fit,$(STORE))
$(RUNS)/lexcmlp/best.ckpt: $(RUNS)/%/best.ckpt: stages/%.yaml $(RUNS)/lexmmm/best.ckpt $(RUNS)/lexmlm/best.ckpt | $(INSTALLED)
	$(call need_store,$(STORE))$(call fit,$(STORE))
$(RUNS)/codebook/best.ckpt: $(RUNS)/%/best.ckpt: stages/%.yaml $(RUNS)/lexcmlp/best.ckpt | $(INSTALLED)
	$(call need_store,$(STORE))$(call fit,$(STORE))
$(RUNS)/cstar/best.ckpt: $(RUNS)/%/best.ckpt: stages/%.yaml $(RUNS)/mmp/best.ckpt | $(INSTALLED)
	$(call need_store,$(STORE))$(call fit,$(STORE))
# their language model stays frozen: the published one's is pretrained, a small one's is LexMLM's
$(RUNS)/tmr/best.ckpt $(RUNS)/tmrlexical/best.ckpt: $(if $(TEXT)$(filter paper,$(SIZE)),,$(RUNS)/lexmlm/best.ckpt)
$(RUNS)/tmr/best.ckpt $(RUNS)/tmrlexical/best.ckpt: $(RUNS)/%/best.ckpt: stages/%.yaml | $(INSTALLED)
	$(call need_store,$(STORE))$(call fit,$(STORE))
$(RUNS)/dense/best.ckpt $(RUNS)/denselexical/best.ckpt $(RUNS)/maxsim/best.ckpt: $(RUNS)/%/best.ckpt: stages/%.yaml | $(INSTALLED)
	$(call need_store,$(STORE))$(call fit,$(STORE))

# ---- the evidence: goes on where it stopped --------------------------------------------------------------------------

table: $(INSTALLED)  ## the table of docs/LOG.md: make table RAW=FOLDER
	$(if $(RAW),,$(error say which data: make table RAW=FOLDER, see benchmarks/table.py))\
	  python benchmarks/table.py $(RAW) --runs $(RUNS)/table $(TABLE)

# ---- the demo --------------------------------------------------------------------------------------------------------

$(DEMO)/data/humanml3d/meta.json: | $(INSTALLED)
	motionlang prepare synthetic --out $(DEMO)/data --seed $(SEED)

demo: $(INSTALLED) $(DEMO)/data/humanml3d/meta.json  ## the whole chain on embedded synthetic data, with tables and pictures
	$(MAKE) --no-print-directory pipeline STORE=$(DEMO)/data/humanml3d RUNS=$(DEMO)/runs SIZE=tiny
	motionlang evaluate --checkpoint $(DEMO)/runs/lexcmlp/best.ckpt --store $(DEMO)/data/humanml3d --json $(DEMO)/lexcmlp.json
	motionlang evaluate --checkpoint $(DEMO)/runs/codebook/best.ckpt --store $(DEMO)/data/humanml3d \
	  --json $(DEMO)/codebook.json --plots $(DEMO)
	motionlang explain --checkpoint $(DEMO)/runs/lexcmlp/best.ckpt --store $(DEMO)/data/humanml3d --html $(DEMO)/motions.html
	motionlang lineage $(DEMO)/runs/codebook/best.ckpt
	@echo "pictures: $(DEMO)/*.png $(DEMO)/motions.html"
