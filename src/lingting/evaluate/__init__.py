"""Error rates and speed against a manifest, beside a peer in the same run."""
