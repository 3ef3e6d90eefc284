# The commands of the project. Everything runs in .venv, which is made when it is missing.

RUN = runs/quickstart
PHOTOS = runs/photos
SCENES = runs/scenes
BIN = .venv/bin
# The first of these that is new enough; another one: make PYTHON=/path/to/python
PYTHON = $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)

.PHONY: quickstart quickstart-photos quickstart-detection benchmark test test-all acceptance lint types format docs notebooks clean FORCE

# Searches, trains, evaluates and exports on the data set inside the package. Begun again, it goes on where it ended.
quickstart: $(RUN)/subnets.csv
	$(BIN)/python -m ofar_tf.export --run_dir=$(RUN) --only=all

$(RUN)/subnets.csv: $(RUN)/supernet.keras
	$(BIN)/python -m ofar_tf.evaluate --run_dir=$(RUN)

# The command itself knows whether the run is finished, or was begun with other settings.
$(RUN)/supernet.keras: .venv/installed FORCE
	$(BIN)/python -m ofar_tf.train --flagfile=experiments/fashion_mnist_mini.flagfile --run_dir=$(RUN)

# The same from pretrained weights, on three hundred photographs. They are downloaded, or lie where tensorflow-datasets
# has put them: make quickstart-photos DATA=DIR
quickstart-photos: $(PHOTOS)/subnets.csv
	$(BIN)/python -m ofar_tf.export --run_dir=$(PHOTOS) $(if $(DATA),--data_dir=$(DATA)) --only=all

$(PHOTOS)/subnets.csv: $(PHOTOS)/supernet.keras
	$(BIN)/python -m ofar_tf.evaluate --run_dir=$(PHOTOS) $(if $(DATA),--data_dir=$(DATA))

$(PHOTOS)/supernet.keras: .venv/installed FORCE
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[pretrained]'
	$(BIN)/python -m ofar_tf.train --flagfile=experiments/photos.flagfile --run_dir=$(PHOTOS) \
		$(if $(DATA),--data_dir=$(DATA),--download)

# The same for detection, on scenes made of the images inside the package.
quickstart-detection: $(SCENES)/subnets.csv
	$(BIN)/python -m ofar_tf.export --run_dir=$(SCENES) --only=all

$(SCENES)/subnets.csv: $(SCENES)/supernet.keras
	$(BIN)/python -m ofar_tf.evaluate --run_dir=$(SCENES)

$(SCENES)/supernet.keras: .venv/installed FORCE
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[detection]'
	$(BIN)/python -m ofar_tf.train --flagfile=experiments/fashion_mnist_scenes.flagfile --run_dir=$(SCENES)

# About eight minutes on two cores; `test-all` adds what repeats the same on larger networks, or more often.
test: PICKED = -m "not slow"
test test-all: .venv/installed
	TF_NUM_INTRAOP_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PICKED)

# The exported files in the library that phones use. It needs another absl than we, hence an environment of its own.
acceptance: .venv/installed .venv-mediapipe/installed
	OFAR_TF_MEDIAPIPE_PYTHON=.venv-mediapipe/bin/python $(BIN)/python -m pytest tests/family/test_mediapipe.py tests/family/test_mediapipe_detector.py

# The notebooks, tiny, from start to end, in a copy of their folder.
notebooks: .venv/installed
	rm -rf build/notebooks && mkdir -p build && cp -r notebooks build/notebooks
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=600 -p no:cacheprovider build/notebooks

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

# Ratios to the physical limit, in benchmarks/results/latest.json; about twenty minutes on two cores.
benchmark: .venv/installed
	$(BIN)/python -m benchmarks

# The site, in site/; first what documents show of the program is written anew.
docs: .venv/installed
	$(BIN)/python docs/refresh.py
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check 'zensical>=0.1,<0.2'
	$(BIN)/zensical build --clean

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Runs and the data in them stay.
clean:
	rm -rf .venv .venv-mediapipe build dist ofar_tf.egg-info .pytest_cache site .mypy_cache .ruff_cache .hypothesis

.venv/installed: pyproject.toml ofar_tf/_version.py
	@test -n "$(PYTHON)" || { echo "Expected Python 3.11, 3.12 or 3.13 as python3 (or make PYTHON=/path/to/python)." \
		"Received: $$(python3 --version 2>&1 || echo none)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Expected $(PYTHON) with its venv module" \
		"(on Debian and Ubuntu: apt install python3-venv). Received: a Python without it." >&2; exit 1; }
	@echo "Installing ofar_tf and TensorFlow into .venv; this takes a minute or more."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.venv-mediapipe/installed:
	@echo "Installing mediapipe into .venv-mediapipe; this takes half a minute."
	@$(PYTHON) -m venv .venv-mediapipe
	@.venv-mediapipe/bin/python -m pip install --quiet --quiet --disable-pip-version-check 'mediapipe>=1.2,<2'
	@.venv-mediapipe/bin/python -c 'from mediapipe.tasks.python import vision' || { echo "Expected the system libraries" \
		"of mediapipe (on Debian and Ubuntu: apt install libegl1 libgles2 libgl1 libglib2.0-0)." \
		"Received: the error above." >&2; exit 1; }
	@touch $@
