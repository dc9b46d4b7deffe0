"""The API that OpenAI's clients speak: forms, answers, streams, errors and names of models.

A request becomes an ordinary job of the desk and waits for it, so nothing is lost when this process
ends: whoever asks again joins what was made the first time.
"""
