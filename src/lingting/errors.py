"""Every error this package raises on purpose.

::

    LingtingError
    ├─ RequestError            4xx  the caller can mend it
    │  ├─ AudioError           what was given cannot be read as speech audio
    │  │  ├─ AudioNotFound     audio.not_found
    │  │  ├─ AudioPathUnreadable audio.path_unreadable
    │  │  ├─ AudioEmpty        audio.empty
    │  │  ├─ AudioNotMedia     audio.not_media
    │  │  ├─ AudioNoTrack      audio.no_track
    │  │  ├─ AudioDamaged      audio.damaged
    │  │  ├─ AudioTooLong      audio.too_long
    │  │  ├─ AudioCrashes      audio.crashes
    │  │  └─ AudioInvalid      audio.invalid
    │  ├─ OptionUnknown        option.unknown
    │  ├─ OptionInvalid        option.invalid
    │  ├─ LanguageUnknown      language.unknown
    │  ├─ LanguageUnsupported  language.unsupported
    │  ├─ ModelUnknown         model.unknown
    │  ├─ ModelNotInstalled    model.not_installed
    │  ├─ ModelCannot          model.cannot
    │  ├─ ExtraMissing         install.extra_missing
    │  ├─ ManifestInvalid      manifest.invalid
    │  ├─ OutputUnwritable     output.unwritable
    │  ├─ RecordingNotFound    store.recording_not_found
    │  ├─ RecordingHeld        store.recording_held
    │  ├─ RevisionNotFound     store.revision_not_found
    │  ├─ RevisionConflict     store.revision_conflict
    │  ├─ GlossaryNotFound     store.glossary_not_found
    │  ├─ NoteNotFound         store.note_not_found
    │  ├─ NotesTooMany         store.too_many_notes
    │  ├─ ShareNotFound        store.share_not_found
    │  ├─ JobNotFound          job.not_found
    │  ├─ JobFinished          job.finished
    │  ├─ JobCancelled         job.cancelled
    │  ├─ BatchNotFound        batch.not_found
    │  ├─ RequestConflict      request.conflict
    │  ├─ StoreNotEmpty        store.not_empty
    │  ├─ BackupInvalid        backup.invalid
    │  ├─ BackupNotFound       backup.not_found
    │  ├─ BodyInvalid          request.body_invalid
    │  ├─ BodyIncomplete       request.body_incomplete
    │  ├─ BodyTooLarge         request.too_large
    │  ├─ BodyTooSlow          request.too_slow
    │  ├─ PathUnknown          request.path_unknown
    │  ├─ MethodUnknown        request.method_unknown
    │  ├─ RangeInvalid         request.range_invalid
    │  ├─ AddressRefused       address.refused
    │  ├─ AddressFailed        address.failed
    │  ├─ UploadNotFound       upload.not_found
    │  ├─ UploadGone           upload.gone
    │  ├─ UploadConflict       upload.conflict
    │  ├─ UploadDamaged        upload.checksum_mismatch
    │  ├─ UploadsTooMany       upload.too_many
    │  ├─ UploadProtocol       upload.protocol
    │  ├─ UploadType           upload.content_type
    │  ├─ WebhookNotFound      webhook.not_found
    │  ├─ SignInNeeded         access.sign_in_needed
    │  ├─ SignInRefused        access.sign_in_refused
    │  ├─ NotAllowed           access.not_allowed
    │  ├─ LinkSpent            access.link_spent
    │  ├─ LimitReached         limit.reached
    │  │  ├─ TooManyRequests   limit.requests
    │  │  ├─ TooManyTries      access.too_many_tries
    │  │  ├─ AudioQuotaSpent   limit.audio
    │  │  └─ StorageQuotaSpent limit.storage
    │  ├─ UserNotFound         access.user_not_found
    │  ├─ DepartmentNotFound   access.department_not_found
    │  ├─ KeyNotFound          access.key_not_found
    │  ├─ BindingRefused       service.binding_refused
    │  ├─ ServiceRunning       service.running
    │  └─ ServiceStopped       service.stopped
    ├─ BusyError               503  try again later
    │  ├─ ModelLocked          model.locked
    │  ├─ EngineBusy           engine.busy
    │  ├─ StoreBusy            store.busy
    │  └─ ProviderUnreachable  access.provider_unreachable
    └─ FaultError              500  ours, or the machine's
       ├─ EngineFailed         engine.failed
       ├─ EngineRefused        engine.refused
       ├─ EngineUnreachable    engine.unreachable
       ├─ SourceUnreachable    model.source_unreachable
       ├─ StoreUnreachable     store.unreachable
       ├─ StoreSchema          store.schema
       ├─ StoreDamaged         store.damaged
       ├─ ServiceUnreachable   service.unreachable
       └─ WeightsInvalid       model.weights_invalid

The sentence says what was given and what is allowed, the next step says what to do. Neither ever
holds transcript text, file names, hotwords or prompts: whoever shows an error knows the file and
puts its name in front. Codes are ``area.reason`` and never change once published.
"""

from __future__ import annotations

from typing import ClassVar


class LingtingError(Exception):
    """Base of all errors raised on purpose."""

    code: ClassVar[str] = "lingting.error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    default_next_step: ClassVar[str] = "Run again with --verbose and report the incident."
    param: str | None = None
    """The field of a request that it is about, where somebody knows."""

    def __init__(self, sentence: str, next_step: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.next_step = self.default_next_step if next_step is None else next_step

    def __str__(self) -> str:
        return f"{self.sentence} {self.next_step}".strip()

    def as_dict(self) -> dict[str, str]:
        """The shape every machine-readable output uses: ``code``, ``message``."""
        return {"code": self.code, "message": str(self)}


class RequestError(LingtingError):
    """The request cannot be served as given."""

    code = "request.invalid"
    status = 400
    default_next_step = "Change the request and try again."


class AudioError(RequestError):
    """The input cannot be read as speech audio."""

    code = "audio.error"
    status = 422
    default_next_step = "Give a recording that an ordinary player can play."


class AudioNotFound(AudioError):
    """Nothing is at the given path."""

    code = "audio.not_found"
    status = 404
    default_next_step = "Check the path."


class AudioPathUnreadable(AudioError):
    """The path is a directory, a pipe, a device, or may not be read."""

    code = "audio.path_unreadable"
    default_next_step = "Give a regular file that this user may read."


class AudioEmpty(AudioError):
    """The file or array holds no audio at all."""

    code = "audio.empty"
    default_next_step = "Record or copy it again."


class AudioNotMedia(AudioError):
    """The bytes are no media container we can open."""

    code = "audio.not_media"


class AudioNoTrack(AudioError):
    """A media file without an audio track."""

    code = "audio.no_track"
    default_next_step = "Give a file that has sound."


class AudioDamaged(AudioError):
    """Too much of the file cannot be decoded."""

    code = "audio.damaged"
    default_next_step = "Copy it again from its source; a transfer probably broke."


class AudioTooLong(AudioError):
    """Longer than the configured limit."""

    code = "audio.too_long"
    status = 413
    default_next_step = "Split it, or raise LINGTING_MAX_DURATION_S."


class AudioCrashes(AudioError):
    """Reading the file ended or stopped the process that read it, more than once."""

    code = "audio.crashes"
    default_next_step = "Convert it with another program first, to WAV or FLAC."


class AudioInvalid(AudioError):
    """An array whose shape, type or values are no audio."""

    code = "audio.invalid"
    default_next_step = "Give float samples in [-1, 1] or int16 samples, as [n] or [channels, n]."


class OptionUnknown(RequestError):
    """An option nobody knows: a misspelt name is never ignored."""

    code = "option.unknown"


class OptionInvalid(RequestError):
    """A known option with a value outside its range."""

    code = "option.invalid"


class LanguageUnknown(RequestError):
    """Not a language name in Chinese, English or ISO codes."""

    code = "language.unknown"
    default_next_step = "Use an ISO code such as zh, an English name or a Chinese name."


class LanguageUnsupported(RequestError):
    """A language this model does not recognise."""

    code = "language.unsupported"
    default_next_step = "Choose another model with --model, or leave the language out."


class ModelUnknown(RequestError):
    """Not in the catalogue and not a model folder."""

    code = "model.unknown"
    status = 404
    default_next_step = "See `lingting models list`."


class ModelNotInstalled(RequestError):
    """In the catalogue, but its files are not on this machine."""

    code = "model.not_installed"
    status = 409
    default_next_step = "Run `lingting models pull` with its name."


class ModelCannot(RequestError):
    """Something that no model which is here can do."""

    code = "model.cannot"
    default_next_step = "Ask without it."


class ExtraMissing(RequestError):
    """An optional package is needed; the sentence names the extra to install."""

    code = "install.extra_missing"
    status = 409


class ManifestInvalid(RequestError):
    """An evaluation manifest that cannot be used."""

    code = "manifest.invalid"


class OutputUnwritable(RequestError):
    """The result cannot be written where it was asked for."""

    code = "output.unwritable"
    default_next_step = "Choose another folder with --output, or free some space."


class RecordingNotFound(RequestError):
    """The history holds no recording with this id."""

    code = "store.recording_not_found"
    status = 404
    default_next_step = "See `lingting history list`, with --deleted for what was deleted."


class RecordingHeld(RequestError):
    """A legal hold keeps the recording from being deleted or purged, and its notes as they are."""

    code = "store.recording_held"
    status = 409
    default_next_step = "It can go when the hold is released: `lingting history release`."


class RevisionNotFound(RequestError):
    """The recording's transcript has no such revision."""

    code = "store.revision_not_found"
    status = 404
    default_next_step = "See `lingting history show` with the recording's id and --revisions."


class RevisionConflict(RequestError):
    """Somebody else changed the transcript, glossary or note since it was read."""

    code = "store.revision_conflict"
    status = 409
    default_next_step = "Read the transcript again and make the change there."


class GlossaryNotFound(RequestError):
    """There is no glossary with this name."""

    code = "store.glossary_not_found"
    status = 404
    default_next_step = "See `lingting glossary list` for those there are."


class NoteNotFound(RequestError):
    """The recording has no note with this id."""

    code = "store.note_not_found"
    status = 404
    default_next_step = "See `lingting history note` with the recording's id for those there are."


class ShareNotFound(RequestError):
    """The recording is not shared by this id."""

    code = "store.share_not_found"
    status = 404
    default_next_step = "See `lingting history share` with the recording's id for those there are."


class NotesTooMany(RequestError):
    """The recording has as many notes as one can have."""

    code = "store.too_many_notes"
    status = 409
    default_next_step = "Remove some of them, or add to one that is there."


class JobNotFound(RequestError):
    """There is no job with this id."""

    code = "job.not_found"
    status = 404
    default_next_step = "See `lingting jobs list`."


class JobFinished(RequestError):
    """What was asked of a job is only possible before it ends, or only after."""

    code = "job.finished"
    status = 409
    default_next_step = "See `lingting jobs show` with its id for its state."


class JobCancelled(RequestError):
    """Somebody cancelled the job while its text was waited for."""

    code = "job.cancelled"
    status = 410
    default_next_step = "Send the recording again if its text is still wanted."


class BatchNotFound(RequestError):
    """There is no batch with this id."""

    code = "batch.not_found"
    status = 404
    default_next_step = "See `lingting jobs list`."


class RequestConflict(RequestError):
    """An idempotency key was used before, for another request."""

    code = "request.conflict"
    status = 409
    default_next_step = "Give another key, or the same request."


class StoreNotEmpty(RequestError):
    """A restore would take the place of recordings that are there."""

    code = "store.not_empty"
    status = 409
    default_next_step = "Restore into another LINGTING_DATA_DIR, or give --replace."


class BackupInvalid(RequestError):
    """The file is no backup of ours, is cut off, or does not match its own digests."""

    code = "backup.invalid"
    status = 422
    default_next_step = "Use another backup; nothing was changed."


class BackupNotFound(RequestError):
    """No backup of this name is in the folder of the service."""

    code = "backup.not_found"
    status = 404
    default_next_step = "GET /api/v1/backups lists those there are."


class BodyInvalid(RequestError):
    """A body that is no JSON, form or upload of the kind the path takes."""

    code = "request.body_invalid"


class BodyIncomplete(RequestError):
    """The body ended early, or is not the one whose digest was announced."""

    code = "request.body_incomplete"
    default_next_step = "Send it again."


class BodyTooLarge(RequestError):
    """The body, or one file in it, is larger than the limit."""

    code = "request.too_large"
    status = 413
    default_next_step = "Send less, or let the operator raise LINGTING_MAX_UPLOAD_BYTES."


class BodyTooSlow(RequestError):
    """The body came too slowly, or stopped coming."""

    code = "request.too_slow"
    status = 408
    default_next_step = "Check the connection, then send it again."


class PathUnknown(RequestError):
    """Nothing is at this address of the service."""

    code = "request.path_unknown"
    status = 404
    default_next_step = "See docs/api.md, or /api/v1/openapi.json of the service."


class MethodUnknown(RequestError):
    """The address exists, but not with this method."""

    code = "request.method_unknown"
    status = 405
    default_next_step = "See docs/api.md, or /api/v1/openapi.json of the service."


class RangeInvalid(RequestError):
    """The part of the audio that was asked for does not exist."""

    code = "request.range_invalid"
    status = 416
    default_next_step = "Ask for bytes inside the recording."


class AddressRefused(RequestError):
    """An address that this service does not ask: wrong form, host, port, or an internal one."""

    code = "address.refused"
    status = 403
    default_next_step = "Name a public https address, or ask the operator; see docs/uploads.md."


class AddressFailed(RequestError):
    """An address that may be asked does not answer as it should."""

    code = "address.failed"
    status = 422
    default_next_step = "Check the address, or send the file itself."


class UploadNotFound(RequestError):
    """There is no upload with this id."""

    code = "upload.not_found"
    status = 404
    default_next_step = "Begin a new upload."


class UploadGone(RequestError):
    """An upload that was ended, refused at its end, or too old."""

    code = "upload.gone"
    status = 410
    default_next_step = "Begin a new upload."


class UploadConflict(RequestError):
    """The piece does not begin where the upload has come to."""

    code = "upload.conflict"
    status = 409
    default_next_step = "Ask with HEAD where to go on."


class UploadDamaged(RequestError):
    """A piece is not the one whose checksum was sent with it; it was thrown away."""

    code = "upload.checksum_mismatch"
    status = 460
    default_next_step = "Send the piece again."


class UploadsTooMany(RequestError):
    """This user has too many unfinished uploads."""

    code = "upload.too_many"
    status = 429
    default_next_step = "Finish or end some of them, or wait until they are too old."


class UploadProtocol(RequestError):
    """The request speaks another version of the protocol of resumable uploads."""

    code = "upload.protocol"
    status = 412
    default_next_step = "Send `Tus-Resumable: 1.0.0`."


class UploadType(RequestError):
    """A piece of an upload that is not announced as one."""

    code = "upload.content_type"
    status = 415
    default_next_step = "Send `Content-Type: application/offset+octet-stream`."


class WebhookNotFound(RequestError):
    """There is no webhook, or no delivery, with this id."""

    code = "webhook.not_found"
    status = 404
    default_next_step = "See `lingting webhook list`."


class SignInNeeded(RequestError):
    """Neither a key nor a session came with the request, or it is not valid any more."""

    code = "access.sign_in_needed"
    status = 401
    default_next_step = "Send `Authorization: Bearer` with a key of `lingting key new`, or sign in."


class SignInRefused(RequestError):
    """User and password do not belong together."""

    code = "access.sign_in_refused"
    status = 401
    default_next_step = "Try again, or make a new link with `lingting key link`."


class NotAllowed(RequestError):
    """Signed in, but not for this."""

    code = "access.not_allowed"
    status = 403
    default_next_step = "Use a key with the scope that is named."


class LinkSpent(RequestError):
    """A one-time link that was used, is too old, or never existed."""

    code = "access.link_spent"
    status = 410
    default_next_step = "Make a new one with `lingting key link`."


class LimitReached(RequestError):
    """Somebody has taken as much as they may for now."""

    code = "limit.reached"
    status = 429
    default_next_step = "Wait, then try again."

    def __init__(
        self, sentence: str, next_step: str | None = None, *, retry_after_s: float = 30.0
    ) -> None:
        super().__init__(sentence, next_step)
        self.retry_after_s = retry_after_s


class TooManyRequests(LimitReached):
    """More requests in a minute than the user or the key may send."""

    code = "limit.requests"


class TooManyTries(LimitReached):
    """Too many failed sign-ins in a row."""

    code = "access.too_many_tries"


class AudioQuotaSpent(LimitReached):
    """As much audio was recognised today as the user may give in a day."""

    code = "limit.audio"
    default_next_step = "Go on tomorrow (UTC), or ask an administrator for more."


class StorageQuotaSpent(LimitReached):
    """The user keeps as much audio as they may."""

    code = "limit.storage"
    default_next_step = "Delete and purge recordings, or ask an administrator for more."


class UserNotFound(RequestError):
    """There is no such user, or none that is seen."""

    code = "access.user_not_found"
    status = 404
    default_next_step = "See `lingting user list`."


class DepartmentNotFound(RequestError):
    """There is no such department, or none that is seen."""

    code = "access.department_not_found"
    status = 404
    default_next_step = "See `lingting department list`."


class KeyNotFound(RequestError):
    """No key has this id."""

    code = "access.key_not_found"
    status = 404
    default_next_step = "See `lingting key list`."


class BindingRefused(RequestError):
    """Listening there would open the service to others without protection, or is not possible."""

    code = "service.binding_refused"


class ServiceRunning(RequestError):
    """A service runs on this data folder already."""

    code = "service.running"
    status = 409
    default_next_step = "See `lingting status`, or stop it with `lingting stop`."


class ServiceStopped(RequestError):
    """No service runs on this data folder."""

    code = "service.stopped"
    status = 409
    default_next_step = "Start it with `lingting serve`."


class BusyError(LingtingError):
    """Not now; the same request can succeed later."""

    code = "busy.later"
    status = 503
    retryable = True
    default_next_step = "Try again later."

    def __init__(
        self, sentence: str, next_step: str | None = None, *, retry_after_s: float = 1.0
    ) -> None:
        super().__init__(sentence, next_step)
        self.retry_after_s = retry_after_s


class ModelLocked(BusyError):
    """Another process is changing this model's files."""

    code = "model.locked"


class EngineBusy(BusyError):
    """A server that recognises for us has no room now, and had none for as long as we waited."""

    code = "engine.busy"


class StoreBusy(BusyError):
    """Others write to the history, or a backup or purge is under way."""

    code = "store.busy"


class ProviderUnreachable(BusyError):
    """The identity provider by which people sign in does not answer as it should."""

    code = "access.provider_unreachable"
    default_next_step = "Try again; an administrator can sign in with a password."


class FaultError(LingtingError):
    """Ours, or the machine's."""

    code = "fault.internal"
    status = 500


class EngineFailed(FaultError):
    """A recogniser failed on audio that was fine."""

    code = "engine.failed"


class EngineRefused(FaultError):
    """A server that recognises for us does not take the request: key, model or endpoint."""

    code = "engine.refused"
    status = 502
    default_next_step = "Check the address, the model's name and LINGTING_REMOTE_KEY."


class EngineUnreachable(FaultError):
    """A server that recognises for us cannot be connected to."""

    code = "engine.unreachable"
    status = 502
    retryable = True
    default_next_step = "Check that it runs and that its address is right."


class SourceUnreachable(FaultError):
    """No source of a model could be reached, or all of them failed."""

    code = "model.source_unreachable"
    status = 502
    retryable = True
    default_next_step = "Check the network, or bring the files with `lingting models import`."


class WeightsInvalid(FaultError):
    """Model files that are missing, changed or of the wrong shape; they are never loaded."""

    code = "model.weights_invalid"
    default_next_step = "Run `lingting models pull` with its name and --force."


class StoreUnreachable(FaultError):
    """The database or the audio of the history cannot be reached or written."""

    code = "store.unreachable"
    retryable = True
    default_next_step = "Check LINGTING_DATABASE_URL, LINGTING_DATA_DIR, its permissions and space."


class StoreSchema(FaultError):
    """The database has another schema than this version of Lingting uses."""

    code = "store.schema"
    default_next_step = "Run `lingting db upgrade`."


class StoreDamaged(FaultError):
    """Audio that is missing or not what was kept, or rows that contradict each other."""

    code = "store.damaged"
    default_next_step = "Run `lingting db check --audio`, and restore from a backup."


class ServiceUnreachable(FaultError):
    """The service cannot be connected to, or what answers is none of ours."""

    code = "service.unreachable"
    status = 502
    retryable = True
    default_next_step = "Start it with `lingting serve`, or check LINGTING_SERVER."


def by_code(code: str) -> type[LingtingError] | None:
    """The class with this code."""
    classes = [LingtingError]
    while classes:
        found = classes.pop()
        if found.code == code:
            return found
        classes += found.__subclasses__()
    return None
