"""Tests of edgegw.testing, as far as it is more than a few lines."""
