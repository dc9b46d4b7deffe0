"""Where somebody speaks, and clips of it that a recogniser can take.

``fsmn`` runs FSMN-VAD, ``decision`` turns its frames into spans, ``pack`` spans into clips, and
``speech`` does it all for one recording in bounded memory. onnxruntime is imported when the first
model is loaded.
"""
