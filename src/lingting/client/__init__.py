"""A service from Python: thin over HTTP, with the service's own values and errors.

>>> from lingting import Client
>>> with Client() as client:                     # the service of this machine and this user
...     job = client.submit(Path("talk.mp3"), options={"language": "zh"})
...     done = client.wait(job.id)
...     print(client.transcript(done.recording_id).text)

Whatever the service refuses is raised as the error it is there, by its code.
"""

from lingting.client.client import Action, Client
from lingting.client.connection import when_free, when_there
from lingting.client.sending import OnSent, digest_of

__all__ = ["Action", "Client", "OnSent", "digest_of", "when_free", "when_there"]
