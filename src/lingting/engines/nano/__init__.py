"""Fun-ASR-Nano and Fun-ASR-MLT-Nano: a SAN-M encoder, an adaptor and Qwen3 that writes."""
