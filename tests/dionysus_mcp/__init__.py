"""Tests of the memory server, its client and its administration, with real servers, files and the real model."""
