"""Tests of edgegw.config. `sample.py` is the model that they share; tests/golden/config holds what operators see."""
