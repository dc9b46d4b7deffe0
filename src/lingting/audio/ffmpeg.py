"""Everything that touches PyAV: opening, choosing the track, resampling, and its errors.

FFmpeg gets a stream without a name, a list of the container formats that people record in, and no
way to open a second file: playlists and scripts of file names are not media here. Its own log is
off, because its lines hold file names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, NoReturn

import av
import av.error
import av.logging
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.filter import Graph
from numpy.typing import NDArray

from lingting.audio import SAMPLE_RATE_HZ
from lingting.audio.source import Source
from lingting.errors import (
    AudioDamaged,
    AudioError,
    AudioNotMedia,
    AudioNoTrack,
    AudioPathUnreadable,
)

av.logging.set_level(None)

_BUFFER_BYTES = 256 << 10
# PyAV finds the end of a frame's planes by a null that is absent when FFmpeg's table of 8 is full.
_UNSAFE_PLANES = 8
_PACKED = {"u8p": "u8", "s16p": "s16", "s32p": "s32", "s64p": "s64", "fltp": "flt", "dblp": "dbl"}
_RATES_HZ = range(1_000, 1_000_000)

_FORMATS = (
    "3dostr,aac,ac3,ac4,act,adx,aea,aiff,amr,amrnb,amrwb,ape,asf,asf_o,au,avi,avr,bonk,caf,dsf,dss,"
    "dts,dtshd,dv,eac3,flac,flv,g729,gsm,iff,ircam,kux,lc3,live_flv,loas,matroska,mlp,mov,mp3,mpc,"
    "mpc8,mpeg,mpegts,mpegvideo,mxf,nistsphere,nsv,nut,ogg,oma,osq,paf,pvf,qcp,rm,rso,sbc,sds,shn,"
    "sol,sox,spdif,svs,swf,tak,truehd,tta,voc,w64,wav,wavarc,wsd,wtv,wv,xwma"
)
"""Demuxers of recordings. Playlists, image sequences, subtitles and scripts are not among them."""

# How recordings begin, (offset, bytes): what starts so and cannot be opened is broken, not alien.
_SIGNATURES = (
    (0, b"RIFF"),
    (0, b"RF64"),
    (0, b"ID3"),
    (0, b"fLaC"),
    (0, b"OggS"),
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (0, b"0&\xb2u\x8ef\xcf\x11"),  # ASF: wma, wmv
    (0, b"FORM"),
    (0, b"caff"),
    (0, b"#!AMR"),
    (0, b"FLV\x01"),
    (0, b".snd"),
)
_SIGNATURE_BYTES = 16

_NOT_MEDIA = "This is no audio or video that can be opened"
_MEANINGS: dict[type[Exception], tuple[type[AudioError], str]] = {
    av.error.InvalidDataError: (AudioDamaged, "The recording's structure is broken."),
    av.error.EOFError: (AudioDamaged, "The recording ends before its audio begins."),
    av.error.MemoryError: (AudioDamaged, "The recording asks for impossible amounts of memory."),
    av.error.OverflowError: (AudioDamaged, "The recording holds numbers that are out of range."),
    av.error.BufferTooSmallError: (AudioDamaged, "A part of the recording has an impossible size."),
    av.error.InputChangedError: (AudioDamaged, "The recording changes its format half-way."),
    av.error.OutputChangedError: (AudioDamaged, "The recording changes its format half-way."),
    av.error.BugError: (AudioDamaged, "The decoder failed on this recording."),
    av.error.ExternalError: (AudioDamaged, "The decoder failed on this recording."),
    av.error.UnknownError: (AudioDamaged, "The decoder failed on this recording."),
    av.error.UndefinedError: (AudioDamaged, "The decoder failed on this recording."),
    av.error.ExitError: (AudioDamaged, "The decoder stopped on this recording."),
    av.error.ArgumentError: (AudioNotMedia, f"{_NOT_MEDIA}."),
    # A demuxer, decoder, protocol, filter or option that does not exist.
    av.error.LookupError: (AudioNotMedia, f"{_NOT_MEDIA}: its format is unknown."),
    av.error.NotImplementedError: (AudioNotMedia, f"{_NOT_MEDIA}: its format is not supported."),
    av.error.PatchWelcomeError: (AudioNotMedia, f"{_NOT_MEDIA}: its format is not supported."),
    av.error.ExperimentalError: (AudioNotMedia, f"{_NOT_MEDIA}: its format is not supported."),
    # The network is out of reach here, so this would be a file that points to an address.
    av.error.HTTPError: (AudioNotMedia, f"{_NOT_MEDIA}: it points to an address."),
    av.error.HTTPClientError: (AudioNotMedia, f"{_NOT_MEDIA}: it points to an address."),
    # FFmpeg has no file of its own here, so when it speaks of one the contents are at fault. What
    # the disk says comes as the interpreter's own OSError.
    **{
        kind: (AudioDamaged, "The recording's structure is broken.")
        for kind in vars(av.error).values()
        if isinstance(kind, type) and issubclass(kind, OSError)
    },
}
if hasattr(av.error, "PyAVCallbackError"):
    _MEANINGS[av.error.PyAVCallbackError] = (AudioPathUnreadable, "The recording cannot be read.")


class SecondFileError(Exception):
    """A recording asked for another file, which is never opened."""


def meaning_of(kind: type[BaseException]) -> tuple[type[AudioError], str] | None:
    """Our error class and sentence for one of PyAV's classes; None for a class nobody mapped."""
    for base in kind.__mro__:
        if base in _MEANINGS:
            return _MEANINGS[base]
    return None


@contextmanager
def map_av_errors() -> Iterator[None]:
    """The one place where FFmpeg's errors, and those of the stream under it, become ours."""
    try:
        yield
    except av.error.FFmpegError as exc:
        kind, sentence = meaning_of(type(exc)) or (AudioDamaged, "The recording cannot be decoded.")
        raise kind(sentence) from exc
    except OSError as exc:
        raise AudioPathUnreadable("The system failed while the recording was read.") from exc
    except SecondFileError as exc:
        raise AudioNotMedia(f"{_NOT_MEDIA}: its audio is in another file.") from exc


def open_container(source: Source) -> InputContainer:
    """Raises AudioNotMedia for what is no recording, AudioDamaged for what once was one."""
    head = source.peek(_SIGNATURE_BYTES)
    try:
        with map_av_errors():
            return av.open(
                source,
                mode="r",
                metadata_errors="replace",
                buffer_size=_BUFFER_BYTES,
                io_open=_refuse_second_file,
                container_options={"format_whitelist": _FORMATS, "protocol_whitelist": ""},
            )
    except AudioDamaged as exc:
        if not any(head[at : at + len(mark)] == mark for at, mark in _SIGNATURES):
            raise AudioNotMedia(f"{_NOT_MEDIA}.") from exc
        raise AudioDamaged(
            "It begins like a recording; the part that describes its audio is missing or broken."
        ) from exc


def _refuse_second_file(url: str, flags: int, options: dict[str, str]) -> NoReturn:  # noqa: ARG001
    raise SecondFileError


def choose_track(container: InputContainer) -> AudioStream:
    """The first audio track marked as default, else the first that can be decoded.

    Raises AudioNoTrack without any audio track and AudioNotMedia when there is no decoder for it.
    """
    tracks = container.streams.audio
    if not tracks:
        raise AudioNoTrack(f"It has {len(container.streams)} track(s), none of them audio.")
    usable = [t for t in tracks if getattr(t, "codec_context", None) is not None and t.rate]
    if not usable:
        raise AudioNotMedia("Its audio is coded in a way that has no decoder, or is encrypted.")
    return next((track for track in usable if _is_default(track)), usable[0])


def _is_default(track: AudioStream) -> bool:
    return "default" in str(getattr(track, "disposition", "")).lower()


def check_rate(rate_hz: int) -> None:
    """Raises AudioDamaged: such a rate comes from a broken header."""
    if rate_hz not in _RATES_HZ:
        raise AudioDamaged(
            f"Its header says {rate_hz} samples a second; possible are {_RATES_HZ.start} "
            f"to {_RATES_HZ.stop - 1}."
        )


def samples_of(frame: av.AudioFrame) -> NDArray[Any]:
    """``[channels, n]`` in the frame's own number type."""
    channels = frame.layout.nb_channels
    if frame.format.is_planar and channels >= _UNSAFE_PLANES:
        [frame] = av.AudioResampler(format=_PACKED[frame.format.name]).resample(frame)
    samples = frame.to_ndarray()
    if frame.format.is_planar:
        return samples
    interleaved: NDArray[Any] = samples.reshape(-1, channels).T
    return interleaved


class Resampler:
    """One channel from any rate to 16 kHz, in pieces, without a seam or a shift in time.

    libswresample with 64 taps at the lower rate and a cutoff at 0.95 of its Nyquist frequency:
    flat to 0.01 dB up to 7 kHz, at least 90 dB down from 8.5 kHz. FFmpeg's default (32 taps, 0.97)
    lets 8.5 kHz through at -26 dB.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._samples_in = 0
        self._graph = Graph() if rate_hz != SAMPLE_RATE_HZ else None
        if self._graph is not None:
            self._link(self._graph)

    def _link(self, graph: Graph) -> None:
        entry = graph.add_abuffer(
            sample_rate=self._rate_hz,
            format="fltp",
            layout="mono",
            time_base=Fraction(1, self._rate_hz),
        )
        resample = graph.add("aresample", f"{SAMPLE_RATE_HZ}:filter_size=64:cutoff=0.95")
        graph.link_nodes(entry, resample, graph.add("abuffersink")).configure()

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """``[n]`` in, ``[about n * 16000 / rate]`` out."""
        if self._graph is None or not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = self._rate_hz
        frame.time_base = Fraction(1, self._rate_hz)
        frame.pts = self._samples_in
        self._samples_in += len(samples)
        self._graph.push(frame)
        return self._pulled(self._graph)

    def finish(self) -> NDArray[np.float32]:
        """What the filter still held."""
        if self._graph is None or self._samples_in == 0:
            return np.zeros(0, np.float32)
        self._graph.push(None)
        return self._pulled(self._graph)

    def _pulled(self, graph: Graph) -> NDArray[np.float32]:
        pieces: list[NDArray[Any]] = []
        while True:
            try:
                pieces.append(graph.pull().to_ndarray()[0])
            except (av.error.BlockingIOError, av.error.EOFError):
                break
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
