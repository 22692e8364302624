"""Answers about containers and virtual machines in which every sentence can be checked."""

__version__ = "0.1.0"
