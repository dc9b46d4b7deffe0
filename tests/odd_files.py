"""Recordings that people really hand over, good, odd and hopeless, each made on the spot.

``MAKERS`` maps a name to a function that writes one into a folder and says what must come of it.
Everything is made with PyAV and the standard library; no ffmpeg program is needed.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from lingting import errors

VOICE_S = 3.0


@dataclass(frozen=True)
class Odd:
    """What was made. Either ``error`` is raised, or the rest describes the decoded audio."""

    path: str | Path
    error: type[errors.AudioError] | None = None
    duration_s: float = VOICE_S
    tolerance_s: float = 0.03
    """How far the decoded length may be off: codecs with fixed frames pad the last one."""
    damage: Literal["none", "frames", "truncated", "invalid", "any"] = "none"
    correlation: float = 0.95
    """Least correlation with ``voice()`` from time 0 on; 0 where that says nothing."""
    lag_s: float = 0.0
    """Where the voice begins in the decoded audio."""


class NoEncoder(Exception):
    """This build of PyAV cannot write that kind of file."""


Maker = Callable[[Path], Odd]
MAKERS: dict[str, Maker] = {}


def odd(maker: Maker) -> Maker:
    MAKERS[maker.__name__] = maker
    return maker


def voice(rate_hz: int = 16_000, seconds: float = VOICE_S) -> np.ndarray:
    """``[n]`` float32, the same at every rate: a gliding buzz in syllables, 150 to 3000 Hz."""
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    pitch = 2 * np.pi * (150 * t + 20 * t**2 + 3 * np.sin(2 * np.pi * 0.7 * t))
    buzz = sum(np.sin(k * pitch + k) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 2.3 * t) + 0.3 * np.sin(2 * np.pi * 0.61 * t), 0, 1)
    return (0.25 * buzz * syllables).astype(np.float32)


def encode(
    target: str | Path | io.BytesIO,
    planes: np.ndarray,
    rate_hz: int,
    codec: str,
    *,
    container: str | None = None,
    options: dict[str, str] | None = None,
    bit_rate: int | None = None,
) -> None:
    """Write float ``[channels, n]`` with ``codec``; the name or ``container`` tells the format.

    Raises NoEncoder.
    """
    if codec not in av.codecs_available:
        raise NoEncoder(codec)
    layouts = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
    layout = layouts[len(planes)]
    out_file = str(target) if isinstance(target, Path) else target
    with av.open(out_file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate_hz, options=options or {})
        stream.layout = layout
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(planes.T, np.float32).reshape(1, -1), format="flt", layout=layout
        )
        frame.sample_rate = rate_hz
        frame.pts = 0
        frame.time_base = Fraction(1, rate_hz)
        kind = av.AudioResampler(format=stream.format, layout=layout, rate=rate_hz)
        fifo = av.AudioFifo()
        for piece in kind.resample(frame):
            piece.pts = None
            fifo.write(piece)
        size = stream.codec_context.frame_size or 1024
        position = 0
        while (piece := fifo.read(size, partial=True)) is not None:
            piece.pts, piece.time_base = position, Fraction(1, rate_hz)
            position += piece.samples
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))


def wav_bytes(
    data: bytes,
    *,
    tag: int = 1,
    channels: int = 1,
    rate_hz: int = 16_000,
    bits: int = 16,
    data_size: int | None = None,
    riff_size: int | None = None,
) -> bytes:
    """A canonical WAV file; sizes can lie."""
    size = len(data) if data_size is None else data_size
    frame = channels * bits // 8
    head = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame, frame, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", 36 + size if riff_size is None else riff_size) + body + data


def pcm16(samples: np.ndarray) -> bytes:
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# Not a recording ----------------------------------------------------------------------------


@odd
def empty_file(folder: Path) -> Odd:
    return Odd(written(folder / "empty.wav", b""), errors.AudioEmpty)


@odd
def header_without_samples(folder: Path) -> Odd:
    return Odd(written(folder / "header.wav", wav_bytes(b"")), errors.AudioEmpty)


@odd
def text_named_wav(folder: Path) -> Odd:
    text = "会议记录\n第一项：预算。\n".encode() * 200
    return Odd(written(folder / "notes.wav", text), errors.AudioNotMedia)


@odd
def zip_named_mp3(folder: Path) -> Odd:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "hello " * 1000)
    return Odd(written(folder / "song.mp3", packed.getvalue()), errors.AudioNotMedia)


@odd
def random_bytes(folder: Path) -> Odd:
    noise = np.random.default_rng(7).bytes(200_000)
    return Odd(written(folder / "noise.m4a", noise), errors.AudioNotMedia)


@odd
def one_byte(folder: Path) -> Odd:
    return Odd(written(folder / "one.wav", b"R"), errors.AudioNotMedia)


@odd
def picture(folder: Path) -> Odd:
    return Odd(written(folder / "photo.mp4", png_bytes()), errors.AudioNotMedia)


def _bait(folder: Path) -> Path:
    return written(folder / "secret.wav", wav_bytes(pcm16(voice())))


@odd
def playlist_of_another_file(folder: Path) -> Odd:
    bait = _bait(folder)
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{bait.name}\n#EXT-X-ENDLIST\n"
    return Odd(written(folder / "list.m3u8", text.encode()), errors.AudioNotMedia)


@odd
def concat_script(folder: Path) -> Odd:
    text = f"ffconcat version 1.0\nfile '{_bait(folder).name}'\n"
    return Odd(written(folder / "list.ffconcat", text.encode()), errors.AudioNotMedia)


@odd
def session_description(folder: Path) -> Odd:
    text = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    text += b"m=audio 5004 RTP/AVP 0\r\n"
    return Odd(written(folder / "call.sdp", text), errors.AudioNotMedia)


@odd
def dash_manifest(folder: Path) -> Odd:
    name = _bait(folder).name
    text = f"""<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
    profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet
    mimeType="audio/wav"><Representation id="1" bandwidth="1"><BaseURL>{name}</BaseURL>
    </Representation></AdaptationSet></Period></MPD>"""
    return Odd(written(folder / "audio.mpd", text.encode()), errors.AudioNotMedia)


# Not a file --------------------------------------------------------------------------------


@odd
def missing_file(folder: Path) -> Odd:
    return Odd(folder / "nothing.wav", errors.AudioNotFound)


@odd
def dead_link(folder: Path) -> Odd:
    (folder / "link.wav").symlink_to(folder / "gone.wav")
    return Odd(folder / "link.wav", errors.AudioNotFound)


@odd
def link_to_itself(folder: Path) -> Odd:
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    return Odd(folder / "loop.wav", errors.AudioPathUnreadable)


@odd
def folder_as_file(folder: Path) -> Odd:
    (folder / "folder.wav").mkdir()
    return Odd(folder / "folder.wav", errors.AudioPathUnreadable)


@odd
def pipe_nobody_writes(folder: Path) -> Odd:
    os.mkfifo(folder / "pipe.wav")
    return Odd(folder / "pipe.wav", errors.AudioPathUnreadable)


@odd
def device(folder: Path) -> Odd:
    return Odd("/dev/zero", errors.AudioPathUnreadable)


@odd
def web_address(folder: Path) -> Odd:
    return Odd("http://127.0.0.1:9/a.wav", errors.AudioNotFound)


@odd
def concat_protocol(folder: Path) -> Odd:
    return Odd(f"concat:{_bait(folder)}", errors.AudioNotFound)


@odd
def file_protocol(folder: Path) -> Odd:
    return Odd(f"file:{_bait(folder)}", errors.AudioNotFound)


@odd
def path_with_null(folder: Path) -> Odd:
    return Odd(f"{folder}/a\0b.wav", errors.AudioNotFound)


# Odd but good ------------------------------------------------------------------------------


@odd
def name_with_newline_and_emoji(folder: Path) -> Odd:
    return Odd(written(folder / "会议\n🎙️ 'a\".wav", wav_bytes(pcm16(voice()))))


@odd
def link_to_recording(folder: Path) -> Odd:
    written(folder / "real.wav", wav_bytes(pcm16(voice())))
    (folder / "link.wav").symlink_to(folder / "real.wav")
    return Odd(folder / "link.wav")


@odd
def flac_named_mp3(folder: Path) -> Odd:
    path = folder / "wrong.mp3"
    encode(path, voice()[None], 16_000, "flac", container="flac")
    return Odd(path)


@odd
def ten_milliseconds(folder: Path) -> Odd:
    path = written(folder / "short.wav", wav_bytes(pcm16(voice()[8000:8160])))
    return Odd(path, duration_s=0.01, tolerance_s=0.0, correlation=0)


@odd
def one_sample(folder: Path) -> Odd:
    path = written(folder / "sample.wav", wav_bytes(pcm16(voice()[8000:8001])))
    return Odd(path, duration_s=1 / 16_000, tolerance_s=0.0, correlation=0)


@odd
def silence(folder: Path) -> Odd:
    path = written(folder / "silence.wav", wav_bytes(bytes(32_000)))
    return Odd(path, duration_s=1.0, tolerance_s=0.0, correlation=0)


@odd
def clipped(folder: Path) -> Odd:
    return Odd(written(folder / "clipped.wav", wav_bytes(pcm16(voice() * 20))), correlation=0.6)


def _pcm(name: str, data: bytes, **header: Any) -> Maker:
    def make(folder: Path) -> Odd:
        return Odd(written(folder / f"{name}.wav", wav_bytes(data, **header)))

    make.__name__ = name
    return odd(make)


def _float(rate_hz: int, kind: str) -> bytes:
    return voice(rate_hz).astype(kind).tobytes()


def _int24(samples: np.ndarray) -> bytes:
    return (samples * (2**31 - 1)).astype("<i4").view("u1").reshape(-1, 4)[:, 1:].tobytes()


_pcm("wav_8_bit", ((voice() * 127) + 128).astype("u1").tobytes(), bits=8)
_pcm("wav_24_bit", _int24(voice(48_000)), bits=24, rate_hz=48_000)
_pcm("wav_32_bit", (voice() * (2**31 - 1)).astype("<i4").tobytes(), bits=32)
_pcm("wav_float32", _float(44_100, "<f4"), tag=3, bits=32, rate_hz=44_100)
_pcm("wav_float64", _float(22_050, "<f8"), tag=3, bits=64, rate_hz=22_050)
_pcm("wav_96_khz", pcm16(voice(96_000)), rate_hz=96_000)
_pcm("wav_192_khz", pcm16(voice(192_000)), rate_hz=192_000)
_pcm("wav_11025_hz", pcm16(voice(11_025)), rate_hz=11_025)
_pcm("wav_size_0", pcm16(voice()), data_size=0, riff_size=0)
_pcm("wav_size_ffffffff", pcm16(voice()), data_size=0xFFFFFFFF, riff_size=0xFFFFFFFF)


def _coded(
    name: str, file: str, rate_hz: int, codec: str, channels: int = 1, **odd_fields: Any
) -> Maker:
    container = odd_fields.pop("container", None)
    bit_rate = odd_fields.pop("bit_rate", None)
    options = odd_fields.pop("options", None)

    def make(folder: Path) -> Odd:
        planes = np.tile(voice(rate_hz), (channels, 1))
        path = folder / file
        encode(
            path, planes, rate_hz, codec, container=container, bit_rate=bit_rate, options=options
        )
        return Odd(path, **odd_fields)

    make.__name__ = name
    return odd(make)


_coded("wav_a_law", "alaw.wav", 8_000, "pcm_alaw")
_coded("wav_mu_law", "mulaw.wav", 8_000, "pcm_mulaw")
_coded("wav_6_channels", "six.wav", 48_000, "pcm_s16le", 6)
_coded("wav_8_channels", "eight.wav", 48_000, "pcm_s16le", 8)
_coded("flac_8_channels", "eight.flac", 48_000, "flac", 8)
_coded("aac_8_channels", "eight.m4a", 48_000, "aac", 8, bit_rate=512_000, tolerance_s=0.06)
_coded("w64", "a.w64", 16_000, "pcm_s16le")
_coded("aiff", "a.aiff", 44_100, "pcm_s16be", 2)
_coded("au", "a.au", 16_000, "pcm_s16be")
_coded("caf", "a.caf", 44_100, "pcm_s16le")
_coded("flac_stereo", "a.flac", 44_100, "flac", 2)
_coded("alac_m4a", "a.m4a", 44_100, "alac")
_coded("mp3", "a.mp3", 44_100, "libmp3lame", 2)
_coded("mp3_8_khz", "b.mp3", 8_000, "libmp3lame")
_coded("aac_m4a", "b.m4a", 44_100, "aac", 2, tolerance_s=0.06)
_coded("aac_adts", "a.aac", 44_100, "aac", lag_s=1024 / 44_100, tolerance_s=0.08)
_coded("opus_ogg", "a.opus", 48_000, "libopus", container="ogg")
_coded("opus_webm", "a.webm", 48_000, "libopus", 2)
_coded(
    "vorbis_ogg",
    "a.ogg",
    44_100,
    "vorbis",
    2,
    options={"strict": "experimental"},
    tolerance_s=0.06,
    correlation=0.8,
)
_coded("wma", "a.wma", 44_100, "wmav2", 2, bit_rate=128_000, tolerance_s=0.25, lag_s=0.0456)
_coded("flac_matroska", "a.mka", 44_100, "flac")
_coded("aac_transport_stream", "a.ts", 48_000, "aac", tolerance_s=0.08, lag_s=1024 / 48_000)
_coded("amr_nb", "a.amr", 8_000, "libopencore_amrnb", bit_rate=12_200, correlation=0.5, lag_s=0.005)
_coded("ac3", "a.ac3", 48_000, "ac3", 6, tolerance_s=0.08, lag_s=256 / 48_000)
_coded("g722_wav", "g722.wav", 16_000, "g722", lag_s=0.0014)
_coded("flv", "a.flv", 44_100, "aac", tolerance_s=0.08, lag_s=1024 / 44_100)


@odd
def mp3_with_cover(folder: Path) -> Odd:
    path = folder / "cover.mp3"
    encode(path, voice(44_100)[None], 44_100, "libmp3lame")
    image = b"\x00image/png\x00\x03\x00" + png_bytes()
    frame = b"APIC" + struct.pack(">I", len(image)) + b"\0\0" + image
    size = len(frame)
    packed = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    audio = path.read_bytes()
    if audio.startswith(b"ID3"):  # the muxer's own tag
        own = 10 + sum(
            byte << shift for byte, shift in zip(audio[6:10], (21, 14, 7, 0), strict=True)
        )
        audio = audio[own:]
    return Odd(written(path, b"ID3\x03\0\0" + packed + frame + audio))


def png_bytes() -> bytes:
    out = io.BytesIO()
    codec: Any = av.CodecContext.create("png", "w")
    codec.width = codec.height = 16
    codec.pix_fmt = "rgb24"
    codec.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 90, np.uint8), format="rgb24")
    for packet in [*codec.encode(frame), *codec.encode(None)]:
        out.write(bytes(packet))
    return out.getvalue()


@odd
def opposite_phase_stereo(folder: Path) -> Odd:
    path = folder / "phase.wav"
    encode(path, np.stack([voice(), -voice()]), 16_000, "pcm_s16le")
    return Odd(path)


@odd
def voice_on_one_side(folder: Path) -> Odd:
    path = folder / "side.wav"
    encode(path, np.stack([np.zeros_like(voice()), voice()]), 16_000, "pcm_s16le")
    return Odd(path)


# Pictures and holes ------------------------------------------------------------------------


def film(
    path: Path,
    audio_from_s: float | None = 0.0,
    hole: tuple[float, float] | None = None,
    seconds: float = VOICE_S,
) -> Path:
    """A video; its voice starts late, lacks packets between ``hole``'s seconds, or is absent."""
    rate_hz = 48_000
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = None
        if audio_from_s is not None:
            sound = out.add_stream(
                "pcm_s16le" if path.suffix == ".mkv" else "libmp3lame", rate=rate_hz
            )
            sound.layout = "mono"
        for index in range(round(10 * seconds)):
            picture_ = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), index * 3 % 255, np.uint8), format="rgb24"
            )
            out.mux(video.encode(picture_))
        out.mux(video.encode(None))
        if sound is not None:
            size = sound.codec_context.frame_size or 480
            samples = voice(rate_hz, seconds - (audio_from_s or 0.0))
            for first in range(0, len(samples) - size + 1, size):
                if hole and hole[0] <= first / rate_hz < hole[1]:
                    continue
                piece = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[None, first : first + size]), "fltp", "mono"
                )
                piece.sample_rate = rate_hz
                piece.time_base = Fraction(1, rate_hz)
                piece.pts = first + round((audio_from_s or 0.0) * rate_hz)
                for ready in av.AudioResampler(format=sound.format).resample(piece):
                    out.mux(sound.encode(ready))
            out.mux(sound.encode(None))
    return path


@odd
def video_without_sound(folder: Path) -> Odd:
    return Odd(film(folder / "mute.mp4", None), errors.AudioNoTrack)


@odd
def video_with_sound(folder: Path) -> Odd:
    return Odd(film(folder / "film.mp4"), tolerance_s=0.06)


@odd
def video_whose_sound_starts_late(folder: Path) -> Odd:
    return Odd(film(folder / "late.mkv", 1.5), tolerance_s=0.06, lag_s=1.5)


@odd
def video_whose_sound_starts_late_mp4(folder: Path) -> Odd:
    return Odd(film(folder / "late.mp4", 1.5), tolerance_s=0.08, lag_s=1.499)


@odd
def hole_in_the_middle(folder: Path) -> Odd:
    """0.6 s of packets are absent; what follows keeps its time."""
    return Odd(film(folder / "hole.mkv", hole=(1.0, 1.6)), tolerance_s=0.06, correlation=0.8)


# Damaged -----------------------------------------------------------------------------------


@odd
def mp4_without_its_index(folder: Path) -> Odd:
    path = folder / "cut.m4a"
    encode(path, voice(44_100)[None], 44_100, "aac")
    return Odd(written(path, path.read_bytes()[: path.stat().st_size // 2]), errors.AudioDamaged)


@odd
def wav_header_cut(folder: Path) -> Odd:
    return Odd(written(folder / "cut.wav", wav_bytes(pcm16(voice()))[:20]), errors.AudioDamaged)


@odd
def wav_impossible_rate(folder: Path) -> Odd:
    path = written(folder / "rate.wav", wav_bytes(pcm16(voice()), rate_hz=3))
    return Odd(path, errors.AudioDamaged)


@odd
def too_many_channels(folder: Path) -> Odd:
    path = written(folder / "many.wav", wav_bytes(bytes(64 * 2 * 100), channels=64))
    return Odd(path, errors.AudioInvalid)


def _cut(name: str, file: str, codec: str, keep: float, **odd_fields: Any) -> Maker:
    def make(folder: Path) -> Odd:
        path = folder / file
        encode(path, voice(44_100)[None], 44_100, codec)
        whole = path.read_bytes()
        return Odd(written(path, whole[: int(len(whole) * keep)]), **odd_fields)

    make.__name__ = name
    return odd(make)


_cut("truncated_wav", "t.wav", "pcm_s16le", 0.5, duration_s=1.5, damage="truncated")
_cut(
    "truncated_mp3", "t.mp3", "libmp3lame", 0.5, duration_s=1.5, damage="truncated", tolerance_s=0.1
)
_cut("truncated_flac", "t.flac", "flac", 0.6, duration_s=1.5, damage="truncated", tolerance_s=0.5)


def _smeared(content: bytes, first: float, last: float, every: int) -> bytes:
    """Overwrites 24 bytes in every ``every`` between two shares of the file."""
    broken = bytearray(content)
    generator = np.random.default_rng(3)
    for at in range(int(len(broken) * first), int(len(broken) * last), every):
        broken[at : at + 24] = generator.bytes(24)
    return bytes(broken[: len(content)])


@odd
def flac_with_broken_frames(folder: Path) -> Odd:
    path = folder / "broken.flac"
    encode(path, np.tile(voice(), 4)[None], 16_000, "flac")
    content = _smeared(path.read_bytes(), 0.5, 0.51, 10_000)
    return Odd(
        written(path, content), duration_s=12.0, tolerance_s=0.4, damage="frames", correlation=0.9
    )


@odd
def flac_broken_throughout(folder: Path) -> Odd:
    path = folder / "ruined.flac"
    encode(path, np.tile(voice(), 10)[None], 16_000, "flac")
    return Odd(written(path, _smeared(path.read_bytes(), 0.02, 1.0, 1500)), errors.AudioDamaged)


@odd
def mp3_with_broken_middle(folder: Path) -> Odd:
    path = folder / "broken.mp3"
    encode(path, np.tile(voice(44_100), 4)[None], 44_100, "libmp3lame")
    content = _smeared(path.read_bytes(), 0.45, 0.55, 300)
    return Odd(written(path, content), duration_s=12.0, tolerance_s=1.5, damage="any")


@odd
def float_wav_with_nan(folder: Path) -> Odd:
    samples = voice()
    samples[1000:1010] = np.nan
    samples[2000] = np.inf
    samples[3000] = -np.inf
    content = wav_bytes(samples.astype("<f4").tobytes(), tag=3, bits=32)
    return Odd(written(folder / "nan.wav", content), damage="invalid")
