"""Lingting 聆听: speech to text on your own machines."""

__version__ = "0.1.0"
