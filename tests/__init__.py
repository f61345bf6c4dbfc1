"""Tests; the folders mirror edgegw."""
