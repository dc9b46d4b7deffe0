"""What the recognisers on PyTorch share: checkpoints, features, encoder, devices, alignment."""
